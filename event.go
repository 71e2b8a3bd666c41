package sse

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one event of a stream.
//
// Every event whose Data has no CR arrives as it was sent. CR cannot be
// represented: it is a line end on the wire, as CRLF is, so both arrive as LF.
// Bytes of Data that are not UTF-8 arrive as U+FFFD.
type Event struct {
	// ID is what the client sends back as Last-Event-ID when it reconnects.
	//
	// In an event to be sent, empty means that the event has none. In an event
	// that was received, ID is the last event ID in force, which an earlier
	// event may have set: what a browser calls lastEventId.
	ID string

	// Type is the name that a browser dispatches the event under. If empty, it
	// is "message". Types that begin with "sse." are this package's.
	Type string

	// Data is the payload: any text, of any number of lines, also empty.
	Data string

	// Retry, if not zero, tells the client how long to wait before it
	// reconnects from now on. It is sent in milliseconds, rounded up.
	Retry time.Duration

	// Topic is the topic that the event came on, if the server tells; empty
	// otherwise. It is sent as a field of its own, which other clients ignore
	// (HTML 9.2.6), and it is of this event only.
	Topic string
}

// Decode parses the event's data as JSON into a value of type T. The error
// names the event, and wraps that of encoding/json.
func Decode[T any](event Event) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(event.Data), &v); err != nil {
		kind := event.Type
		if kind == "" {
			kind = "message"
		}
		return v, fmt.Errorf("sse: event of type %q is not JSON for %T: %w", kind, v, err)
	}
	return v, nil
}

// check reports what in the event cannot be carried by the wire format.
func (e *Event) check() error {
	if e.Topic != "" {
		if err := checkField("topic", e.Topic); err != nil {
			return err
		}
	}
	if e.ID != "" {
		if err := checkField("id", e.ID); err != nil {
			return err
		}
	}
	if e.Type != "" {
		if err := checkField("event", e.Type); err != nil {
			return err
		}
	}
	if e.Retry < 0 {
		return &FieldError{Field: "retry", Value: e.Retry.String(), Reason: "is negative"}
	}
	return nil
}

// checkField refuses what would end the line and start another field, what a
// client ignores (NUL), and what would not come back as it was sent.
func checkField(field, value string) error {
	reason := ""
	switch {
	case strings.IndexByte(value, '\n') >= 0:
		reason = "contains LF"
	case strings.IndexByte(value, '\r') >= 0:
		reason = "contains CR"
	case strings.IndexByte(value, 0) >= 0:
		reason = "contains NUL"
	case !utf8.ValidString(value):
		reason = "is not UTF-8"
	default:
		return nil
	}
	return &FieldError{Field: field, Value: value, Reason: reason}
}
