package sse_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/testrand"
)

// This file contains a second decoder, the oracle. It is written only from the text
// of HTML 9.2 and the documentation of DecoderOptions and Event.Topic. It is slow
// and needs the whole stream in memory. The results of both decoders are written as
// a journal: one line of text for each event, comment, retry value and error, in
// order. A generator writes random streams. For each stream, the Decoder and the
// oracle must have the same journal.

func journalEvent(id, lastID, typ, data string, retry time.Duration) string {
	return fmt.Sprintf("event: id %q, last id %q, type %q, data %q, retry %v",
		id, lastID, typ, data, retry)
}

// journalID returns the ID of an event as journalEvent shows it.
func journalID(id string, isCleared bool) string {
	if isCleared {
		return id + "(cleared)"
	}
	return id
}

// journalTopic adds the topic to the line of an event, if it has one.
func journalTopic(topic, event string) string {
	if topic == "" {
		return event
	}
	return fmt.Sprintf("%s, topic %q", event, topic)
}

func journalTooLarge(e sse.TooLargeError) string {
	return fmt.Sprintf("too large: offset %d, limit %d, id %q", e.Offset, e.Limit, e.LastEventID)
}

func journalComment(text string) string       { return fmt.Sprintf("comment: %q", text) }
func journalRetry(delay time.Duration) string { return fmt.Sprintf("retry: %v", delay) }

func journalEnd(err error, lastEventID string) string {
	return fmt.Sprintf("end: %v, last event id %q", err, lastEventID)
}

// char is a code point and the number of bytes in the stream from which it was decoded.
type char struct {
	r    rune
	size int64
}

// decodeUTF8 decodes a stream whose BOM, if it had one, is already removed.
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

// oracleLine is a line, and the offset in the stream at which it begins.
type oracleLine struct {
	chars []char
	start int64
}

// splitLines cuts chars, which begin at offset in the stream, at each CRLF, LF and
// CR. The rest is the text after the last line end. It may be empty.
func splitLines(chars []char, offset int64) (lines []oracleLine, rest oracleLine) {
	line := oracleLine{start: offset}
	for i, c := range chars {
		offset += c.size
		switch {
		case c.r == '\n' && i > 0 && chars[i-1].r == '\r':
			line.start = offset // the second half of a CRLF
		case c.r == '\n' || c.r == '\r':
			lines = append(lines, line)
			line = oracleLine{start: offset}
		default:
			line.chars = append(line.chars, c)
		}
	}
	return lines, line
}

// oracle is the state of the second decoder. HTML 9.2.6: "… a data buffer, an event type
// buffer, and a last event ID buffer". The fields after lastEventID are not in the
// standard: they are for the options, the topic and the journal.
type oracle struct {
	data, eventType, lastEventIDBuffer string
	lastEventID                        string // the event source's "last event ID string"
	topic                              string // from a field that the standard ignores
	id                                 string // of this event
	hasID                              bool   // this event has an id field

	limit    int64
	idSize   int64 // bytes of the id that this event sets
	retry    time.Duration
	tooLarge bool  // the event was reported as too large
	start    int64 // offset of the event's first line; -1 until that line is known
	journal  []string
}

// runOracle returns the journal of a stream that ends with err.
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
	lines, rest := splitLines(decodeUTF8(stream[offset:]), offset)
	for i, line := range lines {
		if i == 0 || o.start < 0 {
			o.start = line.start
		}
		if len(line.chars) == 0 {
			o.dispatch()
			continue
		}
		isOver := o.line(line.chars)
		size := len(strings.TrimSuffix(o.data, "\n")) + len(o.eventType) + len(o.topic)
		if isOver || int64(size)+o.idSize > o.limit {
			o.reportTooLarge()
		}
	}
	if o.start < 0 {
		o.start = rest.start
	}
	if o.restIsOver(rest.chars) {
		o.reportTooLarge()
	}
	return append(o.journal, journalEnd(err, o.lastEventID))
}

// reportTooLarge writes into the journal that the event is too large, unless it has
// done so before.
func (o *oracle) reportTooLarge() {
	if o.tooLarge {
		return
	}
	o.tooLarge = true
	o.lastEventID = o.lastEventIDBuffer
	o.journal = append(o.journal, journalTooLarge(sse.TooLargeError{
		Offset: o.start, Limit: int(o.limit), LastEventID: o.lastEventID,
	}))
}

