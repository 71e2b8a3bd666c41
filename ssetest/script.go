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
	// response has Content-Type text/event-stream. If the entry Content-Type is nil,
	// the response has no Content-Type.
	Header http.Header

	// Chunks are the parts of the body. Each is flushed separately.
	Chunks []string

	// Delay is the time to wait before sending the header. If zero, the header is
	// sent at once.
	Delay time.Duration

	// Pause is the time to wait before every chunk except the first. If zero, the
	// chunks are sent without pauses.
	Pause time.Duration

	// Cut aborts the response after the last chunk: the client receives an error
	// instead of the end of the body. On HTTP/1.1, this closes the connection. On
	// HTTP/2, it ends only this response.
	Cut bool

	// Stall leaves the response open after the last chunk, and sends nothing more. The
	// response ends when the client closes it, or when the connection breaks, for
	// example because of [Server.CutAll], [Server.Stop] or [Server.Close].
	Stall bool
}

// Request is a request that a [Script] has received.
type Request struct {
	Method string
	URL    *url.URL // path and query, as in a server's request
	Header http.Header
	Body   []byte
	Time   time.Time // when the header of the request arrived
}

// Script is a [http.Handler] that sends the first of its Responses to the first
// request, the second to the second request, and so on. It sends the last of the
// Responses to all further requests. If there are no Responses, it sends an empty
// stream. A Script is safe for concurrent use as long as Responses is not changed.
type Script struct {
	Responses []Response // in order; the last one repeats
	mu        sync.Mutex // guards the following
	requests  []*Request
}

// ServeHTTP reads and records the whole request, and then sends the next of the
// Responses.
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
// complete. The Script has used its Responses in the same order: the first for the
// first request, and so on. The caller must not change the requests.
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
	// If flush returns an error, the client has disconnected. The error is ignored,
	// because the test sees the end of the response in the client.
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
