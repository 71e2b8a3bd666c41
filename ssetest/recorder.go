package ssetest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// Recorder is a [http.ResponseWriter] that records the response of a handler. A
// test can read the response while the handler runs in another goroutine. Unlike
// [net/http/httptest.ResponseRecorder], a Recorder shows only the flushed bytes of the
// body, because a client would receive no other bytes. All methods are safe for
// concurrent use.
//
//	recorder := ssetest.NewRecorder(t)
//	go recorder.Serve(handler, request)
//	events := recorder.Wait(2)
//
// Recorder also has two of the methods that [http.ResponseController] uses:
// FlushError and SetWriteDeadline.
type Recorder struct {
	tb     testing.TB
	header http.Header // used by the handler only

	mu       sync.Mutex // guards the following
	code     int        // 0 until the header is sent
	sent     http.Header
	pending  []byte // written, not flushed
	flushed  []byte
	deadline time.Time
	done     bool          // the handler in Serve has returned
	changed  chan struct{} // closed and replaced when flushed or done changes
}

// NewRecorder returns a recorder for one response. To use the recorder in a
// bubble of [testing/synctest], call NewRecorder inside the bubble, with the t
// of the bubble.
func NewRecorder(tb testing.TB) *Recorder {
	return &Recorder{tb: tb, header: make(http.Header), changed: make(chan struct{})}
}

// Serve calls handler with the recorder and request, and blocks until handler
// returns. Then it flushes the rest of the response, as net/http does. The test
// fails if a goroutine that the handler has started uses the response later. Call
// Serve once.
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

// Header returns the header for the handler to set. Only the handler may call it; a
// test uses [Recorder.SentHeader].
func (r *Recorder) Header() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkLocked("Header")
	return r.header
}

// WriteHeader begins the response with a status code. It does nothing if the response
// has begun, or if the status is informational (1xx, except 101).
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

// Write buffers p until the next flush. It never blocks. Its only error is
// [os.ErrDeadlineExceeded], after the write deadline.
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

// FlushError makes the written bytes visible to the test. It never blocks. Its only
// error is [os.ErrDeadlineExceeded], after the write deadline.
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

// Flush calls FlushError and ignores its error. It makes Recorder a
// [http.Flusher].
func (r *Recorder) Flush() { _ = r.FlushError() }

// SetWriteDeadline sets the time at which Write and FlushError begin to fail. The
// zero time means that they never fail.
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

// checkLocked fails the test if the handler has returned.
func (r *Recorder) checkLocked(method string) {
	if r.done {
		r.tb.Errorf("ssetest: %s must not be called after the handler has returned", method)
	}
}

// Code returns the status code, or 0 if the response has not begun.
func (r *Recorder) Code() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.code
}

// SentHeader returns a copy of the header as it was when the response began, or nil if
// the response has not begun.
func (r *Recorder) SentHeader() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.Clone()
}

// WriteDeadline returns the deadline that the handler has set last, or the zero time.
func (r *Recorder) WriteDeadline() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deadline
}

// Body returns a copy of the bytes flushed so far.
func (r *Recorder) Body() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.flushed)
}

// Events returns the events flushed so far. It leaves out comments, and an incomplete
// event at the end. [Recorder.Body] includes both.
func (r *Recorder) Events() []sse.Event {
	events, _ := decode(r.Body())
	return events
}

// Wait blocks until at least n events are flushed, until the handler in Serve
// returns, or until the test ends. It returns all events flushed so far. If the
// handler or the test has ended, they may be fewer than n.
func (r *Recorder) Wait(n int) []sse.Event {
	for {
		r.mu.Lock()
		body, done, changed := bytes.Clone(r.flushed), r.done, r.changed
		r.mu.Unlock()

		events, _ := decode(body)
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

// Events returns the events of a body that a test has recorded, for example with
// [net/http/httptest.ResponseRecorder]. If the body ends within an event that has a
// data field, the error wraps [io.ErrUnexpectedEOF]. If an event has more than 16
// MiB, the error wraps a [*sse.TooLargeError]. Events returns all other events even
// then.
func Events(body []byte) ([]sse.Event, error) {
	events, err := decode(body)
	// If two more line ends complete one more event, the body ends within that event.
	if longer, _ := decode(append(bytes.Clone(body), "\n\n"...)); len(longer) > len(events) {
		err = errors.Join(err, io.ErrUnexpectedEOF)
	}
	return events, err
}

// decode returns the complete events of a body. If it has left out events because they
// are too large, it returns the error of the last of them.
func decode(body []byte) (events []sse.Event, err error) {
	d := sse.NewDecoder(bytes.NewReader(body), &sse.DecoderOptions{
		OnSkip: func(skipped *sse.TooLargeError) { err = skipped },
	})
	for event, readErr := range d.Events() {
		if readErr != nil {
			return events, readErr
		}
		events = append(events, event)
	}
	return events, err
}
