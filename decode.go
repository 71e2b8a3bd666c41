package sse

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/sse-go/sse/internal/wire"
)

// defaultMaxEventSize is MaxEventSize where it is zero.
const defaultMaxEventSize = 16 << 20

// DecoderOptions adjusts a [Decoder].
type DecoderOptions struct {
	// MaxEventSize limits the bytes of one event: its data, type, id and topic
	// together, as UTF-8. A larger event is skipped and reported; its id counts
	// as seen, unless the id alone is over the limit. If zero, 16 MiB.
	MaxEventSize int

	// LastEventID is the last event ID in force when the stream begins: the
	// ID of the events before one that sets its own.
	LastEventID string

	// OnComment, if not nil, is called with the text of each comment, without
	// the colon and one leading space. A comment longer than MaxEventSize is
	// skipped.
	OnComment func(text string)

	// OnRetry, if not nil, is called with each valid retry value as soon as
	// its line is complete, whether or not an event follows.
	OnRetry func(time.Duration)
}

// RawEvent is an [Event] as bytes. They are the decoder's, valid until its
// next call, and must not be modified.
type RawEvent struct {
	ID, Type, Data []byte
	Retry          time.Duration
	Topic          []byte
}

// Decoder reads an event stream, as HTML 9.2.6 says. It needs time linear in
// the stream's length, however the reader cuts it, and memory for one event.
// It must not be used concurrently.
//
// An event that the stream's end cuts off is not reported, and its id does not
// count.
type Decoder struct {
	opts DecoderOptions
	in   lineReader

	// The event that is being read. Its data is in.buf[dataStart:dataEnd], where
	// its lines are moved together, or in mended once a line was not UTF-8.
	// The others are copies, as moving the data overwrites what is between.
	dataStart, dataEnd int
	hasData            bool
	isMended           bool
	mended             []byte
	id                 []byte // to be raw.ID
	hasID              bool
	start              int64 // offset of its first byte, or noLineYet
	tooLarge           bool  // and so skipped
	returned           bool  // the caller has it; the next call begins another

	// raw is the event as Next returns it. Its Data is set last; its ID is the
	// last event ID in force, that of the events before until dispatch.
	raw RawEvent

	lastIDText string // raw.ID or one before it, for Events
	lastType   string // a type seen before, for Events
	lastTopic  string // likewise
}

// NewDecoder returns a Decoder that reads from r. If opts is nil, it is as if
// all fields were zero. The Decoder buffers: it may read past the event that
// it returns.
func NewDecoder(r io.Reader, opts *DecoderOptions) *Decoder {
	d := &Decoder{in: lineReader{r: r}, start: noLineYet}
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.MaxEventSize <= 0 {
		d.opts.MaxEventSize = defaultMaxEventSize
	}
	d.lastIDText = d.opts.LastEventID
	d.raw.ID = []byte(d.lastIDText)
	return d
}

// LastEventID is the last event ID in force: that of the events returned so
// far, or one set without an event since.
func (d *Decoder) LastEventID() string {
	if string(d.raw.ID) != d.lastIDText {
		d.lastIDText = string(d.raw.ID)
	}
	return d.lastIDText
}

// idBefore is the last event ID that was in force before the event that was
// returned last.
func (d *Decoder) idBefore() string {
	if d.hasID {
		return string(d.id)
	}
	return d.LastEventID()
}

// Events returns the events of the stream, in order. It ends with the stream;
// if reading fails otherwise, that error comes last. A [*TooLargeError] is not
// the end: a caller who continues gets the next event.
//
// An event costs at most one allocation for its data, and one each for an ID, a
// Type and a Topic that differ from those of the event before.
func (d *Decoder) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			err := d.advance()
			if err == io.EOF {
				return
			}
			if err != nil {
				if !yield(Event{}, err) || !isTooLarge(err) {
					return
				}
			} else if !yield(d.copied(&d.raw), nil) {
				return
			}
		}
	}
}

func isTooLarge(err error) bool {
	var tooLarge *TooLargeError
	return errors.As(err, &tooLarge)
}

