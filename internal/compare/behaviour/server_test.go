package behaviour

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// serverCase checks one stream of a server.
type serverCase struct {
	rule, source string
	publishes    bool // the case needs a server that can publish
	check        func(subject) bool
}

func serverRows() []behaviour {
	var rows []behaviour
	for _, c := range serverCases {
		rows = append(rows, behaviour{servers, c.rule, c.source, func(lib *library) outcome {
			if lib.server == nil {
				return notApplicable
			}
			s := lib.server()
			if c.publishes && s.publish == nil {
				return notApplicable
			}
			return passIf(c.check(s))
		}})
	}
	return append(rows, behaviour{servers,
		"The library's shutdown ends an open stream, so that `http.Server.Shutdown` returns.",
		"alexandrevicenzi/go-sse#24; tmaxmax/go-sse TestServer_ShutdownPublish", shutdownCase})
}

var serverCases = []serverCase{
	{rule: "The server sends the headers at once, before the first event.",
		source: "HTML 9.2.3: `open` is fired; r3labs/sse TestHTTPStreamHandlerHeaderFlushIfNoEvents",
		check:  func(s subject) bool { return header(s, "", nil) != nil }},
	{rule: "The server sends a byte of the body with the headers, because some proxies wait for one.",
		source: "tmaxmax/go-sse session.go: headers with the first event",
		check: func(s subject) bool {
			st := open(s, nil)
			defer st.close()
			return st.readsByte()
		}},
	{rule: "The content type is `text/event-stream`.",
		source: "HTML 9.2.5; starfederation/datastar-go TestSSESendWithActiveConnection",
		check: func(s subject) bool {
			return strings.HasPrefix(header(s, "Content-Type", nil).get(), "text/event-stream")
		}},
	{rule: "The response has a `Cache-Control` that prevents caching.", source: "RFC 9111 5.2.2",
		check: func(s subject) bool {
			value := header(s, "Cache-Control", nil).get()
			return strings.Contains(value, "no-store") || strings.Contains(value, "no-cache")
		}},
	{rule: "The response has `X-Accel-Buffering: no`, so that nginx does not buffer it.", source: "nginx, proxy_buffering: X-Accel-Buffering",
		check: func(s subject) bool { return header(s, "X-Accel-Buffering", nil).get() == "no" }},
	{rule: "The server accepts any text as Last-Event-ID.",
		source: "HTML 9.2.6; r3labs/sse http.go, \"must be a number\"",
		check: func(s subject) bool {
			return header(s, "", http.Header{"Last-Event-Id": {"a-1"}}).status() == http.StatusOK
		}},
	{rule: "Publishing an empty event does not end the stream.", publishes: true,
		source: "HTML 9.2.6; r3labs/sse TestClientChanSubscribeEmptyMessage",
		check: func(s subject) bool {
			st := open(s, nil)
			defer st.close()
			if !st.receives(s, "alpha") {
				return false
			}
			s.publish("")
			return st.receives(s, "beta")
		}},
	{rule: "A stream lasts longer than the server's WriteTimeout.", publishes: true,
		source: "net/http, Server.WriteTimeout",
		check: func(s subject) bool {
			st := open(s, func(server *http.Server) { server.WriteTimeout = quiet })
			defer st.close()
			select {
			case <-st.ended:
			case <-time.After(2 * quiet):
			}
			return st.receives(s, "alpha")
		}},
	{rule: "The server works with a wrapped ResponseWriter that has Unwrap.", publishes: true,
		source: "net/http, ResponseController; tmaxmax/go-sse TestUpgrade",
		check: func(s subject) bool {
			s.handler = wrap(s.handler, func(w http.ResponseWriter) http.ResponseWriter {
				return unwrapper{hidden{w}, w}
			})
			st := open(s, nil)
			defer st.close()
			return st.receives(s, "alpha")
		}},
	{rule: "If the ResponseWriter cannot flush, the server responds with an error status, not with 200 or a panic.",
		source: "RFC 9110 15.6.1; tmaxmax/go-sse TestServer_ServeHTTP_unsupportedRespWriter",
		check: func(s subject) bool {
			s.handler = wrap(s.handler, func(w http.ResponseWriter) http.ResponseWriter {
				return hidden{w}
			})
			return header(s, "", nil).status() >= http.StatusInternalServerError
		}},
	{rule: "The handler returns after the client has disconnected.",
		source: "starfederation/datastar-go TestSSEContextCancellation",
		check: func(s subject) bool {
			st := open(s, nil)
			if s.publish != nil {
				st.receives(s, "alpha")
			} else {
				st.readsByte()
			}
			st.close()
			select {
			case <-st.returned:
				return true
			case <-time.After(maxWait):
				return false
			}
		}},
}

// hidden is a ResponseWriter that hides the optional interfaces of w, such as
// http.Flusher.
type hidden struct{ w http.ResponseWriter }

