package ssetest

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Response is one response of a [Script], correct or broken.
type Response struct {
	// Status is the status code. If zero, 200.
	Status int

	// Header is the header of the response. If it has no entry Content-Type, the
	// response has Content-Type text/event-stream; if that entry is nil, the
	// response has none.
	Header http.Header

	// Chunks are the parts of the body. Each is flushed separately.
	Chunks []string

	// Delay is the time to wait before sending the header. If zero, the header is
	// sent at once.
	Delay time.Duration

	// Pause is the time to wait before every chunk except the first. If zero, the
	// chunks are sent without pauses.
	Pause time.Duration

	// Cut aborts the response after the body: the client receives an error instead
	// of the end of the body. With HTTP/1.1 the whole connection is closed, with
	// HTTP/2 only the stream.
	Cut bool

	// Stall keeps the response open after the body, without sending anything,
	// until the client closes it or the server stops or closes.
	Stall bool
}

// Request is a request that a [Script] has received.
type Request struct {
	Method string
	URL    *url.URL // path and query, as in a server's request
	Header http.Header
	Body   []byte
	Time   time.Time // when the request arrived
}

// Script is a [http.Handler] that answers the first request with the first of
// its Responses, the second request with the second, and so on. It answers all
// further requests with the last. If there are no Responses, it answers with an
// empty stream. It is safe for concurrent use as long as Responses is not
// changed.
type Script struct {
	Responses []Response // in order; the last one repeats
	mu        sync.Mutex // guards the following
	requests  []*Request
}

// ServeHTTP reads and records the whole request, then sends the next response.
func (s *Script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	body, _ := io.ReadAll(r.Body) // an incomplete request is recorded, too
	response := s.next(&Request{
		Method: r.Method, URL: r.URL, Header: r.Header.Clone(), Body: body, Time: arrived,
	})
	response.serve(w, r)
}

// next records the request and returns its response.
func (s *Script) next(request *Request) Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if len(s.Responses) == 0 {
		return Response{}
	}
	return s.Responses[min(len(s.requests), len(s.Responses))-1]
}

// Requests returns the requests so far, in the order in which their bodies were
// complete, which is also the order of the Responses. The caller must not change
// them.
func (s *Script) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Request(nil), s.requests...)
}

func (p *Response) serve(w http.ResponseWriter, r *http.Request) {
	if !sleep(r, p.Delay) {
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	maps.Copy(header, p.Header)
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	// An error of flush means that the client has disconnected. It is ignored,
	// because the test of that client notices the disconnect itself.
	flush := http.NewResponseController(w).Flush
	_ = flush()
	for i, chunk := range p.Chunks {
		if i > 0 && !sleep(r, p.Pause) {
			return
		}
		_, _ = io.WriteString(w, chunk)
		_ = flush()
	}
	if p.Stall {
		<-r.Context().Done()
	}
	if p.Cut {
		panic(http.ErrAbortHandler) // net/http then aborts the response and logs nothing
	}
}

// sleep waits for d. It returns false if the request's context is done first.
func sleep(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
