package sse

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

// Types that begin with reservedPrefix belong to the events of this package.
const reservedPrefix = "sse."

// typeCursor is the type of an event whose ID is the server's current position. A
// Client uses this position when it reconnects, and does not yield the event.
const typeCursor = reservedPrefix + "cursor"

// Event is one event of a stream.
//
// An event arrives exactly as it was sent, with four exceptions. LastEventID is
// set. Retry is rounded up to milliseconds. CR ends a line on the wire, as CRLF
// does, so CR and CRLF in Data arrive as LF. Bytes of Data that are not valid UTF-8
// arrive as U+FFFD.
type Event struct {
	// ID is the ID of this event itself. A client that reconnects after the event
	// sends this ID as Last-Event-ID. If empty, the event has no ID. In an event to
	// send or publish, ID must be empty or a value that a header field can carry:
	// at most 1,024 bytes of UTF-8, no control characters, and no space at either
	// end.
	ID string

	// LastEventID is set only in a received event: it is the last event ID after
	// the event. If the event has an ID, LastEventID is this ID, otherwise the ID
	// that an earlier event has set. A program that resumes later stores
	// LastEventID. Browsers call it lastEventId. Sending and publishing ignore it.
	LastEventID string

	// ClearID resets the client's last event ID: the event is sent with an empty id
	// field. In a received event, ClearID means that the event has an empty id field.
	// If ClearID is set, ID must be empty. A broker gives each event an ID. Therefore
	// [Broker.Publish] ignores ClearID if ID is empty. If both are set, Publish returns
	// an error.
	ClearID bool

	// Type is the name under which a browser dispatches the event. If Type is
	// empty, browsers dispatch the event as "message". Types that begin with
	// "sse." are reserved for this package. In an event to send or publish, Type
	// must have at most 1,024 bytes of UTF-8, without CR, LF and NUL.
	Type string

	// Data is the payload: any text, with any number of lines. It may be empty.
	Data string

	// Retry is the time that the client waits before it reconnects. It applies to
	// every reconnect after this event. It is sent in milliseconds, rounded up. If
	// zero, the client's current setting remains.
	Retry time.Duration

	// Topic is the topic on which the event was published. In a received event, it
	// is empty unless the server sends it (see [Selection.WithTopic]). On the wire,
	// the topic is a field that HTML 9.2.6 does not define, so browsers ignore it.
	// The topic applies to this event only.
	Topic string
}

// Decode parses the event's data as JSON into a value of type T. If that fails,
// the error names the event's type and wraps the error of encoding/json.
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

// DecodeEvents returns an iterator that parses the data of each event as JSON into
// a value of type T, as [Decode] does. The argument events is, for example, the
// result of [Client.Events], [Broker.Subscribe] or [Decoder.Events].
//
// After an error, the iteration ends. The error comes from the argument events, or
// it says that the data of an event is not JSON for T, or it is a [*Gap] (see
// below). If a stream has an event whose data is not JSON, such as "[DONE]", pass an
// iterator that leaves out this event.
//
// If an event has the type "sse.gap", DecodeEvents calls onGap with the [Gap] and
// continues. If onGap is nil, the iteration ends with the *Gap as its error. All
// other events whose type begins with "sse." are left out.
func DecodeEvents[T any](events iter.Seq2[Event, error], onGap func(Gap)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for event, err := range events {
			var v T
			switch {
			case err != nil:
			case event.Type == typeGap:
				if err = decodeGap(event, onGap); err == nil {
					continue
				}
			case strings.HasPrefix(event.Type, reservedPrefix):
				continue
			default:
				v, err = Decode[T](event)
			}
			if err != nil {
				var zero T // Decode may have set a part of v
				yield(zero, err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// decodeGap calls onGap with the gap that an event reports, or returns the gap as
// an error if onGap is nil.
func decodeGap(event Event, onGap func(Gap)) error {
	gap, err := Decode[Gap](event)
	switch {
	case err != nil:
		return err
	case onGap == nil:
		return &gap
	}
	onGap(gap)
	return nil
}

// check returns a *FieldError if the event is invalid: if the wire format cannot
// carry it, or if a client could not send its ID back.
func (e *Event) check() error {
	if e.Topic != "" {
		if err := checkField("topic", e.Topic); err != nil {
			return err
		}
	}
	if e.ID != "" {
		if err := checkID(e.ID); err != nil {
			return err
		}
		if e.ClearID {
			return &FieldError{Field: "id", Value: e.ID, Reason: "must be empty, because ClearID is set"}
		}
	}
	if e.Type != "" {
		if err := checkType(e.Type); err != nil {
			return err
		}
	}
	if e.Retry < 0 {
		return &FieldError{Field: "retry", Value: e.Retry.String(), Reason: "is negative"}
	}
	return nil
}

// maxNameLen limits the length of an ID or a type, in bytes.
const maxNameLen = 1 << 10

// checkID rejects an ID that the wire format cannot carry, or that a client cannot
// send back unchanged in the header field Last-Event-ID. RFC 9110 5.5 excludes
// control characters except the tab, and white space at both ends. checkID also
// rejects the tab, because a recipient may replace it by a space.
func checkID(id string) error {
	reason := ""
	switch {
	case len(id) > maxNameLen:
		reason = "has more than 1024 bytes"
	case id != "" && (id[0] == ' ' || id[len(id)-1] == ' '):
		reason = "begins or ends with a space: HTTP would remove it from Last-Event-ID"
	default:
		err := checkField("id", id)
		if err != nil || isHeaderValue(id) && strings.IndexByte(id, '\t') < 0 {
			return err
		}
		reason = "contains a control character: Last-Event-ID cannot carry it"
	}
	return &FieldError{Field: "id", Value: id, Reason: reason}
}

// checkType rejects a type that the wire format cannot carry, or that has more than
// maxNameLen bytes.
func checkType(kind string) error {
	if len(kind) > maxNameLen {
		return &FieldError{Field: "event", Value: kind, Reason: "has more than 1024 bytes"}
	}
	return checkField("event", kind)
}

// checkField rejects a value that the wire format cannot carry: with a line end,
// because the rest of the value would become another field; with NUL, because clients
// ignore an ID that contains NUL; and with invalid UTF-8, because it would not arrive
// unchanged.
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
