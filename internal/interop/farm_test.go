package interop

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
)

const cookieName = "interop"

// farm serves runs, and the pages on which browsers do them, on every protocol.
type farm struct {
	plain *httptest.Server // HTTP/1.1
	tls1  *httptest.Server // HTTP/1.1 over TLS
	tls2  *httptest.Server // HTTP/2
	cert  certificate

	next chan string // the page that the browser is to open

	mu   sync.Mutex // guards the following
	runs map[string]*run
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{
		cert: selfSigned(t),
		next: make(chan string),
		runs: map[string]*run{},
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("testdata/page")))
	mux.HandleFunc("GET /favicon.ico", http.NotFound)
	mux.HandleFunc("GET /next", f.serveNext)
	mux.HandleFunc("GET /cookie", serveCookie)
	mux.HandleFunc("GET /run/{run}/events", f.of((*run).serve))
	mux.HandleFunc("GET /run/{run}/probe", f.of((*run).serveProbe))
	mux.HandleFunc("POST /run/{run}/receipt", f.of((*run).serveReceipt))
	mux.HandleFunc("POST /run/{run}/report", f.of((*run).serveReport))
	mux.HandleFunc("POST /run/{run}/failure", f.of((*run).serveFailure))
	f.plain = f.server(t, mux, false, false)
	f.tls1 = f.server(t, mux, true, false)
	f.tls2 = f.server(t, mux, true, true)
	return f
}

func (f *farm) server(t *testing.T, h http.Handler, tls, http2 bool) *httptest.Server {
	s := httptest.NewUnstartedServer(allowOrigin(h))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return sse.ConnContext(context.WithValue(ctx, connKey{}, c), c)
	}
	s.Config.ErrorLog = quiet // handshakes that a browser breaks off
	if tls {
		s.TLS = f.cert.config()
		s.EnableHTTP2 = http2
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// add gives a run a name, which is a part of its URLs.
func (f *farm) add(name string, r *run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[name] = r
}

// of finds the run of a request.
func (f *farm) of(serve func(*run, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		r := f.runs[req.PathValue("run")]
		f.mu.Unlock()
		if r == nil {
			http.NotFound(w, req)
			return
		}
		serve(r, w, req)
	}
}

// serveNext answers when there is another page to open.
func (f *farm) serveNext(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	select {
	case page := <-f.next:
		_, _ = io.WriteString(w, page)
	case <-req.Context().Done():
	}
}

func (r *run) serveReceipt(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	select {
	case r.receipts <- string(body):
	default:
		r.fail("too many receipts: %q", body)
	}
}

func (r *run) serveReport(w http.ResponseWriter, req *http.Request) {
	var got []received
	if err := json.NewDecoder(req.Body).Decode(&got); err != nil {
		r.fail("the report: %v", err)
		return
	}
	select {
	case r.report <- got:
	default:
		r.fail("a second report")
	}
}

func (r *run) serveFailure(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body) // what there is of it
	r.fail("on the client: %s", body)
}

// serveCookie sets a cookie that belongs to this host alone.
func serveCookie(w http.ResponseWriter, req *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "mine", Path: "/"})
}

// allowOrigin lets pages of other hosts read the answers, and send cookies.
func allowOrigin(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if origin := req.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		h.ServeHTTP(w, req)
	})
}

// check compares what a client has received, and asked for, with what it must.
func (r *run) check(t *testing.T, got []received, proto string) {
	t.Helper()
	want := r.script.play(r.traits)
	compare(t, r.settle(t, got), r.settle(t, want.events))
	var ids []string
	for _, req := range r.noted() {
		ids = append(ids, req.lastEventID)
		if req.proto != proto || req.method != http.MethodGet {
			t.Errorf("the request was %s on %s, want GET on %s", req.method, req.proto, proto)
		}
	}
	if !slices.Equal(ids, want.requests) {
		t.Errorf("the requests had Last-Event-ID\n%q, want\n%q", ids, want.requests)
	}
}

// settle takes out what comes at times of its own, the heartbeats, and what the
// client cannot be asked for.
func (r *run) settle(t *testing.T, events []received) []received {
	t.Helper()
	var settled []received
	for _, e := range events {
		switch {
		case e.Type == beat:
			if e.Data != "" || r.script.after(e.LastEventID) < 0 {
				t.Errorf("a heartbeat arrived as %+v", e)
			}
		case r.traits.allBlocks && e == received{Type: "message"}:
		default:
			settled = append(settled, e)
		}
	}
	return settled
}

func compare(t *testing.T, got, want []received) {
	t.Helper()
	const most = 3 // one that is lost moves all that follow
	wrong := 0
	for i := range min(len(got), len(want)) {
		if got[i] == want[i] {
			continue
		}
		if wrong++; wrong <= most {
			t.Errorf("event %d is\n%s, want\n%s", i, got[i].brief(), want[i].brief())
		}
	}
	if wrong > most {
		t.Errorf("and so on: %d events are not as they should be", wrong)
	}
	if len(got) != len(want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
}

// brief is the event in one line, also if it is large.
func (e received) brief() string {
	text, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	if len(text) > 200 {
		return string(text[:200]) + strings.Repeat(".", 3)
	}
	return string(text)
}
