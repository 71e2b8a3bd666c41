package sse

import (
	"errors"
	"io"
	"slices"

	"github.com/sse-go/sse/internal/wire"
)

// fieldOverhead is the greatest number of bytes that an event with one line of data
// needs in addition to its Topic, ID, Type and Data.
const fieldOverhead = len("topic: \nid: \nevent: \nretry: 9223372036854\ndata: \n\n")

// AppendEvent appends the event in wire form to dst and returns the extended
// slice. It splits Data at CR, LF and CRLF into one data field for each line.
// An empty Data becomes one empty data field, so that clients dispatch the
// event.
//
// If Topic, ID or Type contains CR, LF or NUL or is not UTF-8, if Retry is negative, or
// if both ID and ClearID are set, AppendEvent returns dst unchanged and a
// [*FieldError]. Therefore the value of a field can never inject another field.
// AppendEvent also returns a *FieldError if ID or Type has more than 1,024 bytes, if ID
// contains a control character, or if ID begins or ends with a space. A client that
// reconnects sends the ID in the header Last-Event-ID, and a header field cannot carry
// such characters unchanged.
func AppendEvent(dst []byte, event Event) ([]byte, error) {
	if err := event.check(); err != nil {
		return dst, err
	}
	// One allocation suffices unless Data has several lines.
	values := len(event.Topic) + len(event.ID) + len(event.Type) + len(event.Data)
	if dst == nil {
		dst = make([]byte, 0, values+fieldOverhead)
	} else {
		dst = slices.Grow(dst, values+fieldOverhead)
	}
	return appendFields(dst, &event), nil
}

// appendFields appends an event that has passed Event.check.
func appendFields(dst []byte, event *Event) []byte {
	dst = appendMetaFields(dst, event)
	dst = wire.AppendLines(dst, "data", event.Data)
	return append(dst, '\n')
}

// appendMetaFields appends all fields except the data.
func appendMetaFields(dst []byte, event *Event) []byte {
	if event.Topic != "" {
		dst = wire.AppendField(dst, "topic", event.Topic)
	}
	if event.ID != "" || event.ClearID {
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

// appendEvents appends all events, or none if one of them is invalid.
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

// maxRetainedBuffer is the capacity in bytes up to which a buffer is reused, so
// that one huge event does not occupy memory for the rest of a stream.
const maxRetainedBuffer = 64 << 10

// errZeroEncoder is the error of an Encoder without a writer.
var errZeroEncoder = errors.New("sse: an Encoder must have a writer: call NewEncoder")

// Encoder writes events to a writer. It must not be used concurrently. The methods
// of the zero Encoder return an error: use [NewEncoder].
type Encoder struct {
	w   io.Writer
	buf []byte
}

// NewEncoder returns an Encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder {
	return &Encoder{w: w}
}

// Encode writes all events with a single call of Write and returns its error.
// If an event cannot be encoded, Encode writes nothing and returns a
// [*FieldError]. Without events it does nothing.
func (e *Encoder) Encode(events ...Event) error {
	switch {
	case e.w == nil:
		return errZeroEncoder
	case len(events) == 0:
		return nil
	}
	buf, err := appendEvents(e.buf[:0], events)
	if err != nil {
		return err
	}
	return e.write(buf)
}

// Comment writes text as a comment, with one comment line for each line of text.
// Clients ignore comments. No empty line follows the comment, because only an event
// ends with an empty line.
func (e *Encoder) Comment(text string) error {
	if e.w == nil {
		return errZeroEncoder
	}
	return e.write(wire.AppendLines(e.buf[:0], "", text))
}

// write writes buf. It retains buf for the next call of Encode or Comment, unless buf
// is too large.
func (e *Encoder) write(buf []byte) error {
	if e.buf = buf; cap(buf) > maxRetainedBuffer {
		e.buf = nil
	}
	_, err := e.w.Write(buf)
	return err
}