// restIsOver reports whether an incomplete line, chars, already makes the event exceed the
// limit, whatever the rest of the line is.
func (o *oracle) restIsOver(chars []char) bool {
	name, value, hasColon := cutField(chars)
	if !hasColon {
		return false
	}
	switch name {
	case "data":
		size := len(o.data) + len(o.eventType) + len(o.topic)
		return rawSize(value)+o.idSize+int64(size) > o.limit
	case "event", "topic", "id":
		return rawSize(value) > o.limit
	}
	return false
}

// cutField cuts a line into the name and the value of its field.
func cutField(chars []char) (name string, value []char, hasColon bool) {
	colon := strings.IndexRune(textOf(chars), ':')
	if colon < 0 {
		return textOf(chars), nil, false
	}
	name = textOf(chars)[:colon]
	value = chars[len([]rune(name))+1:]
	if len(value) > 0 && value[0].r == ' ' {
		value = value[1:]
	}
	return name, value, true
}

// line processes a line that is not blank. It reports whether the line is an id
// field whose value alone exceeds the limit.
func (o *oracle) line(chars []char) bool {
	name, value, hasColon := cutField(chars)
	if !hasColon || name != "" {
		return o.field(name, value)
	}
	if rawSize(value) <= o.limit {
		o.journal = append(o.journal, journalComment(textOf(value)))
	}
	return false
}

// field processes a field. HTML 9.2.6: "The steps to process the field given a
// field name and a field value depend on the field name, as given in the
// following list." It reports whether the field is an id whose value alone exceeds
// the limit.
func (o *oracle) field(name string, chars []char) bool {
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
			return true
		} else if !strings.ContainsRune(value, 0) {
			o.lastEventIDBuffer = value
			o.id, o.hasID = value, true
			o.idSize = int64(len(value))
		}
	case "retry":
		if value == "" || len(value) > 4096 || strings.Trim(value, "0123456789") != "" {
			return false
		}
		ms, _ := new(big.Int).SetString(value, 10)
		if limit := big.NewInt(math.MaxInt64 / int64(time.Millisecond)); ms.Cmp(limit) > 0 {
			ms = limit
		}
		o.retry = time.Duration(ms.Int64()) * time.Millisecond
		o.journal = append(o.journal, journalRetry(o.retry))
	}
	return false
}

// dispatch processes the blank line that ends an event. HTML 9.2.6: "When the
// user agent is required to dispatch the event, …"
func (o *oracle) dispatch() {
	o.lastEventID = o.lastEventIDBuffer
	if o.data != "" && !o.tooLarge {
		data := strings.TrimSuffix(o.data, "\n")
		event := journalEvent(journalID(o.id, o.hasID && o.id == ""), o.lastEventID,
			o.eventType, data, o.retry)
		o.journal = append(o.journal, journalTopic(o.topic, event))
	}
	o.data, o.eventType, o.topic = "", "", ""
	o.id, o.hasID = "", false
	o.idSize, o.retry, o.tooLarge, o.start = 0, 0, false, -1
}

