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

// clientOptions are the settings of a case. All other settings are the defaults
// of the library.
type clientOptions struct {
	url         string
	lastEventID string
	header      http.Header
	delay       time.Duration // delay between two attempts
	retryFirst  bool          // the client retries even if its first attempt fails
	post        bool          // the client sends a POST with a body that can be sent again
	hold        bool          // onEvent blocks at the first event until ctx is done
}

// clientAdapter runs a client until it gives up or the context is done, and
// calls onEvent for each event.
type clientAdapter func(ctx context.Context, o clientOptions, onEvent func(got)) error

const (
	soon  = 20 * time.Millisecond  // default delay between two attempts
	quiet = 500 * time.Millisecond // how long a case waits for a result that should not arrive

	// maxWait limits the wait for a result that should arrive
	// immediately.
	maxWait = 6 * time.Second
)

// attempt is the handler of one request.
type attempt func(w http.ResponseWriter, r *http.Request)

// send responds with an event stream.
func send(stream string) attempt {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(stream))
		w.(http.Flusher).Flush()
	}
}

// broken responds with an event stream and then breaks the connection. Some
// clients do not reconnect after a stream that the server has ended properly.
func broken(stream string) attempt {
	return func(w http.ResponseWriter, r *http.Request) {
		send(stream)(w, r)
		panic(http.ErrAbortHandler)
	}
}

func status(code int) attempt {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang responds with a stream that stays open.
func hang(stream string) attempt {
	return func(w http.ResponseWriter, r *http.Request) {
		send(stream)(w, r)
		<-r.Context().Done()
	}
}

// cut closes the connection without a response.
func cut(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// session is a server that executes a script, and a client of this server. Each
// request executes the next attempt of the script.
type session struct {
	server   *httptest.Server
	requests chan *http.Request
	events   chan got
	ended    chan struct{} // closed when the client has returned
	cancel   context.CancelFunc
}

// start starts the server and the client. After the end of the script, each request
// executes the last attempt again. The caller need not close anything, because the
// process ends after the case.
func start(lib *library, o clientOptions, script ...attempt) *session {
	w := &session{
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
			default: // no case checks so many requests
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
				<-time.After(quiet) // until then, the client has handled the end of ctx
			}
		})
	}()
	return w
}

// event waits for the next event, and reports whether it has the given data.
func (w *session) event(data string) bool {
	select {
	case e := <-w.events:
		return e.data == data
	case <-time.After(maxWait):
		return false
	}
}

// request returns the next request, or nil if the client sends none within the given
// time.
func (w *session) request(within time.Duration) *http.Request {
	select {
	case r := <-w.requests:
		return r
	case <-time.After(within):
		return nil
	}
}

func (w *session) lastEventID() string {
	if r := w.request(maxWait); r != nil {
		return r.Header.Get("Last-Event-ID")
	}
	return "no request"
}

// requestsTwice reports whether the client sends two requests.
func (w *session) requestsTwice() bool {
	return w.request(maxWait) != nil && w.request(maxWait) != nil
}

// requestsOnce reports whether the client sends a request, and no other request soon
// after it.
func (w *session) requestsOnce() bool {
	return w.request(maxWait) != nil && w.request(quiet) == nil
}

// clientCase is a script and a check of its effects.
type clientCase struct {
	rule, source string
	options      clientOptions
	script       []attempt
	check        func(*session) bool
}

func clientRows() []behaviour {
	var rows []behaviour
	for _, c := range clientCases() {
		rows = append(rows, behaviour{clients, c.rule, c.source, c.run})
	}
	return append(rows, behaviour{clients,
		"The client does not send credentials to another origin after a redirect.",
		"Fetch 4.4; donovanhide/eventsource stream.go, checkRedirect", redirectCase})
}

func (c clientCase) run(lib *library) outcome {
	if lib.client == nil || c.options.post && lib.getOnly {
		return notApplicable
	}
	w := start(lib, c.options, c.script...)
	return passIf(c.check(w))
}

// redirectCase checks that a client does not send credentials to another origin after
// a redirect. It needs two servers, so it is not a clientCase.
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
	// localhost is another name of the same machine, but another origin and site.
	target := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}
	secret := http.Header{"Authorization": {"Bearer secret"}}
	start(lib, clientOptions{header: secret}, redirect)
	select {
	case header := <-seen:
		return passIf(!strings.Contains(fmt.Sprint(header), "secret"))
	case <-time.After(maxWait):
		return fail
	}
}
