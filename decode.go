package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/sse-go/sse/internal/wire"
)

// defaultMaxEventSize replaces a MaxEventSize of zero, in bytes.
const defaultMaxEventSize = 16 << 20

// DecoderOptions configures a [Decoder]. The zero value works.
type DecoderOptions struct {
	// MaxEventSize limits the size of one event in bytes: its data, type, ID and
	// topic together, after invalid UTF-8 was replaced. A larger event is reported
	// with a [*TooLargeError] as soon as it exceeds the limit, even if it never
	// ends, and the rest of it is skipped. Its ID still becomes the last event ID,
	// unless the ID alone exceeds the limit. If zero, 16 MiB. If negative, the
	// methods of the Decoder return an error.
	MaxEventSize int

	// OnSkip is called by [Decoder.Events] as soon as an event exceeds MaxEventSize
	// and is therefore skipped. If nil, Events logs a warning with [slog.Default].
	// [Decoder.Next] does not call OnSkip, but returns the error.
	OnSkip func(*TooLargeError)

	// LastEventID is the last event ID at the beginning of the stream. It is the
	// LastEventID of each event until an event sets another ID.
	LastEventID string

	// OnComment, if not nil, is called with the text of each comment line,
	// without the colon and one leading space. Comments longer than
	// MaxEventSize are skipped.
	OnComment func(text string)

	// OnRetry, if not nil, is called with the value of each valid retry field
	// as soon as its line is complete, even if no event follows.
	OnRetry func(time.Duration)
}

// RawEvent is an [Event] whose texts are byte slices. An empty text is nil or an
// empty slice. The slices belong to the decoder: they are valid until its next
// call and must not be modified.
type RawEvent struct {
	ID, LastEventID []byte
	ClearID         bool
	Type, Data      []byte
	Retry           time.Duration
	Topic           []byte
}

// errZeroDecoder is the error of a Decoder without a reader.
var errZeroDecoder = errors.New("sse: a Decoder must have a reader: call NewDecoder")

// Decoder reads an event stream and follows the rules of HTML 9.2.6. A Decoder
// needs memory for one event, and time linear in the length of the stream, even if
// each read returns only a few bytes. It must not be used concurrently.
//
// If the stream ends within an event, the Decoder discards that event and its
// ID. The methods of the zero Decoder return an error: use [NewDecoder].
type Decoder struct {
	opts  DecoderOptions
	lines lineReader

	// The following fields describe the event that is being read. The decoder moves
	// the event's lines of data together within lines.buf, so the data is
	// lines.buf[dataStart:dataEnd]. If a line of data is not valid UTF-8, the data
	// is in repaired instead. The other values are copies, because moving the lines
	// of data overwrites the bytes between them.
	dataStart, dataEnd int
	hasData            bool
	isRepaired         bool
	repaired           []byte
	id                 []byte // becomes raw.LastEventID in applyID
	hasID              bool   // the event has an id field, which may be empty
	eventStart         int64  // offset of the event's first byte, or noOffset
	tooLarge           bool   // the event exceeds the limit, so it is skipped
	returned           bool   // the caller has the event; the next call begins another

	// skip is the error that was returned because the event is too large, or nil if
	// the event is not too large or this was not reported yet.
	skip *TooLargeError

	// raw is the event that Next returns. Its Data is set at the end of the event.
	// Its LastEventID changes when an event with an id field ends or is reported as
	// too large. Its ID is either nil or the same slice as LastEventID.
	raw RawEvent

	lastIDText string // the last result of lastEventID
	lastType   string // the last Type that toEvent returned
	lastTopic  string // the last Topic that toEvent returned
}