// event copies raw, sharing strings that repeat.
func (d *Decoder) event(raw RawEvent) Event { return d.copied(&raw) }

// copied is event without a copy of what is to be copied.
func (d *Decoder) copied(raw *RawEvent) Event {
	event := Event{ID: d.LastEventID(), Data: string(raw.Data), Retry: raw.Retry}
	if len(raw.Type) > 0 {
		if string(raw.Type) != d.lastType {
			d.lastType = string(raw.Type)
		}
		event.Type = d.lastType
	}
	if len(raw.Topic) > 0 {
		if string(raw.Topic) != d.lastTopic {
			d.lastTopic = string(raw.Topic)
		}
		event.Topic = d.lastTopic
	}
	return event
}

// Next returns the next event without allocating. At the end of the stream the
// error is [io.EOF], also when the end cuts off an event. A [*TooLargeError]
// stands for an event that was skipped; the next call goes on after it. Any
// other error is the reader's, and final.
func (d *Decoder) Next() (RawEvent, error) {
	if err := d.advance(); err != nil {
		return RawEvent{}, err
	}
	return d.raw, nil
}

// advance makes raw the next event.
func (d *Decoder) advance() error {
	if d.returned {
		d.reset()
	}
	for {
		line, ok := d.in.next()
		if !ok {
			if err := d.fill(); err != nil {
				return err
			}
			continue
		}
		if d.start == noLineYet {
			d.start = d.in.offset(d.in.lineEnd - len(line))
		}
		if len(line) != 0 {
			d.field(line)
			continue
		}
		// HTML 9.2.6: "If the line is empty (a blank line): Dispatch the event"
		d.raw.Data = d.data()
		if d.hasID {
			d.id, d.raw.ID = d.raw.ID, d.id // see idBefore
		}
		d.returned = true
		if d.tooLarge {
			return &TooLargeError{
				Offset: d.start,
				Size:   d.in.offset(d.in.pos) - d.start,
				Limit:  d.opts.MaxEventSize,
				ID:     string(d.raw.ID),
			}
		}
		if d.hasData {
			return nil
		}
		d.reset()
	}
}

// reset forgets the event that is being read.
func (d *Decoder) reset() {
	d.dataStart, d.dataEnd = 0, 0
	d.hasData, d.isMended, d.hasID = false, false, false
	d.tooLarge, d.returned = false, false
	d.raw.Type, d.raw.Topic, d.id = d.raw.Type[:0], d.raw.Topic[:0], d.id[:0]
	d.raw.Data, d.raw.Retry = nil, 0 // or it would pin a buffer that was replaced
	d.start = noLineYet
	if cap(d.mended) > maxKeptBuffer {
		d.mended = nil
	}
}

// incomplete reports whether the stream ended inside of an event.
func (d *Decoder) incomplete() bool {
	if d.returned {
		return false
	}
	rest := d.in.rest()
	return d.hasData || d.hasID || d.tooLarge || len(d.raw.Type)+len(d.raw.Topic) > 0 ||
		len(rest) > 0 && rest[0] != ':'
}

// data is the event's data so far.
func (d *Decoder) data() []byte {
	if d.isMended {
		return d.mended
	}
	return d.in.buf[d.dataStart:d.dataEnd]
}

// field takes a line that is not empty.
//
// HTML 9.2.6: "The steps to process the field given a field name and a field
// value …"
func (d *Decoder) field(line []byte) {
	field, n := wire.Split(line)
	value := line[n:]
	switch field {
	case wire.Data:
		d.appendData(value)
	case wire.Type:
		d.setText(&d.raw.Type, value)
	case wire.Topic:
		d.setText(&d.raw.Topic, value)
	case wire.ID:
		d.setID(value)
	case wire.Retry:
		if retry, ok := wire.ParseRetry(value); ok {
			d.raw.Retry = retry
			if d.opts.OnRetry != nil {
				d.opts.OnRetry(retry)
			}
		}
	case wire.Comment:
		if d.opts.OnComment != nil && len(value) <= d.opts.MaxEventSize {
			d.opts.OnComment(string(wire.AppendValid(nil, value)))
		}
	}
}

