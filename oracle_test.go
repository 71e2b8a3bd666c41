package sse_test

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// This file is a second decoder, written from the text of HTML 9.2, of
// DecoderOptions and of Event.Topic, and of nothing else. It is slow, keeps everything and needs
// the whole stream at once. Its result is a journal: a line of text for
// everything that a Decoder tells its caller, in order.

func journalEvent(id, typ, data string, retry time.Duration) string {
	return fmt.Sprintf("event: id %q, type %q, data %q, retry %v", id, typ, data, retry)
}

// journalTopic is the line of an event that came on a topic, if any.
func journalTopic(topic, event string) string {
	if topic == "" {
		return event
	}
	return fmt.Sprintf("%s, topic %q", event, topic)
}

func journalTooLarge(e sse.TooLargeError) string {
	return fmt.Sprintf("too large: offset %d, size %d, limit %d, id %q",
		e.Offset, e.Size, e.Limit, e.ID)
}

func journalComment(text string) string       { return fmt.Sprintf("comment: %q", text) }
func journalRetry(delay time.Duration) string { return fmt.Sprintf("retry: %v", delay) }

func journalEnd(err error, lastEventID string) string {
	return fmt.Sprintf("end: %v, last event id %q", err, lastEventID)
}

// char is a code point and the number of bytes of the stream it stands for.
type char struct {
	r    rune
	size int64
}

// decodeUTF8 reads all of the stream at once, after the BOM.
//
// Encoding 8.1.1: "UTF-8's decoder's handler, given ioQueue and byte …"
func decodeUTF8(queue []byte) []char {
	var (
		out          []char
		codePoint    rune
		seen, needed int64
		lower, upper byte = 0x80, 0xBF
	)
	fail := func(size int64) {
		out = append(out, char{'\uFFFD', size})
		codePoint, seen, needed, lower, upper = 0, 0, 0, 0x80, 0xBF
	}
	for i := 0; i < len(queue); i++ {
		c := queue[i]
		switch {
		case needed == 0 && c <= 0x7F:
			out = append(out, char{rune(c), 1})
		case needed == 0 && c >= 0xC2 && c <= 0xDF:
			needed, codePoint = 1, rune(c&0x1F)
		case needed == 0 && c >= 0xE0 && c <= 0xEF:
			if c == 0xE0 {
				lower = 0xA0
			} else if c == 0xED {
				upper = 0x9F
			}
			needed, codePoint = 2, rune(c&0xF)
		case needed == 0 && c >= 0xF0 && c <= 0xF4:
			if c == 0xF0 {
				lower = 0x90
			} else if c == 0xF4 {
				upper = 0x8F
			}
			needed, codePoint = 3, rune(c&0x7)
		case needed == 0:
			fail(1)
		case c < lower || c > upper:
			i-- // "Restore byte to ioQueue."
			fail(1 + seen)
		default:
			lower, upper = 0x80, 0xBF
			codePoint = codePoint<<6 | rune(c&0x3F)
			if seen++; seen == needed {
				out = append(out, char{codePoint, needed + 1})
				codePoint, seen, needed = 0, 0, 0
			}
		}
	}
	if needed != 0 {
		fail(1 + seen)
	}
	return out
}

func textOf(chars []char) string {
	var b strings.Builder
	for _, c := range chars {
		b.WriteRune(c.r)
	}
	return b.String()
}

func rawSize(chars []char) (n int64) {
	for _, c := range chars {
		n += c.size
	}
	return n
}

// oracleLine is a line, where it begins in the stream, and where it ends: after
// its LF, or after its CR, whether or not an LF follows.
type oracleLine struct {
	chars      []char
	start, end int64
}

// splitLines cuts the stream at each CRLF, LF and CR. What follows the last one
// is not a line.
func splitLines(chars []char, offset int64) []oracleLine {
	var lines []oracleLine
	line := oracleLine{start: offset}
	for i, c := range chars {
		offset += c.size
		switch {
		case c.r == '\n' && i > 0 && chars[i-1].r == '\r':
			line.start = offset // the second half of a CRLF
		case c.r == '\n' || c.r == '\r':
			line.end = offset
			lines = append(lines, line)
			line = oracleLine{start: offset}
		default:
			line.chars = append(line.chars, c)
		}
	}
	return lines
}