// NewDecoder returns a Decoder that reads from r. A nil opts means the zero
// DecoderOptions. The Decoder buffers its input, so it may read beyond the
// event that it returns.
func NewDecoder(r io.Reader, opts *DecoderOptions) *Decoder {
	d := &Decoder{lines: lineReader{r: r}, eventStart: noOffset}
	if opts != nil {
		d.opts = *opts
	}
	if limit := d.opts.MaxEventSize; limit < 0 {
		d.lines.err = fmt.Errorf("sse: DecoderOptions.MaxEventSize must not be negative: %d", limit)
	}
	if d.opts.MaxEventSize <= 0 {
		d.opts.MaxEventSize = defaultMaxEventSize // readMore uses even an invalid limit
	}
	d.lastIDText = d.opts.LastEventID
	d.raw.LastEventID = []byte(d.lastIDText)
	return d
}

// lastEventID returns the current last event ID. This ID may be newer than the
// LastEventID of the last event that was returned: lines with an id field but without
// a data field, up to an empty line, are no event but set the last event ID.
func (d *Decoder) lastEventID() string {
	if string(d.raw.LastEventID) != d.lastIDText {
		d.lastIDText = string(d.raw.LastEventID)
	}
	return d.lastIDText
}

// previousID returns the last event ID before the most recent event. The client
// continues after this ID if it has read the event but not delivered it.
func (d *Decoder) previousID() string {
	if d.hasID {
		return string(d.id)
	}
	return d.lastEventID()
}

// Events returns an iterator over the events of the stream, in order. It ends at
// the end of the stream, or yields the error of the reader and then ends. An event
// over the limit is skipped and reported to [DecoderOptions.OnSkip]. After the
// caller has broken out of the loop, another call of Events continues with the next
// event.
//
// Each event needs at most one allocation for its Data. LastEventID, Type and Topic
// each need an allocation only if the value differs from the value in the previous
// event.
func (d *Decoder) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			err := d.advance()
			switch skipped := d.skipped(err); {
			case skipped != nil:
				reportSkipped(skipped, d.opts.OnSkip, slog.Default())
			case err == io.EOF:
				return
			case err != nil:
				yield(Event{}, err)
				return
			case !yield(d.toEvent(&d.raw), nil):
				return
			}
		}
	}
}

// skipped returns err, an error of advance, if it reports an event that was
// skipped, and otherwise nil. If the reader itself returns a *TooLargeError, that
// error ends the stream, so skipped compares err with d.skip.
func (d *Decoder) skipped(err error) *TooLargeError {
	//nolint:errorlint // advance returns the error unwrapped
	if tooLarge, ok := err.(*TooLargeError); ok && tooLarge == d.skip {
		return tooLarge
	}
	return nil
}

// reportSkipped calls onSkip, or logs a warning if onSkip is nil.
func reportSkipped(skipped *TooLargeError, onSkip func(*TooLargeError), logger *slog.Logger) {
	if onSkip != nil {
		onSkip(skipped)
		return
	}
	logger.Warn("sse: an event was skipped", "error", skipped)
}

