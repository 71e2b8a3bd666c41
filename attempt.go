package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	maxErrorBody     = 4 << 10         // bytes of a ResponseError's Body
	errorBodyTimeout = 5 * time.Second // for reading them
)

// cursorType is the type of the events that tell the position of the server's
// log, in their ID. A client needs it to reconnect; its caller does not.
const cursorType = "sse.cursor"

// finalError marks an error that retrying cannot mend.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// isFinal reports whether there is no use in another attempt.
func isFinal(err error) bool {
	var final *finalError
	var refusal *ResponseError
	return errors.As(err, &final) || errors.As(err, &refusal) && !refusal.mayPass
}

// attempt sends the request and yields the events of the response. The error
// is errStopped, errTerminal, final, or why the stream was lost: nil if the server
// ended it as one should.
func (s *session) attempt(ctx context.Context, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := newWatchdog(s.c.IdleTimeout, cancel)
	defer dog.stop()

	resp, err := s.connect(ctx, dog)
	if err != nil {
		return causeOr(ctx, err)
	}
	defer resp.Body.Close()
	if err := s.checkResponse(resp, cancel); err != nil {
		return err
	}
	s.opened, s.begun = true, true
	s.lasted = 0
	opened := time.Now()
	defer func() { s.lasted = time.Since(opened) }()
	s.tell(StateChange{State: StateOpen, Response: resp})
	return s.read(ctx, &watchedReader{resp.Body, dog}, yield)
}

// read yields the events of an open stream.
func (s *session) read(ctx context.Context, r io.Reader, yield func(Event, error) bool) error {
	d := NewDecoder(r, &DecoderOptions{
		MaxEventSize: s.c.MaxEventSize,
		LastEventID:  s.lastID,
		OnComment:    s.c.OnComment,
		OnRetry:      s.setRetry,
	})
	for {
		raw, err := d.Next()
		// What was read ahead of a cancellation is not yielded after it. It is
		// not lost either: the next request asks for what follows lastID. But an
		// id without an event counts, once all that came before it was yielded.
		// The caller's context is asked too, as it is done a moment before ctx.
		if s.ctx.Err() != nil || ctx.Err() != nil {
			if err == nil || isTooLarge(err) {
				s.lastID = d.idBefore()
			} else {
				s.lastID = d.LastEventID()
			}
			return causeOr(s.ctx, context.Cause(ctx))
		}
		s.lastID = d.LastEventID()
		switch {
		case err == nil && string(raw.Type) == cursorType:
			// Its ID is all that it has to say. It is no progress: a server that
			// dies whenever it has sent one must not be asked without pause.
		case err == nil:
			if err := s.deliver(d.event(raw), yield); err != nil {
				return err
			}
		case isTooLarge(err):
			s.failures = 0
			if !yield(Event{}, err) {
				return errStopped
			}
		case err != io.EOF:
			return fmt.Errorf("sse: reading the stream: %w", err)
		case d.incomplete():
			return fmt.Errorf("sse: the stream ended inside of an event: %w", io.ErrUnexpectedEOF)
		default:
			return nil
		}
	}
}

// deliver yields an event. The error says that it was the last.
func (s *session) deliver(event Event, yield func(Event, error) bool) error {
	s.failures = 0
	terminal := s.c.Terminal != nil && s.c.Terminal(event)
	if !yield(event, nil) {
		return errStopped
	}
	if terminal {
		return errTerminal
	}
	return nil
}

// causeOr is why ctx was canceled, or err if it was not.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// checkResponse returns an error unless the response is an event stream.
//
// HTML 9.2.3: "… if res's status is not 200, or if res's Content-Type is not
// text/event-stream, then fail the connection."
func (s *session) checkResponse(resp *http.Response, cancel context.CancelCauseFunc) error {
	reason := ""
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case resp.StatusCode == http.StatusNoContent:
		reason = "the server says to stop"
	case resp.StatusCode != http.StatusOK:
		reason = "not an event stream"
	case !isEventStream(resp.Header.Get("Content-Type")):
		reason = fmt.Sprintf("the content type is %q, not text/event-stream",
			resp.Header.Get("Content-Type"))
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		reason = fmt.Sprintf("the content encoding is %q, which the client does not decode", encoding)
	default:
		return nil
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		resp.Body = http.NoBody // it is the connection, which no context ends
	}
	dog := newWatchdog(errorBodyTimeout, cancel)
	dog.start()
	defer dog.stop()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what there is of it
	return &ResponseError{
		StatusCode: resp.StatusCode,
		Status:     resp.Status,
		Header:     resp.Header,
		Body:       body,
		Reason:     reason,
		mayPass:    mayPass(resp.StatusCode) && !s.c.LikeBrowser,
		retryAfter: retryAfter(resp.Header),
	}
}

// mayPass reports whether a status may be another one later.
func mayPass(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// retryAfter is how long the server asks to be left alone.
//
// RFC 9110 10.2.3: "The Retry-After field value can be either an HTTP-date or a
// number of seconds …"
func retryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64) // the largest number, if out of range
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetry/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(time.Until(date), maxRetry)
	}
	return 0
}

// isEventStream compares the essence of a MIME type; its parameters do not
// matter, and need not even be well-formed.
func isEventStream(contentType string) bool {
	essence, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(essence, " \t\r\n"), "text/event-stream")
}

// watchdog cancels when nothing has come for too long. If d is zero it never
// does.
type watchdog struct {
	d     time.Duration
	timer *time.Timer
}

func newWatchdog(d time.Duration, cancel context.CancelCauseFunc) *watchdog {
	w := &watchdog{d: d}
	if d > 0 {
		w.timer = time.AfterFunc(d, func() {
			cancel(fmt.Errorf("sse: no byte for %v: %w", d, os.ErrDeadlineExceeded))
		})
		w.timer.Stop()
	}
	return w
}

func (w *watchdog) start() {
	if w.timer != nil {
		w.timer.Reset(w.d)
	}
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watchedReader is watched while it waits for a byte, and not while the caller
// is busy with those that have come.
type watchedReader struct {
	r   io.Reader
	dog *watchdog
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.dog.start()
	n, err := w.r.Read(p)
	w.dog.stop()
	return n, err
}
