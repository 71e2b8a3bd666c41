package sse

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The reasons why a stream ends. If a stream has ended, the methods Send, SendJSON
// and Comment of [Stream] return an error that wraps one of these errors.
// [context.Cause] of the stream's context returns such an error, too. There is one
// exception: if the application has ended the request's context with a cause other
// than [context.Canceled], for example with a timeout, the error is that cause.
// Compare with [errors.Is].
var (
	// ErrClosed: the server itself has closed the stream, for example with
	// [Stream.Close].
	ErrClosed = errors.New("sse: stream closed")

	// ErrPeerGone: the client disconnected, or exceeded
	// [AcceptOptions.WriteTimeout] or [StreamOptions.WriteTimeout].
	ErrPeerGone = errors.New("sse: peer gone")

	// ErrShutdown: the server is shutting down.
	ErrShutdown = errors.New("sse: server shutting down")

	// ErrLagging: a subscriber whose policy is [LagDisconnect] has fallen too far
	// behind. ErrLagging is also the reason if the policy of a subscriber is
	// [LossRefuse], and a selected event was removed, for example by [Broker.Forget],
	// before the subscriber received the event.
	ErrLagging = errors.New("sse: subscriber lagging")

	// ErrKicked: [Broker.Kick] has ended the stream.
	ErrKicked = errors.New("sse: subscriber kicked")

	// ErrExpired: the stream has reached [Broker.MaxAge] or
	// [Selection.Expires].
	ErrExpired = errors.New("sse: stream expired")
)

// ErrTruncated is the error of [Client.Events] for a stream that ended before
// it was complete. The events that arrived are only a part of the answer.
var ErrTruncated = errors.New("sse: stream truncated")

// ErrGaveUp is the error of [Client.Events] after [Client.MaxRetries] retries
// without progress. The error also wraps the reason why the last attempt failed.
var ErrGaveUp = errors.New("sse: gave up")

// ErrInUse is the error of [Client.Events] if an earlier call of Events has not
// ended, because a Client receives one stream at a time. Use another Client.
var ErrInUse = errors.New("sse: Client.Events is already running; use another Client")

// FieldError reports an invalid value: a field of an event that the wire format
// cannot carry, an ID that a request cannot carry, an invalid topic or pattern, or
// an [AppendRequest.Key] that was used before with another Digest. No part of the
// event has been written.
type FieldError struct {
	Field  string // "id", "event", "retry", "topic", "pattern" or "key"
	Value  string
	Reason string // the rule that Value breaks, for example "contains LF"
}

// Error returns the field, the beginning of the value, and the reason.
func (e *FieldError) Error() string {
	return fmt.Sprintf("sse: %s %q %s", e.Field, shorten(e.Value), e.Reason)
}

// TooLargeError reports an event that is skipped because it exceeds the limit. The
// error is reported once, as soon as the limit is exceeded, because the event may
// never end. The stream continues with the event after it. [DecoderOptions.OnSkip]
// and [Client.OnSkip] receive a TooLargeError; in this package, only [Decoder.Next]
// returns it.
type TooLargeError struct {
	Offset int64 // of the event's first byte in the stream
	Limit  int   // the MaxEventSize that the event exceeds, in bytes

	// LastEventID is the last event ID when the error is reported. If the id line of
	// the skipped event came before the event exceeded the limit, LastEventID is the ID
	// of this event. If the id line comes later, LastEventID is the last event ID
	// before this event, and the id line takes effect at the end of this event.
	LastEventID string
}

// Error returns the offset of the event, and the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("sse: the event at offset %d is skipped: "+
		"it has more than %d bytes, the limit MaxEventSize", e.Offset, e.Limit)
}

// WriterError reports an [http.ResponseWriter] that cannot carry a stream. In most
// cases, middleware has wrapped the server's writer in a type that does not have a
// method that streams need. To correct this, add a method Unwrap to that type. If the
// type compresses, add the missing method instead.
type WriterError struct {
	Type    string // the writer's Go type, for example "*http.timeoutWriter"
	Missing string // the method that it lacks, for example "Flush"

	compresses bool // the writer compresses: Unwrap would bypass the bytes that it buffers
}

// Error returns the writer's type and the method that it must have.
func (e *WriterError) Error() string {
	if e.compresses {
		return fmt.Sprintf("sse: cannot stream through %s: "+
			"it compresses, so it must have a method %s", e.Type, e.Missing)
	}
	return fmt.Sprintf("sse: cannot stream through %s: it must have a method %s or Unwrap",
		e.Type, e.Missing)
}

// ResponseError reports a response that is not an event stream. [Client.Events]
// yields a ResponseError. [Broker.Select] returns a ResponseError to refuse or
// redirect a request. The broker then responds with
//
//   - StatusCode, for example 307 with a Location; or 403, if StatusCode is
//     neither 204 nor from 300 to 599;
//   - the fields of Header except Content-Length. Unless Header sets them,
//     Cache-Control is no-store and, if there is a body, Content-Type is
//     text/plain and X-Content-Type-Options is nosniff;
//   - the bytes of Body, or, if Body is empty, Reason and a line end. The
//     responses 204 and 304 have no body.
type ResponseError struct {
	StatusCode int         // for example 404
	Status     string      // for example "404 Not Found"
	Header     http.Header // of the response
	Body       []byte      // a Client sets at most the first 4 KiB, after decoding gzip
	Reason     string      // why the response is not an event stream

	retryable  bool          // the next attempt may get another response
	retryAfter time.Duration // how long the server asks the client to wait
}

// Error returns the status, the reason, and the first line of the body.
func (e *ResponseError) Error() string {
	text := fmt.Sprintf("sse: %s: %s", e.Status, e.Reason)
	line, _, _ := strings.Cut(strings.TrimSpace(string(e.Body)), "\n")
	if line = strings.TrimSpace(line); line != "" {
		text += fmt.Sprintf(": %q", shorten(line))
	}
	return text
}

// finalError marks an error after which reconnecting cannot help.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// stripURL returns err without the URL of the request, because the query of the URL
// may be secret.
func stripURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// parseError returns err, an error of url.Parse, without the URL. If the URL may
// contain a password, parseError also removes each part of the URL that the text of
// err quotes.
func parseError(rawURL string, err error) error {
	err = stripURL(err)
	text := err.Error()
	first, last := strings.IndexByte(text, '"'), strings.LastIndexByte(text, '"')
	if first < 0 || !strings.Contains(rawURL, "@") {
		return err
	}
	return errors.New(text[:first] + "…" + text[last+1:])
}

// shorten cuts s to 100 bytes and appends "…" if it has cut anything, so that an
// error message fits a line or two.
func shorten(s string) string {
	const limit = 100
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
