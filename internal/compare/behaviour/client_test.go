package behaviour

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// clientOptions are what the cases set; all else is the library's default.
type clientOptions struct {
	url         string
	lastEventID string
	header      http.Header
	delay       time.Duration // before the next attempt
	retryFirst  bool          // switch on that the first attempt is repeated
	post        bool          // a POST with a body that can be sent again
	hold        bool          // the caller is busy with the first event until told to end
}

// clientAdapter runs a client until it gives up or the context is done, and
// calls onEvent for each event.
type clientAdapter func(ctx context.Context, o clientOptions, onEvent func(got)) error

const (
	soon  = 20 * time.Millisecond // between two attempts
	quiet = 500 * time.Millisecond

	// enough is how long to wait for what should come at once.
	enough = 6 * time.Second
)

// attempt is what a server does with a request; the connection ends after it.
type attempt func(w http.ResponseWriter, r *http.Request)

// send answers with an event stream.
func send(stream string) attempt {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(stream))
		w.(http.Flusher).Flush()
	}
}

// broken answers with an event stream whose connection breaks after it: not all
// clients take up again what the server has ended.
func broken(stream string) attempt {
	return func(w http.ResponseWriter, r *http.Request) {
		send(stream)(w, r)
		panic(http.ErrAbortHandler)
	}
}

func status(code int) attempt {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers with a stream that stays open.
func hang(stream string) attempt {
	return func(w http.ResponseWriter, r *http.Request) {
		send(stream)(w, r)
		<-r.Context().Done()
	}
}

// cut closes the connection without an answer.
func cut(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// world is a server that follows a script, and a client that talks to it.
type world struct {
	server   *httptest.Server
	requests chan *http.Request
	events   chan got
	ended    chan struct{} // closed when the client has given up
	cancel   context.CancelFunc
}

// start runs the client. A request after the script's last is answered as the
// last was. Nothing is closed, as the process ends with the case: how a library
// ends is the matter of other cases.
func start(lib *library, o clientOptions, script ...attempt) *world {
	w := &world{
		requests: make(chan *http.Request, 1000),
		events:   make(chan got, 1000),
		ended:    make(chan struct{}),
	}
	var mu sync.Mutex
	n := 0
	w.server = httptest.NewServer(http.HandlerFunc(
		func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			next := script[min(n, len(script)-1)]
			n++
			mu.Unlock()
			select {
			case w.requests <- r.Clone(context.Background()):
			default: // one that asks so often has been seen
			}
			next(rw, r)
		}))
	w.server.Config.ErrorLog = discard
	o.url = w.server.URL
	if o.delay == 0 {
		o.delay = soon
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() {
		defer close(w.ended)
		_ = lib.client(ctx, o, func(e got) {
			select {
			case w.events <- e:
			default:
			}
			if o.hold {
				o.hold = false
				<-ctx.Done()
				<-time.After(quiet) // the client has been told by then
			}
		})
	}()
	return w
}

// event reports whether the next event has this data.
func (w *world) event(data string) bool {
	select {
	case e := <-w.events:
		return e.data == data
	case <-time.After(enough):
		return false
	}
}

// request is the next request, or nil if there is none.
func (w *world) request(within time.Duration) *http.Request {
	select {
	case r := <-w.requests:
		return r
	case <-time.After(within):
		return nil
	}
}

func (w *world) lastEventID() string {
	if r := w.request(enough); r != nil {
		return r.Header.Get("Last-Event-ID")
	}
	return "no request"
}

// asksTwice reports whether there is a second request after the first.
func (w *world) asksTwice() bool {
	return w.request(enough) != nil && w.request(enough) != nil
}

// asksOnce reports whether there is one request, and none in the quiet after it.
func (w *world) asksOnce() bool {
	return w.request(enough) != nil && w.request(quiet) == nil
}

// clientCase is a script, and what must be seen.
type clientCase struct {
	rule, source string
	options      clientOptions
	script       []attempt
	check        func(*world) bool
}

func clientRows() []behaviour {
	var rows []behaviour
	for _, c := range clientCases() {
		rows = append(rows, behaviour{clients, c.rule, c.source, c.run})
	}
	return append(rows, behaviour{clients,
		"Credentials are not sent to another origin that a redirect leads to.",
		"Fetch 4.4; donovanhide/eventsource stream.go, checkRedirect", redirectCase})
}

func (c clientCase) run(lib *library) outcome {
	if lib.client == nil || c.options.post && lib.getOnly {
		return notApplicable
	}
	w := start(lib, c.options, c.script...)
	return passIf(c.check(w))
}

// redirectCase needs two servers.
func redirectCase(lib *library) outcome {
	if lib.client == nil {
		return notApplicable
	}
	seen := make(chan http.Header, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r.Header.Clone():
		default:
		}
		hang("data: alpha\n\n")(w, r)
	}))
	// Another name for the same machine is another origin, and another site.
	target := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}
	secret := http.Header{"Authorization": {"Bearer secret"}}
	start(lib, clientOptions{header: secret}, redirect)
	select {
	case header := <-seen:
		return passIf(!strings.Contains(fmt.Sprint(header), "secret"))
	case <-time.After(enough):
		return fail
	}
}