func (h hidden) Header() http.Header         { return h.w.Header() }
func (h hidden) Write(p []byte) (int, error) { return h.w.Write(p) }
func (h hidden) WriteHeader(code int)        { h.w.WriteHeader(code) }

type unwrapper struct {
	hidden
	w http.ResponseWriter
}

func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

func wrap(h http.Handler, wrapper func(http.ResponseWriter) http.ResponseWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(wrapper(w), r)
	})
}

// stream is the stream of one client.
type stream struct {
	server   *httptest.Server
	cancel   func()
	answered chan *http.Response
	first    chan struct{} // closed when a byte of the body has arrived
	data     chan string   // receives the data of each event
	ended    chan struct{} // closed when the stream has ended
	returned chan struct{} // closed when the handler has returned
}

// open starts the server and requests the stream. It does not wait for the response.
func open(s subject, configure func(*http.Server)) *stream {
	return openWith(s, configure, nil)
}

func openWith(s subject, configure func(*http.Server), h http.Header) *stream {
	st := &stream{
		answered: make(chan *http.Response, 1),
		first:    make(chan struct{}),
		data:     make(chan string, 1000),
		ended:    make(chan struct{}),
		returned: make(chan struct{}),
	}
	var once sync.Once
	st.server = httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			defer once.Do(func() { close(st.returned) })
			s.handler.ServeHTTP(w, r)
		}))
	st.server.Config.ErrorLog = discard
	if configure != nil {
		configure(st.server.Config)
	}
	st.server.Start()
	ctx, cancel := timeout()
	st.cancel = cancel
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, st.server.URL+"/?stream=s", nil)
	if err != nil {
		panic(err)
	}
	for name, values := range h {
		r.Header[name] = values
	}
	go st.receive(r)
	return st
}

func (st *stream) receive(r *http.Request) {
	defer close(st.ended)
	response, err := st.server.Client().Do(r)
	if err != nil {
		return
	}
	defer response.Body.Close()
	st.answered <- response
	br := bufio.NewReader(response.Body)
	if _, err := br.Peek(1); err != nil {
		return
	}
	close(st.first)
	for {
		line, err := br.ReadString('\n')
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data:"); ok {
			st.data <- strings.TrimPrefix(data, " ")
		}
		if err != nil {
			return
		}
	}
}

func (st *stream) close() { st.cancel() }

// readsByte reports whether a byte of the body arrives.
func (st *stream) readsByte() bool {
	select {
	case <-st.first:
		return true
	case <-st.ended:
	case <-time.After(maxWait):
	}
	return false
}

// receives publishes events with the data until one of them arrives, because a server
// does not report when it has added the stream to the topic. It reports whether an
// event has arrived.
func (st *stream) receives(s subject, data string) bool {
	deadline := time.After(maxWait)
	for {
		s.publish(data)
		select {
		case got := <-st.data:
			if got == data {
				return true
			}
		case <-st.ended:
			return false
		case <-deadline:
			return false
		case <-time.After(soon):
		}
	}
}

// answer is the header of a response. name is the field that get returns.
type answer struct {
	response *http.Response
	name     string
}

// header requests a stream with the additional fields h, and returns the header of
// the response. If name and h are empty, it returns nil unless the header arrives
// before the first event.
func header(s subject, name string, h http.Header) *answer {
	st := openWith(s, nil, h)
	defer st.close()
	select {
	case response := <-st.answered:
		return &answer{response, name}
	case <-st.ended:
	case <-time.After(quiet):
		// Some servers send the header only with the first event. Unless the case
		// concerns this, publish an event.
		if name != "" || h != nil {
			return afterEvent(s, st, name)
		}
	}
	return nil
}

func afterEvent(s subject, st *stream, name string) *answer {
	if s.publish == nil || !st.receives(s, "alpha") {
		return nil
	}
	return &answer{<-st.answered, name}
}

func (a *answer) get() string {
	if a == nil {
		return ""
	}
	return a.response.Header.Get(a.name)
}

func (a *answer) status() int {
	if a == nil {
		return 0
	}
	return a.response.StatusCode
}

func shutdownCase(lib *library) outcome {
	if lib.server == nil {
		return notApplicable
	}
	s := lib.server()
	if s.shutdown == nil {
		return notApplicable
	}
	st := open(s, nil)
	defer st.close()
	if s.publish != nil && !st.receives(s, "alpha") {
		return fail
	}
	st.server.Config.RegisterOnShutdown(s.shutdown)
	ctx, cancel := timeout()
	defer cancel()
	return passIf(st.server.Config.Shutdown(ctx) == nil)
}

// recorder is a ResponseWriter whose body can be read while the handler writes.
type recorder struct {
	header  http.Header
	flushed chan struct{} // receives a value for each Flush

	mu   sync.Mutex // guards the following
	body []byte
}

func newRecorder() *recorder {
	return &recorder{header: http.Header{}, flushed: make(chan struct{}, 100)}
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) Flush()              { r.flushed <- struct{}{} }

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body = append(r.body, p...)
	return len(p), nil
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.body...)
}