// generator writes streams of lines. Most lines are valid fields, because such
// streams reach more code than random bytes do. Some lengths are near the limit or
// near the size of a buffer.
type generator struct {
	*rand.Rand
	limit int
	buf   bytes.Buffer
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// size returns a random length in bytes. Most lengths are less than 6. The others
// are near the limit, near half of the limit, near the size of a buffer, or anything
// below twice the limit.
func (g *generator) size() int {
	near := g.IntN(21) - 10
	switch g.IntN(12) {
	case 0:
		return max(0, g.limit+near)
	case 1:
		return max(0, g.limit/2+near)
	case 2:
		return max(0, pick(g, 512, 1024, 4096, 8192)+near)
	case 3:
		return g.IntN(2 * g.limit)
	}
	return g.IntN(6)
}

func (g *generator) value() string {
	n := g.size()
	unit := pick(g,
		"x", "x", "x", "ü", "€", "😀", "\xFF", "\xE2\x82", "\xF0\x9F\x98", "\x00", ":", " ")
	value := strings.Repeat(unit, n/len(unit)+1)[:n]
	return value + pick(g, "", "", "", "", "\x00", "\xC3", " ", ":", bom)
}

func (g *generator) line() {
	name := pick(g, "data", "data", "data", "data", "event", "id", "id", "retry",
		"topic", "", "foo")
	switch g.IntN(20) {
	case 0:
		name = pick(g, " ", "x", bom, "\x00", "\xFF") + name
	case 1:
		name += pick(g, " ", "x", bom, "\x00", "\xFF")
	case 2:
		name = g.value()
	}
	g.buf.WriteString(name)
	if g.IntN(12) == 0 {
		return // no colon
	}
	g.buf.WriteString(pick(g, ":", ": ", ":  "))
	if name == "retry" {
		g.buf.WriteString(pick(g, "", "0", "1500", "1x", "-1", strings.Repeat("9", g.size())))
		return
	}
	g.buf.WriteString(g.value())
}

// generate returns a random stream, and the MaxEventSize to decode it with.
func generate(rng *rand.Rand) ([]byte, int) {
	g := &generator{Rand: rng}
	g.limit = pick(g, 1, 2, 8, 30, 200, 2000, 4096-6, 5000, 9000)
	if g.IntN(4) == 0 {
		g.buf.WriteString(bom[:1+g.IntN(3)])
	}
	lineEnd := pick(g, "\n", "\r", "\r\n", "")
	for range g.IntN(12) {
		for range g.IntN(6) {
			g.line()
			if lineEnd == "" {
				g.buf.WriteString(pick(g, "\n", "\r", "\r\n"))
			}
			g.buf.WriteString(lineEnd)
		}
		if lineEnd == "" {
			g.buf.WriteString(pick(g, "\n", "\r", "\r\n"))
		}
		g.buf.WriteString(lineEnd)
	}
	if g.IntN(2) == 0 && g.buf.Len() > 0 {
		g.buf.Truncate(g.IntN(g.buf.Len()))
	}
	return g.buf.Bytes(), g.limit
}

// The decoder and the oracle agree on random streams, whole and in pieces.
func TestDecodeEqualsOracle(t *testing.T) {
	n := uint64(1500)
	if testing.Short() {
		n = 300
	}
	for seed := range testrand.Seeds(t, 0, n) {
		rng := testrand.WithSeed(seed)
		stream, limit := generate(rng)
		opts := sse.DecoderOptions{MaxEventSize: limit, LastEventID: "0"}
		want := runOracle(stream, opts, io.EOF)
		sizes := make([]byte, 16)
		for i := range sizes {
			sizes[i] = byte(rng.IntN(1 << (1 + seed%8)))
		}
		readers := map[string]io.Reader{
			"whole":  bytes.NewReader(stream),
			"pieces": inPieces(stream, sizes),
		}
		for name, r := range readers {
			if diff := diffJournals(runDecoder(t, r, opts), want); diff != "" {
				t.Fatalf("seed %d, limit %d, %s: %s\nstream: %s",
					seed, limit, name, diff, abbreviate(string(stream)))
			}
		}
	}
}

// The oracle passes the hand-written cases of the Decoder, so it can be trusted in
// TestDecodeEqualsOracle.
func TestOracle(t *testing.T) {
	for _, test := range decodeCases {
		var want []string
		for _, event := range received("", test.want...) {
			want = append(want, journalTopic(event.Topic,
				journalEvent(journalID(event.ID, event.ClearID), event.LastEventID,
					event.Type, event.Data, event.Retry)))
		}
		want = append(want, journalEnd(io.EOF, test.lastID))
		var got []string
		for _, line := range runOracle([]byte(test.in), sse.DecoderOptions{}, io.EOF) {
			if !strings.HasPrefix(line, "comment:") && !strings.HasPrefix(line, "retry:") {
				got = append(got, line)
			}
		}
		if diff := diffJournals(got, want); diff != "" {
			t.Errorf("%s: %s: %q: %s", test.name, test.source, test.in, diff)
		}
	}
	for _, test := range limitCases {
		journal := runOracle([]byte(test.in+"\n\n"), sse.DecoderOptions{MaxEventSize: 10}, io.EOF)
		got := strings.HasPrefix(journal[len(journal)-2], "too large:")
		if got != test.tooLarge {
			t.Errorf("%s: %q: got too large: %t, want %t", test.name, test.in, got, test.tooLarge)
		}
	}
}