// toEvent converts raw to an Event. If LastEventID, Type or Topic has not changed
// since the previous event, toEvent uses the previous string again.
func (d *Decoder) toEvent(raw *RawEvent) Event {
	event := Event{
		LastEventID: d.lastEventID(), ClearID: raw.ClearID,
		Data: string(raw.Data), Retry: raw.Retry,
	}
	if len(raw.ID) > 0 {
		event.ID = event.LastEventID
	}
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

// Next returns the next event. It does not allocate, unless the size of a buffer must
// change, OnComment is set, or there is an error. It blocks while the reader blocks.
// At the end of the stream the error is [io.EOF], even if the stream ends within an
// event. A [*TooLargeError] reports an event that exceeds the limit. The next call
// skips the rest of that event and returns the event after it. Any other error means
// that reading failed, and every further call returns it again.
func (d *Decoder) Next() (RawEvent, error) {
	if err := d.advance(); err != nil {
		return RawEvent{}, err
	}
	return d.raw, nil
}

// advance reads the next event into raw.
func (d *Decoder) advance() error {
	if d.returned {
		d.reset()
	}
	if d.skip != nil {
		d.hasID, d.id = false, d.id[:0] // the ID took effect when the event was reported
	}
	for {
		line, ok := d.lines.next()
		switch {
		case !ok:
			d.discardPartialLine()
		case len(line) > 0:
			d.beginEvent(d.lines.lineEnd - len(line))
			d.processField(line)
		case d.endEvent():
			return nil
		}
		if d.tooLarge && d.skip == nil {
			return d.reportTooLarge()
		}
		if ok {
			continue
		}
		if err := d.readMore(); err != nil {
			return err
		}
	}
}

// beginEvent records that the event begins at lines.buf[start], unless an earlier
// line has begun it.
func (d *Decoder) beginEvent(start int) {
	if d.eventStart == noOffset {
		d.eventStart = d.lines.offset(start)
	}
}

// endEvent completes the event, and reports whether Next should return it. If not,
// endEvent prepares for the next event.
//
// HTML 9.2.6: "If the line is empty (a blank line): Dispatch the event"
func (d *Decoder) endEvent() bool {
	d.raw.Data = d.data()
	d.applyID()
	d.returned = d.hasData && !d.tooLarge
	if !d.returned {
		d.reset()
	}
	return d.returned
}

// applyID makes the ID of the event the last event ID, if the event has an id
// field. Afterwards d.id is the previous last event ID.
func (d *Decoder) applyID() {
	if !d.hasID {
		return
	}
	d.id, d.raw.LastEventID = d.raw.LastEventID, d.id // see previousID
	if d.raw.ClearID = len(d.raw.LastEventID) == 0; !d.raw.ClearID {
		d.raw.ID = d.raw.LastEventID
	}
}

// reportTooLarge returns the error for an event that has exceeded the limit. The ID
// takes effect now, because the end of the event may never come.
func (d *Decoder) reportTooLarge() error {
	d.applyID()
	d.skip = &TooLargeError{
		Offset:      d.eventStart,
		Limit:       d.opts.MaxEventSize,
		LastEventID: string(d.raw.LastEventID),
	}
	return d.skip
}

// reset prepares for the next event.
func (d *Decoder) reset() {
	d.dataStart, d.dataEnd = 0, 0
	d.hasData, d.isRepaired, d.hasID = false, false, false
	d.tooLarge, d.returned, d.skip = false, false, nil
	d.raw.Type, d.raw.Topic, d.id = d.raw.Type[:0], d.raw.Topic[:0], d.id[:0]
	d.raw.Data, d.raw.Retry = nil, 0 // nil, so that Data does not retain a replaced buffer
	d.raw.ID, d.raw.ClearID = nil, false
	d.eventStart = noOffset
	if cap(d.repaired) > maxRetainedBuffer {
		d.repaired = nil
	}
}

// isIncomplete reports whether the stream has ended within an event.
func (d *Decoder) isIncomplete() bool {
	if d.returned {
		return false
	}
	rest := d.lines.partialLine()
	return d.hasData || d.hasID || d.tooLarge || len(d.raw.Type)+len(d.raw.Topic) > 0 ||
		len(rest) > 0 && rest[0] != ':'
}

// data returns the event's data so far.
func (d *Decoder) data() []byte {
	if d.isRepaired {
		return d.repaired
	}
	return d.lines.buf[d.dataStart:d.dataEnd]
}

// processField processes a line that is not empty.
//
// HTML 9.2.6: "The steps to process the field given a field name and a field
// value …"
func (d *Decoder) processField(line []byte) {
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

// setText sets the event's type or topic.
func (d *Decoder) setText(text *[]byte, value []byte) {
	if *text = (*text)[:0]; d.reserve(len(value)) {
		*text = wire.AppendValid(*text, value)
		d.reserve(0)
	}
}

// setID sets the ID of the event, even if the event is too large. Otherwise a
// client would request the same event forever. setID ignores an ID that contains NUL,
// and an ID that alone exceeds the limit.
func (d *Decoder) setID(value []byte) {
	if len(value) > d.opts.MaxEventSize {
		d.discardEvent()
		return
	}
	if bytes.IndexByte(value, 0) >= 0 {
		return // HTML 9.2.6: "… does not contain U+0000 NULL …"
	}
	d.id = wire.AppendValid(d.id[:0], value)
	d.hasID = true
	d.reserve(0)
}

// appendData adds a line to the event's data. If all of the data is valid UTF-8,
// appendData moves the line within lines.buf, directly behind the previous line of
// data. Otherwise it appends the line to repaired.
func (d *Decoder) appendData(value []byte) {
	size := len(value)
	if d.hasData {
		size++ // the LF between two lines
	}
	if !d.reserve(size) {
		return
	}
	if !d.isRepaired && !d.lines.isASCII(d.lines.lineEnd-len(value)) && !utf8.Valid(value) {
		d.repaired = append(d.repaired[:0], d.data()...)
		d.isRepaired = true
	}
	switch {
	case d.isRepaired:
		if d.hasData {
			d.repaired = append(d.repaired, '\n')
		}
		d.repaired = wire.AppendValid(d.repaired, value)
		d.reserve(0)
	case d.hasData:
		d.lines.buf[d.dataEnd] = '\n'
		d.dataEnd += 1 + copy(d.lines.buf[d.dataEnd+1:], value)
	default:
		d.dataEnd = d.lines.lineEnd
		d.dataStart = d.dataEnd - len(value)
	}
	d.hasData = true
}

// reserve reports whether the event stays within the limit with n more bytes. If
// not, it discards the event. n may be the size of a value before its invalid UTF-8
// is replaced, because the replacement never makes a value shorter.
func (d *Decoder) reserve(n int) bool {
	if d.tooLarge {
		return false
	}
	size := len(d.data()) + len(d.raw.Type) + len(d.raw.Topic) + len(d.id)
	if n > d.opts.MaxEventSize-size {
		d.discardEvent()
		return false
	}
	return true
}

// discardEvent marks the event as too large and discards its data.
func (d *Decoder) discardEvent() {
	d.tooLarge = true
	d.dataStart, d.dataEnd = 0, 0
	d.repaired = d.repaired[:0]
}

// readMore reads more bytes into the buffer, and preserves the data of the
// event that is being read.
func (d *Decoder) readMore() error {
	retained := d.dataEnd - d.dataStart
	if d.lines.isFull() || d.lines.pos == d.lines.end && retained == 0 ||
		d.lines.shouldCompact(retained) {
		d.lines.makeRoom(d.dataStart, d.dataEnd, d.opts.MaxEventSize)
		d.dataStart, d.dataEnd = 0, retained
	}
	if d.lines.r == nil {
		return errZeroDecoder
	}
	return d.lines.fill()
}

// discardPartialLine is called when the end of a line has not been read. It
// discards the beginning of the line if the line need not be preserved (see
// canDiscard), and if the event is too large or the buffer is full.
func (d *Decoder) discardPartialLine() {
	if d.canDiscard(d.lines.partialLine()) && (d.tooLarge || d.lines.isFull()) {
		d.beginEvent(d.lines.pos) // the discarded line may be the event's first
		d.lines.discardLine()
	}
}

// canDiscard reports whether the beginning of a line need not be preserved, because
// the line has no effect or makes the event too large. If the line makes the event too
// large, canDiscard also discards the event. It must make the same decision as
// processField would make with the complete line.
func (d *Decoder) canDiscard(line []byte) bool {
	const minLen = len("event: ") // after the longest name, the field is known
	if len(line) < minLen && bytes.IndexByte(line, ':') < 0 {
		return false
	}
	field, n := wire.Split(line)
	size := len(line) - n
	switch field {
	case wire.Data:
		if d.hasData {
			size++ // see appendData
		}
		return !d.reserve(size)
	case wire.Type, wire.Topic, wire.ID:
		if size > d.opts.MaxEventSize {
			d.discardEvent()
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