// setText replaces one of the event's short values, its type or its topic.
func (d *Decoder) setText(text *[]byte, value []byte) {
	if *text = (*text)[:0]; d.fits(len(value)) {
		*text = wire.AppendValid(*text, value)
		d.fits(0)
	}
}

// setID sets the last event ID of the event. It is looked at in an event that
// is too large as well: its id counts as seen, or a client would ask for the
// event for ever.
func (d *Decoder) setID(value []byte) {
	if len(value) > d.opts.MaxEventSize {
		d.skip()
		return
	}
	if bytes.IndexByte(value, 0) >= 0 {
		return // HTML 9.2.6: "… does not contain U+0000 NULL …"
	}
	d.id = wire.AppendValid(d.id[:0], value)
	d.hasID = true
	d.fits(0)
}

// appendData adds a line to the event's data, in place: a line is moved back
// to the end of the one before it.
func (d *Decoder) appendData(value []byte) {
	size := len(value)
	if d.hasData {
		size++ // the LF between them
	}
	if !d.fits(size) {
		return
	}
	if !d.isMended && !d.in.isASCII(d.in.lineEnd-len(value)) && !utf8.Valid(value) {
		d.mended = append(d.mended[:0], d.data()...)
		d.isMended = true
	}
	switch {
	case d.isMended:
		if d.hasData {
			d.mended = append(d.mended, '\n')
		}
		d.mended = wire.AppendValid(d.mended, value)
		d.fits(0)
	case d.hasData:
		d.in.buf[d.dataEnd] = '\n'
		d.dataEnd += 1 + copy(d.in.buf[d.dataEnd+1:], value)
	default:
		d.dataEnd = d.in.lineEnd
		d.dataStart = d.dataEnd - len(value)
	}
	d.hasData = true
}

// fits reports whether the event is within the limit with so many bytes more,
// and skips it if not. A value never becomes shorter when it is made valid
// UTF-8, so it can be refused before.
func (d *Decoder) fits(more int) bool {
	if d.tooLarge {
		return false
	}
	size := len(d.data()) + len(d.raw.Type) + len(d.raw.Topic) + len(d.id)
	if more > d.opts.MaxEventSize-size {
		d.skip()
		return false
	}
	return true
}

// skip lets go of the event's data, as it is too large.
func (d *Decoder) skip() {
	d.tooLarge = true
	d.dataStart, d.dataEnd = 0, 0
	d.mended = d.mended[:0]
}

// fill reads more, keeping the data of the event that is being read.
func (d *Decoder) fill() error {
	if d.in.full() && d.dispensable(d.in.rest()) {
		if d.start == noLineYet {
			d.start = d.in.offset(d.in.pos) // the line may be the event's first
		}
		d.in.dropLine()
	}
	kept := d.dataEnd - d.dataStart
	if d.in.full() || d.in.pos == d.in.end && kept == 0 || d.in.wasteful(kept) {
		d.in.makeRoom(d.dataStart, d.dataEnd, d.opts.MaxEventSize)
		d.dataStart, d.dataEnd = 0, kept
	}
	return d.in.fill()
}

// dispensable reports whether the beginning of a line need not be kept,
// because the line says nothing or is too large. It must conclude what field
// would from the complete line.
func (d *Decoder) dispensable(line []byte) bool {
	const named = len("event: ") // the longest: with so many bytes, the field is known
	if len(line) < named {
		return false
	}
	field, n := wire.Split(line)
	size := len(line) - n
	switch field {
	case wire.Data:
		return !d.fits(size)
	case wire.Type, wire.Topic, wire.ID:
		if size > d.opts.MaxEventSize {
			d.skip()
			return true
		}
		return false
	case wire.Retry:
		return size > wire.MaxRetryDigits
	case wire.Comment:
		return d.opts.OnComment == nil || size > d.opts.MaxEventSize
	}
	return true
}
