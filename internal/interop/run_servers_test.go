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

// runServers are servers with the same handlers, one for each protocol. They serve
// the streams of runs, and the pages in which browsers read these streams.
type runServers struct {
	plain *httptest.Server // HTTP/1.1
	tls1  *httptest.Server // HTTP/1.1 over TLS
	tls2  *httptest.Server // HTTP/2
	cert  certificate

	next chan string // URL of the next page that the browser must open

	mu   sync.Mutex // guards the following
	runs map[string]*run
}

func newRunServers(t *testing.T) *runServers {
	t.Helper()
	f := &runServers{
		cert: selfSigned(t),
		next: make(chan string),
		runs: map[string]*run{},
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("testdata/page")))
	mux.HandleFunc("GET /favicon.ico", http.NotFound)
	mux.HandleFunc("GET /next", f.serveNext)
	mux.HandleFunc("GET /cookie", serveCookie)
	mux.HandleFunc("GET /run/{run}/events", f.withRun((*run).serve))
	mux.HandleFunc("GET /run/{run}/probe", f.withRun((*run).serveProbe))
	mux.HandleFunc("POST /run/{run}/receipt", f.withRun((*run).serveReceipt))
	mux.HandleFunc("POST /run/{run}/report", f.withRun((*run).serveReport))
	mux.HandleFunc("POST /run/{run}/failure", f.withRun((*run).serveFailure))
	f.plain = f.server(t, mux, false, false)
	f.tls1 = f.server(t, mux, true, false)
	f.tls2 = f.server(t, mux, true, true)
	return f
}

func (f *runServers) server(t *testing.T, h http.Handler, tls, http2 bool) *httptest.Server {
	s := httptest.NewUnstartedServer(allowOrigin(h))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return sse.ConnContext(context.WithValue(ctx, connKey{}, c), c)
	}
	s.Config.ErrorLog = discardLog // browsers abort some handshakes
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

// add registers a run with its name, which is a part of its URLs.
func (f *runServers) add(name string, r *run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[name] = r
}

// withRun returns a handler that calls serve with the run of the request.
func (f *runServers) withRun(serve func(*run, http.ResponseWriter, *http.Request)) http.HandlerFunc {
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

// serveNext waits for the URL of the next page that the browser must open, and
// responds with this URL.
func (f *runServers) serveNext(w http.ResponseWriter, req *http.Request) {
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
		r.fail("decoding the report: %v", err)
		return
	}
	select {
	case r.report <- got:
	default:
		r.fail("received a second report")
	}
}

func (r *run) serveFailure(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body) // on error, the part that has arrived
	r.fail("failure in the client: %s", body)
}

// serveCookie sets a cookie for this host only.
func serveCookie(w http.ResponseWriter, req *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "mine", Path: "/"})
}

// allowOrigin allows pages of other origins to read responses and to send
// cookies.
func allowOrigin(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if origin := req.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		h.ServeHTTP(w, req)
	})
}

// check compares the events that a client has received, and the requests that it has
// sent, with the results of script.play. proto is the protocol of the requests.
func (r *run) check(t *testing.T, got []received, proto string) {
	t.Helper()
	want := r.script.play(r.traits)
	compare(t, r.settle(t, got), r.settle(t, want.events))
	var ids []string
	for _, req := range r.allRequests() {
		ids = append(ids, req.lastEventID)
		if req.proto != proto || req.method != http.MethodGet {
			t.Errorf("got a request %s with %s, want GET with %s", req.method, req.proto, proto)
		}
	}
	if !slices.Equal(ids, want.requests) {
		t.Errorf("got requests with Last-Event-ID\n%q, want\n%q", ids, want.requests)
	}
}

// settle returns events without heartbeats, because heartbeats arrive at varying
// times. For a client with traits.allBlocks, it also removes events without data.
func (r *run) settle(t *testing.T, events []received) []received {
	t.Helper()
	var settled []received
	for _, e := range events {
		switch {
		case e.Type == beat:
			if e.Data != "" || r.script.after(e.LastEventID) < 0 {
				t.Errorf("got heartbeat %+v, want empty data and a known id", e)
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
	const maxReported = 3 // if one event is missing, all events after it differ
	wrong := 0
	for i := range min(len(got), len(want)) {
		if got[i] == want[i] {
			continue
		}
		if wrong++; wrong <= maxReported {
			t.Errorf("event %d: got\n%s, want\n%s", i, got[i].brief(), want[i].brief())
		}
	}
	if wrong > maxReported {
		t.Errorf("in total, %d events differ", wrong)
	}
	if len(got) != len(want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
}

// brief formats an event in one line of limited length.
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
