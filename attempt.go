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

	maxDrain     = 4 << 10                // bytes after the terminal event
	drainTimeout = 100 * time.Millisecond // for reading them
)

// isFinal reports whether another attempt cannot help.
func isFinal(err error) bool {
	var final *finalError
	var refusal *ResponseError
	return errors.As(err, &final) || errors.As(err, &refusal) && !refusal.retryable
}

// attempt sends the request and yields the events of the response. It returns
// errStopped, errTerminal, a final error, or the reason why the stream was
// lost. It returns nil if the server ended the stream properly.
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
		// After a cancellation no event is yielded, even if it was read before.
		// The caller's context is checked too, because it is done a moment
		// before ctx.
		if s.ctx.Err() != nil || ctx.Err() != nil {
			s.lastID = undeliveredID(d, err)
			return preferCause(s.ctx, context.Cause(ctx))
		}
		previous := s.lastID
		s.lastID = d.lastEventID()
		switch skipped := d.skipped(err); {
		case err == nil && string(raw.Type) == typeCursor:
			// A cursor carries nothing but its ID. It is not progress, so that
			// a server that crashes after each cursor is not flooded with
			// requests.
			if s.c.OnCursor != nil && s.lastID != previous {
				s.c.OnCursor(s.lastID)
			}
		case err == nil:
			if err := s.deliver(d.toEvent(&raw), yield); err != nil {
				return err
			}
		case skipped != nil:
			// Without an ID, it is not progress: the next request may get the same
			// event again.
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

// undeliveredID returns the last event ID if the result of Decoder.Next is not
// delivered. The event is not lost: the next request asks for the events after this
// ID. An ID without an event does count, because every event before it has been
// yielded.
func undeliveredID(d *Decoder, err error) string {
	if err == nil || d.skipped(err) != nil {
		return d.previousID()
	}
	return d.lastEventID()
}

// deliver yields an event. It returns errTerminal if this event ends the stream by
// agreement, and otherwise errStopped if the loop has ended.
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

// drain reads the rest of a body after the terminal event. If the body ends soon,
// the transport can use the connection again. Otherwise drain calls cancel.
func drain(body io.Reader, cancel context.CancelCauseFunc) {
	wd := newWatchdog(drainTimeout, cancel)
	wd.start()
	defer wd.stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxDrain)) // the stream is complete in any case
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
		reason = "Content-Type must be text/event-stream" + butIs(resp, "Content-Type")
	case !decodable:
		reason = "Content-Encoding must be gzip or none" + butIs(resp, "Content-Encoding")
	default:
		return nil
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		content = http.NoBody // it is the connection itself, which no context closes
	}
	var body []byte
	if decodable {
		body = readErrorBody(content, cancel)
	}
	if decodable && len(codings) > 0 {
		resp.Header.Del("Content-Encoding") // as net/http does
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

// butIs returns the end of a sentence about the value of a header field.
func butIs(resp *http.Response, name string) string {
	value := strings.Join(resp.Header.Values(name), ", ")
	if value == "" {
		return ", but the response has none"
	}
	return fmt.Sprintf(", not %q", shorten(value))
}

// readErrorBody returns the beginning of the body of a response that is not a
// stream. It calls cancel if the rest of the body does not arrive in time.
func readErrorBody(r io.Reader, cancel context.CancelCauseFunc) []byte {
	wd := newWatchdog(errorBodyTimeout, cancel)
	wd.start()
	defer wd.stop()
	body, _ := io.ReadAll(io.LimitReader(r, maxErrorBody)) // a part is enough
	return body
}

// isRetryable reports whether a later attempt may get another status.
func isRetryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// retryAfter returns how long the server asks the client to wait, at most
// maxRetry.
//
// RFC 9110 10.2.3: "The Retry-After field value can be either an HTTP-date or a
// number of seconds …"
func retryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64) // out of range, it is the largest number
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetry/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(time.Until(date), maxRetry)
	}
	return 0
}
