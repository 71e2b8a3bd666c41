package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxErrorBody     = 4 << 10         // bytes in ResponseError.Body
	errorBodyTimeout = 5 * time.Second // for reading that body

	maxDrain     = 4 << 10                // bytes that drain reads after the terminal event
	drainTimeout = 100 * time.Millisecond // for reading these bytes
)

// isFinal reports whether err is final: another attempt would fail, too.
func isFinal(err error) bool {
	var final *finalError
	var refusal *ResponseError
	return errors.As(err, &final) || errors.As(err, &refusal) && !refusal.retryable
}

// attempt sends the request and yields the events of the response. It returns nil
// if the server ended the stream between two events, errTerminal after the terminal
// event, and errStopped if the caller has left its loop. Otherwise the error is the
// reason why the stream was not opened or was lost.
func (s *session) attempt(ctx context.Context, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wd := newWatchdog(s.c.IdleTimeout, cancel)
	defer wd.stop()

	resp, err := s.connector.connect(ctx, s.lastID, wd)
	if err != nil {
		return preferCause(ctx, err)
	}
	defer resp.Body.Close()
	if err := s.checkResponse(resp, cancel); err != nil {
		return err
	}
	s.opened, s.everOpened = true, true
	s.openDuration = 0
	opened := time.Now()
	defer func() { s.openDuration = time.Since(opened) }()
	s.report(StateChange{State: StateOpen, Response: resp})
	body, _ := decodeContent(&watchedReader{resp.Body, wd}, contentCodings(resp.Header))
	err = s.readEvents(ctx, body, yield)
	if err == errTerminal {
		drain(resp.Body, cancel)
	}
	return err
}

// readEvents yields the events of an open stream. It returns as attempt does.
func (s *session) readEvents(
	ctx context.Context, r io.Reader, yield func(Event, error) bool,
) error {
	d := NewDecoder(r, &DecoderOptions{
		MaxEventSize: s.c.MaxEventSize,
		LastEventID:  s.lastID,
		OnComment:    s.c.OnComment,
		OnRetry:      s.setRetry,
	})
	for {
		raw, err := d.Next()
		// After a cancellation no event is yielded, even if the event was read
		// before. The caller's context, s.ctx, is checked too, because ctx is
		// derived from s.ctx and may be done a moment later.
		if s.ctx.Err() != nil || ctx.Err() != nil {
			s.lastID = undeliveredID(d, err)
			return preferCause(s.ctx, context.Cause(ctx))
		}
		previous := s.lastID
		s.lastID = d.lastEventID()
		switch skipped := d.skipped(err); {
		case err == nil && string(raw.Type) == typeCursor:
			// An event of type sse.cursor has only an ID. It does not reset s.failures,
			// which determines the delay. Otherwise a server that crashes after
			// each cursor would be flooded with requests.
			if s.c.OnCursor != nil && s.lastID != previous {
				s.c.OnCursor(s.lastID)
			}
		case err == nil:
			if err := s.deliver(d.toEvent(&raw), yield); err != nil {
				return err
			}
		case skipped != nil:
			// If the skipped event has no new ID, it does not reset s.failures,
			// because the next request may get the same event again.
			if s.lastID != previous {
				s.failures = 0
			}
			reportSkipped(skipped, s.c.OnSkip, cmp.Or(s.c.Logger, slog.Default()))
		case err != io.EOF:
			return fmt.Errorf("sse: reading the stream: %w", err)
		case d.isIncomplete():
			return fmt.Errorf("sse: the stream ended within an event: %w", io.ErrUnexpectedEOF)
		default:
			return nil
		}
	}
}

// undeliveredID returns the ID for the next request if the result of Decoder.Next
// is not delivered. err is the error of this result. If the result is an event or a
// skipped event, undeliveredID returns the last event ID before that event, so that the
// server sends the event again. Otherwise there is no such event: the result is the end
// of the stream or a failure, and every complete event before it was yielded. So
// undeliveredID returns the newest ID. A block without data may have set this ID.
func undeliveredID(d *Decoder, err error) string {
	if err == nil || d.skipped(err) != nil {
		return d.previousID()
	}
	return d.lastEventID()
}

// deliver yields an event. It returns errTerminal if Client.Terminal accepts the
// event. Otherwise it returns errStopped if the caller has left its loop.
func (s *session) deliver(event Event, yield func(Event, error) bool) error {
	s.failures = 0
	terminal := s.c.Terminal != nil && s.c.Terminal(event)
	goesOn := yield(event, nil)
	switch {
	case terminal:
		return errTerminal
	case !goesOn:
		return errStopped
	}
	return nil
}

// drain reads the rest of a body after the terminal event: at most maxDrain bytes, for at
// most drainTimeout. If the body ends within these limits, the transport can use the
// connection again. After drainTimeout, drain calls cancel to end the read.
func drain(body io.Reader, cancel context.CancelCauseFunc) {
	wd := newWatchdog(drainTimeout, cancel)
	wd.start()
	defer wd.stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxDrain)) // the stream is complete anyway
}

// preferCause returns the cause of ctx if ctx is done, and otherwise err.
func preferCause(ctx context.Context, err error) error {
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
	codings := contentCodings(resp.Header)
	content, decodable := decodeContent(resp.Body, codings)
	reason := ""
	switch {
	case resp.StatusCode == http.StatusNoContent:
		reason = "the server asks clients not to reconnect"
	case resp.StatusCode != http.StatusOK:
		reason = "not an event stream"
	case !isEventStream(resp.Header):
		reason = "Content-Type must be text/event-stream" + actualValue(resp, "Content-Type")
	case !decodable:
		reason = "Content-Encoding must be gzip or none" + actualValue(resp, "Content-Encoding")
	default:
		return nil
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		content = http.NoBody // the body is the connection: cancel would not end a read
	}
	var body []byte
	if decodable {
		body = readErrorBody(content, cancel)
	}
	if decodable && len(codings) > 0 {
		resp.Header.Del("Content-Encoding") // as net/http does after decoding a body
		resp.Header.Del("Content-Length")
	}
	return &ResponseError{
		StatusCode: resp.StatusCode,
		Status:     resp.Status,
		Header:     resp.Header,
		Body:       body,
		Reason:     reason,
		retryable:  isRetryable(resp.StatusCode) && !s.c.LikeBrowser,
		retryAfter: retryAfter(resp.Header),
	}
}

// actualValue returns the end of an error text: the value of a header field whose
// value is wrong. For example: `, not "text/html"`.
func actualValue(resp *http.Response, name string) string {
	value := strings.Join(resp.Header.Values(name), ", ")
	if value == "" {
		return ", but the response has none"
	}
	return fmt.Sprintf(", not %q", shorten(value))
}

// readErrorBody returns the beginning of the body of a response that is not a
// stream: at most maxErrorBody bytes. After errorBodyTimeout, it calls cancel
// to end the read, and returns the bytes that have arrived.
func readErrorBody(r io.Reader, cancel context.CancelCauseFunc) []byte {
	wd := newWatchdog(errorBodyTimeout, cancel)
	wd.start()
	defer wd.stop()
	body, _ := io.ReadAll(io.LimitReader(r, maxErrorBody)) // a part is enough
	return body
}

// isRetryable reports whether a later attempt may get a status other than this one.
func isRetryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// retryAfter returns how long the server asks the client to wait, at most maxRetry.
// The result is not positive if the client need not wait.
//
// RFC 9110 10.2.3: "The Retry-After field value can be either an HTTP-date or a
// number of seconds …"
func retryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64) // if out of range, the largest uint64
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetry/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(time.Until(date), maxRetry)
	}
	return 0
}
