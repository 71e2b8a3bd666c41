package sse

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The reasons why a stream ends. They are what [Stream] methods return, and
// what [context.Cause] of a stream's context says; use [errors.Is].
var (
	// ErrClosed: the stream was closed on this side.
	ErrClosed = errors.New("sse: stream closed")

	// ErrPeerGone: the client disconnected, or took nothing for WriteTimeout.
	ErrPeerGone = errors.New("sse: peer gone")

	// ErrShutdown: the server is shutting down.
	ErrShutdown = errors.New("sse: server shutting down")

	// ErrLagging: a subscriber of a broker has fallen too far behind.
	ErrLagging = errors.New("sse: subscriber lagging")

	// ErrKicked: [Broker.Kick] has ended the stream.
	ErrKicked = errors.New("sse: subscriber kicked")

	// ErrExpired: the stream has reached [Broker.MaxAge] or [Selection.Expires].
	ErrExpired = errors.New("sse: stream expired")
)

// ErrTruncated is how [Client.Events] ends a stream that must come to an end of
// its own and was cut before it did. What arrived is not all.
var ErrTruncated = errors.New("sse: stream truncated")

// FieldError says that an event has a field that the wire format cannot
// carry, or a topic or pattern that is none. Nothing of the event was written.
type FieldError struct {
	Field  string // "id", "event", "retry", "topic" or "pattern"
	Value  string
	Reason string // what is wrong with it, such as "contains LF"
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("sse: %s %q %s", e.Field, shorten(e.Value), e.Reason)
}

// TooLargeError says that an event was larger than the limit and was skipped.
// It does not end a stream: reading on yields the next event.
type TooLargeError struct {
	Offset int64  // of the event's first byte in the stream
	Size   int64  // bytes of the event on the wire
	Limit  int    // MaxEventSize
	ID     string // the last event ID in force after it
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("sse: event of %d bytes at offset %d skipped: "+
		"it exceeds MaxEventSize, %d bytes", e.Size, e.Offset, e.Limit)
}

// WriterError says that a stream cannot be sent through a ResponseWriter,
// because it does not pass on what a stream needs. It is most often the
// wrapper of a middleware, which then needs an Unwrap method.
type WriterError struct {
	Type    string // the writer's Go type, such as "*http.timeoutWriter"
	Missing string // what it lacks, such as "Flush"

	encodes bool // it compresses, so that Unwrap would lead past what it holds
}

func (e *WriterError) Error() string {
	if e.encodes {
		return fmt.Sprintf("sse: cannot stream through %s: it compresses, and has no %s",
			e.Type, e.Missing)
	}
	return fmt.Sprintf("sse: cannot stream through %s: it has neither %s nor Unwrap",
		e.Type, e.Missing)
}

// ResponseError says that a server's answer was not an event stream. A client
// gets it; and [Broker.Select] returns it to refuse a request: with StatusCode,
// the fields of Header, and Body or else Reason as the text.
type ResponseError struct {
	StatusCode int         // such as 404
	Status     string      // such as "404 Not Found"
	Header     http.Header // of the response
	Body       []byte      // its first bytes, at most 4 KiB
	Reason     string      // what was wrong with it

	mayPass    bool          // another attempt may be answered otherwise
	retryAfter time.Duration // until when the server asks to be left alone
}

func (e *ResponseError) Error() string {
	text := fmt.Sprintf("sse: %s: %s", e.Status, e.Reason)
	line, _, _ := strings.Cut(strings.TrimSpace(string(e.Body)), "\n")
	if line = strings.TrimSpace(line); line != "" {
		text += fmt.Sprintf(": %q", shorten(line))
	}
	return text
}

// shorten keeps an error message to a line or two.
func shorten(s string) string {
	const limit = 100
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
