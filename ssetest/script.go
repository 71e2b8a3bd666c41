package ssetest

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Response is one answer of a [Script], well-behaved or not.
type Response struct {
	// Status is the status code. If zero, 200.
	Status int

	// Header is sent as it is. If it has no Content-Type, that is
	// text/event-stream; to send none, set it to nil.
	Header http.Header

	// Chunks are the parts of the body. Each is flushed on its own.
	Chunks []string

	// Delay is how long to wait before the header is sent. If zero, it is sent
	// at once.
	Delay time.Duration

	// Pause is how long to wait before every chunk but the first. If zero, they
	// follow each other at once.
	Pause time.Duration

	// Cut aborts the response after the body: the client gets an error instead
	// of the end. (With HTTP/1.1 its connection is closed, with HTTP/2 only its
	// stream.)
	Cut bool

	// Stall keeps the response open after the body, silently, until the client
	// or the server goes.
	Stall bool
}

// Request is what a [Script] has seen of a request.
type Request struct {
	Method string
	URL    *url.URL // path and query, as for a server
	Header http.Header
	Body   []byte
	Time   time.Time // when it came
}

// Script is a [http.Handler] that answers the first request with the first of its
// Responses, the second with the second, and so on; the last repeats. Without any
// it answers with an empty stream. It is safe for concurrent use, if Responses
// are not changed.
type Script struct {
	Responses []Response

	mu       sync.Mutex // guards the following
	requests []*Request
}

// ServeHTTP reads the whole request, then gives the answer whose turn it is.
func (s *Script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	came := time.Now()
	body, _ := io.ReadAll(r.Body) // a request that breaks off counts, too
	response := s.next(&Request{
		Method: r.Method, URL: r.URL, Header: r.Header.Clone(), Body: body, Time: came,
	})
	response.serve(w, r)
}

// next records the request and returns the answer to it.
func (s *Script) next(request *Request) Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if len(s.Responses) == 0 {
		return Response{}
	}
	return s.Responses[min(len(s.requests), len(s.Responses))-1]
}

// Requests returns the requests so far, in the order in which they came. They are
// shared, and not to be changed.
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
	// An error of flush means that the client is gone; who watches sees it.
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
		panic(http.ErrAbortHandler) // net/http's way to say so; it is not logged
	}
}

// sleep waits, and reports whether the request is still wanted.
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