// oracle is the state of HTML 9.2.6: "… a data buffer, an event type buffer,
// and a last event ID buffer". The rest is what DecoderOptions adds.
type oracle struct {
	data, eventType, lastEventIDBuffer string
	lastEventID                        string // the event source's "last event ID string"
	topic                              string // a field that the standard ignores

	limit    int64
	idSize   int64 // of the id that this event sets
	retry    time.Duration
	tooLarge bool
	start    int64 // of the event's block
	journal  []string
}

// runOracle returns the journal of the stream, whose end is err.
func runOracle(stream []byte, opts sse.DecoderOptions, err error) []string {
	o := oracle{
		limit:             int64(opts.MaxEventSize),
		lastEventID:       opts.LastEventID,
		lastEventIDBuffer: opts.LastEventID,
	}
	if o.limit == 0 {
		o.limit = 16 << 20
	}
	// Encoding 6: "UTF-8 decode": "If buffer does not match 0xEF 0xBB 0xBF,
	// then prepend buffer to ioQueue."
	offset := int64(0)
	if strings.HasPrefix(string(stream), "\xEF\xBB\xBF") {
		offset = 3
	}
	o.start = offset
	for i, line := range splitLines(decodeUTF8(stream[offset:]), offset) {
		if i == 0 || o.start < 0 {
			o.start = line.start
		}
		if len(line.chars) == 0 {
			o.dispatch(line)
			continue
		}
		o.line(line.chars)
		size := len(strings.TrimSuffix(o.data, "\n")) + len(o.eventType) + len(o.topic)
		if int64(size)+o.idSize > o.limit {
			o.tooLarge = true
		}
	}
	return append(o.journal, journalEnd(err, o.lastEventID))
}

// line processes a line that is not blank.
func (o *oracle) line(chars []char) {
	colon := strings.IndexRune(textOf(chars), ':')
	if colon < 0 {
		o.field(textOf(chars), nil)
		return
	}
	name := textOf(chars)[:colon]
	value := chars[len([]rune(name))+1:]
	if len(value) > 0 && value[0].r == ' ' {
		value = value[1:]
	}
	if colon > 0 {
		o.field(name, value)
	} else if rawSize(value) <= o.limit {
		o.journal = append(o.journal, journalComment(textOf(value)))
	}
}

// field processes a field. HTML 9.2.6: "The steps to process the field given a
// field name and a field value depend on the field name, as given in the
// following list."
func (o *oracle) field(name string, chars []char) {
	value := textOf(chars)
	switch name {
	case "event":
		o.eventType = value
	case "topic":
		o.topic = value
	case "data":
		o.data += value + "\n"
	case "id":
		if rawSize(chars) > o.limit {
			o.tooLarge = true
		} else if !strings.ContainsRune(value, 0) {
			o.lastEventIDBuffer = value
			o.idSize = int64(len(value))
		}
	case "retry":
		if value == "" || len(value) > 4096 || strings.Trim(value, "0123456789") != "" {
			return
		}
		ms, _ := new(big.Int).SetString(value, 10)
		if most := big.NewInt(math.MaxInt64 / int64(time.Millisecond)); ms.Cmp(most) > 0 {
			ms = most
		}
		o.retry = time.Duration(ms.Int64()) * time.Millisecond
		o.journal = append(o.journal, journalRetry(o.retry))
	}
}

// dispatch takes the blank line that ends an event. HTML 9.2.6: "When the user
// agent is required to dispatch the event, …"
func (o *oracle) dispatch(blank oracleLine) {
	o.lastEventID = o.lastEventIDBuffer
	switch {
	case o.tooLarge:
		o.journal = append(o.journal, journalTooLarge(sse.TooLargeError{
			Offset: o.start,
			Size:   blank.end - o.start,
			Limit:  int(o.limit),
			ID:     o.lastEventID,
		}))
	case o.data != "":
		data := strings.TrimSuffix(o.data, "\n")
		event := journalEvent(o.lastEventID, o.eventType, data, o.retry)
		o.journal = append(o.journal, journalTopic(o.topic, event))
	}
	o.data, o.eventType, o.topic = "", "", ""
	o.idSize, o.retry, o.tooLarge, o.start = 0, 0, false, -1
}
