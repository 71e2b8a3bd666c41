package sse

import (
	"io"
	"slices"

	"github.com/sse-go/sse/internal/wire"
)

// roomForFields is what an event's fields need besides their values.
const roomForFields = len("topic: \nid: \nevent: \nretry: 9223372036854\ndata: \n\n")

// AppendEvent appends the event in wire form to dst and returns the extended
// slice. Data is split at CR, LF and CRLF into as many data lines; an empty
// Data is one empty line, which a client dispatches.
//
// If Topic, ID or Type contains CR, LF or NUL or is not UTF-8, or if Retry is
// negative, the error is a [*FieldError] and dst is returned as it was: no
// value of a field can make another one.
func AppendEvent(dst []byte, event Event) ([]byte, error) {
	if err := event.check(); err != nil {
		return dst, err
	}
	// Room for all but the names of data lines after the first: one allocation.
	values := len(event.Topic) + len(event.ID) + len(event.Type) + len(event.Data)
	if dst == nil {
		dst = make([]byte, 0, values+roomForFields)
	} else {
		dst = slices.Grow(dst, values+roomForFields)
	}
	return appendFields(dst, &event), nil
}

// appendFields appends an event that was checked.
func appendFields(dst []byte, event *Event) []byte {
	dst = appendHead(dst, event)
	dst = wire.AppendLines(dst, "data", event.Data)
	return append(dst, '\n')
}

// appendHead appends all fields but the data.
func appendHead(dst []byte, event *Event) []byte {
	if event.Topic != "" {
		dst = wire.AppendField(dst, "topic", event.Topic)
	}
	if event.ID != "" {
		dst = wire.AppendField(dst, "id", event.ID)
	}
	if event.Type != "" {
		dst = wire.AppendField(dst, "event", event.Type)
	}
	if event.Retry > 0 {
		dst = wire.AppendRetry(dst, event.Retry)
	}
	return dst
}

// appendEvents appends all events, or none if one of them is refused.
func appendEvents(dst []byte, events []Event) ([]byte, error) {
	buf := dst
	for i := range events {
		var err error
		if buf, err = AppendEvent(buf, events[i]); err != nil {
			return dst, err
		}
	}
	return buf, nil
}

// maxKeptBuffer is the capacity up to which a buffer is kept for the next
// use, so that one huge event does not pin its memory for a stream's life.
const maxKeptBuffer = 64 << 10

// Encoder writes events to a writer. It must not be used concurrently.
type Encoder struct {
	w   io.Writer
	buf []byte
}

// NewEncoder returns an Encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder {
	return &Encoder{w: w}
}

// Encode writes all events with a single Write. If one of them cannot be
// encoded the error is a [*FieldError], and nothing is written. Without events
// it does nothing.
func (e *Encoder) Encode(events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	buf, err := appendEvents(e.buf[:0], events)
	if err != nil {
		return err
	}
	return e.write(buf)
}

// Comment writes text as comment lines, which clients ignore: one for each
// line of text, split as data is. It does not end an event.
func (e *Encoder) Comment(text string) error {
	return e.write(wire.AppendLines(e.buf[:0], "", text))
}

func (e *Encoder) write(buf []byte) error {
	if e.buf = buf; cap(buf) > maxKeptBuffer {
		e.buf = nil
	}
	_, err := e.w.Write(buf)
	return err
}
