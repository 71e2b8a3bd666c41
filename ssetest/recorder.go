package ssetest

import (
	"bytes"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// Recorder is a [http.ResponseWriter] that records what a handler sends, to be
// looked at while the handler runs in another goroutine. Unlike
// [net/http/httptest.ResponseRecorder], it shows only what was flushed, as a
// client would see it. All its methods are safe for concurrent use.
//
//	recorder := ssetest.NewRecorder(t)
//	go recorder.Serve(handler, request)
//	events := recorder.Wait(2)
//
// Besides [http.ResponseWriter] it has what [http.ResponseController] looks for:
// FlushError and SetWriteDeadline.
type Recorder struct {
	tb     testing.TB
	header http.Header // the handler's alone

	mu       sync.Mutex // guards the following
	code     int        // 0 until the header is sent
	sent     http.Header
	pending  []byte // written, not flushed
	flushed  []byte
	deadline time.Time
	done     bool          // Serve's handler has returned
	changed  chan struct{} // closed, and replaced, when flushed or done changes
}

// NewRecorder returns a recorder for one response. In a bubble of
// [testing/synctest], call it inside, with the t of the bubble.
func NewRecorder(tb testing.TB) *Recorder {
	return &Recorder{tb: tb, header: make(http.Header), changed: make(chan struct{})}
}

// Serve calls handler with the recorder and request, and blocks until it returns.
// As net/http does, it then flushes the rest. After that the response must not be
// touched: who does, perhaps a goroutine that the handler left behind, fails the
// test. Call Serve once.
func (r *Recorder) Serve(handler http.Handler, request *http.Request) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.flushLocked()
		r.done = true
		r.wakeLocked()
	}()
	handler.ServeHTTP(r, request)
}

// Header returns the header for the handler to set. It is not for the test to
// read while the handler runs, see [Recorder.SentHeader].
func (r *Recorder) Header() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkLocked("Header")
	return r.header
}

// WriteHeader begins the response with a status code, unless it has begun. An
// informational status (1xx) is not recorded.
func (r *Recorder) WriteHeader(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkLocked("WriteHeader")
	r.writeHeaderLocked(code)
}

func (r *Recorder) writeHeaderLocked(code int) {
	informational := code >= 100 && code < 200 && code != http.StatusSwitchingProtocols
	if r.code == 0 && !informational {
		r.code = code
		r.sent = r.header.Clone()
	}
}

// Write keeps p until it is flushed. It never blocks and never fails, but for a
// write deadline that is past: then the error is [os.ErrDeadlineExceeded].
func (r *Recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkLocked("Write")
	if r.expiredLocked() {
		return 0, os.ErrDeadlineExceeded
	}
	r.writeHeaderLocked(http.StatusOK)
	r.pending = append(r.pending, p...)
	return len(p), nil
}

// FlushError makes visible what was written. It never blocks. After the write
// deadline the error is [os.ErrDeadlineExceeded].
func (r *Recorder) FlushError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkLocked("Flush")
	if r.expiredLocked() {
		return os.ErrDeadlineExceeded
	}
	r.flushLocked()
	return nil
}

// Flush is FlushError for handlers that ask for a [http.Flusher].
func (r *Recorder) Flush() { _ = r.FlushError() }

// SetWriteDeadline sets when Write and Flush begin to fail. The zero time means
// never.
func (r *Recorder) SetWriteDeadline(deadline time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkLocked("SetWriteDeadline")
	r.deadline = deadline
	return nil
}

func (r *Recorder) flushLocked() {
	r.writeHeaderLocked(http.StatusOK)
	r.flushed = append(r.flushed, r.pending...)
	r.pending = r.pending[:0]
	r.wakeLocked()
}

func (r *Recorder) wakeLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Recorder) expiredLocked() bool {
	return !r.deadline.IsZero() && !time.Now().Before(r.deadline)
}

// checkLocked fails the test if the response is used after its handler.
func (r *Recorder) checkLocked(method string) {
	if r.done {
		r.tb.Errorf("ssetest: %s was called after the handler had returned", method)
	}
}

// Code returns the status code, or 0 while the response has not begun.
func (r *Recorder) Code() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.code
}

// SentHeader returns a copy of the header as it was when the response began, or
// nil while it has not begun.
func (r *Recorder) SentHeader() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.Clone()
}

// WriteDeadline returns the deadline that the handler has set last.
func (r *Recorder) WriteDeadline() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deadline
}

// Body returns a copy of the bytes that were flushed so far.
func (r *Recorder) Body() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.flushed)
}

// Events returns the events that were flushed so far. Comments and an event that
// is not complete are left out; they are in Body.
func (r *Recorder) Events() []sse.Event { return decode(r.Body()) }

// Wait blocks until at least n events were flushed, and returns all there are. It
// returns fewer if Serve's handler returns, or the test ends, before.
func (r *Recorder) Wait(n int) []sse.Event {
	for {
		r.mu.Lock()
		body, done, changed := bytes.Clone(r.flushed), r.done, r.changed
		r.mu.Unlock()

		events := decode(body)
		if len(events) >= n || done {
			return events
		}
		select {
		case <-changed:
		case <-r.tb.Context().Done():
			return events
		}
	}
}

func decode(body []byte) []sse.Event {
	var events []sse.Event
	for event, err := range sse.NewDecoder(bytes.NewReader(body), nil).Events() {
		if err == nil { // the only error here is an event too large to decode
			events = append(events, event)
		}
	}
	return events
}
