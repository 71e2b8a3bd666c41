package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/testrand"
)

// runDecoder returns the journal of a Decoder that reads r to its end. A journal has a
// line of text for each event, comment, retry field and error, in order.
func runDecoder(tb testing.TB, r io.Reader, opts sse.DecoderOptions) []string {
	tb.Helper()
	var journal []string
	opts.OnComment = func(text string) { journal = append(journal, journalComment(text)) }
	opts.OnRetry = func(delay time.Duration) { journal = append(journal, journalRetry(delay)) }
	d := sse.NewDecoder(r, &opts)
	for {
		raw, err := d.Next()
		var tooLarge *sse.TooLargeError
		switch {
		case err == nil:
			journal = append(journal, journalTopic(string(raw.Topic), journalEvent(
				journalID(string(raw.ID), raw.ClearID), string(raw.LastEventID),
				string(raw.Type), string(raw.Data), raw.Retry)))
			if got, want := sse.LastEventID(d), string(raw.LastEventID); got != want {
				tb.Errorf("the last event id after an event: got %q, want %q", got, want)
			}
		case errors.As(err, &tooLarge):
			journal = append(journal, journalTooLarge(*tooLarge))
		default:
			return append(journal, journalEnd(err, sse.LastEventID(d)))
		}
	}
}

// received returns events as a Decoder returns them: with the LastEventID that
// follows from their ID and ClearID, unless LastEventID is set. The argument last is
// the last event ID before the first event.
func received(last string, events ...sse.Event) []sse.Event {
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		if e.LastEventID == "" && e.ID == "" && !e.ClearID {
			e.LastEventID = last
		} else if e.LastEventID == "" {
			e.LastEventID = e.ID
		}
		last = e.LastEventID
	}
	return events
}

// diffJournals describes the first difference between got and want, or returns
// "".
func diffJournals(got, want []string) string {
	if slices.Equal(got, want) {
		return ""
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	line := func(journal []string) string {
		if i >= len(journal) {
			return "nothing more"
		}
		return abbreviate(journal[i])
	}
	return fmt.Sprintf("line %d of the journal:\n got %s\nwant %s", i+1, line(got), line(want))
}

func abbreviate(s string) string {
	if len(s) <= 600 {
		return s
	}
	return fmt.Sprintf("%s … (%d bytes) … %s", s[:300], len(s), s[len(s)-200:])
}

// pieces is a reader of the elements of rest. Each Read returns one element, which may be
// empty, or as much of the element as fits. After the last element, Read returns err, or
// io.EOF if err is nil.
type pieces struct {
	rest [][]byte
	err  error
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		return 0, io.EOF
	}
	n := copy(b, p.rest[0])
	if p.rest[0] = p.rest[0][n:]; len(p.rest[0]) == 0 {
		p.rest = p.rest[1:]
	}
	return n, nil
}

// inPieces cuts the stream into pieces of the given sizes. After the last size, it
// continues with the first. A size of zero is an empty read. If no size is greater than
// zero, all pieces have 255 bytes.
func inPieces(stream []byte, sizes []byte) io.Reader {
	p := &pieces{}
	if !slices.ContainsFunc(sizes, func(n byte) bool { return n > 0 }) {
		sizes = []byte{255}
	}
	for i := 0; len(stream) > 0; i++ {
		n := min(int(sizes[i%len(sizes)]), len(stream))
		p.rest = append(p.rest, stream[:n])
		stream = stream[n:]
	}
	return p
}

// forAnyPieces calls fn with many readers of the same stream. One reader returns the
// stream whole; others return it byte by byte, cut in two at each offset, or cut at random.
func forAnyPieces(stream []byte, fn func(name string, r io.Reader)) {
	whole := func() io.Reader { return bytes.NewReader(stream) }
	fn("whole", whole())
	fn("byte by byte", iotest.OneByteReader(whole()))
	fn("half of each read", iotest.HalfReader(whole()))
	fn("last bytes with the error", iotest.DataErrReader(whole()))
	fn("byte by byte, last with the error",
		iotest.DataErrReader(iotest.OneByteReader(whole())))
	for i := 1; i < len(stream); i++ {
		fn(fmt.Sprintf("cut at %d", i), &pieces{rest: [][]byte{stream[:i], stream[i:]}})
	}
	for seed := range uint64(8) {
		rng := testrand.WithSeed(seed)
		sizes := make([]byte, 64)
		for i := range sizes {
			sizes[i] = byte(rng.IntN(1 << (1 + seed%5)))
		}
		fn(fmt.Sprintf("random pieces, seed %d", seed), inPieces(stream, sizes))
	}
}

// forSomePieces is like forAnyPieces, but for a stream that is too long to be cut at
// every offset. It cuts the stream into pieces whose size is close to a likely size of
// a buffer.
func forSomePieces(stream []byte, fn func(name string, r io.Reader)) {
	fn("whole", bytes.NewReader(stream))
	fn("byte by byte", iotest.OneByteReader(bytes.NewReader(stream)))
	for size := 512; size < len(stream); size *= 2 {
		for _, i := range []int{size - 1, size, size + 1} {
			fn(fmt.Sprintf("pieces of %d", i), &pieces{rest: slices.Collect(slices.Chunk(stream, i))})
		}
	}
}

// cycle is a reader of a stream that repeats a unit.
type cycle struct {
	unit  []byte
	buf   []byte // the unit several times, so that a Read is one copy
	pos   int    // offset in the unit
	left  int64  // bytes until io.EOF
	read  int    // limit of bytes for one Read, or 0
	calls int    // number of calls of Read
}

func newCycle(unit string, size int64) *cycle {
	repeat := max(2, (128<<10)/len(unit))
	return &cycle{unit: []byte(unit), buf: []byte(strings.Repeat(unit, repeat)), left: size}
}

func (c *cycle) Read(p []byte) (int, error) {
	c.calls++
	if c.left == 0 {
		return 0, io.EOF
	}
	if c.read > 0 {
		p = p[:min(len(p), c.read)]
	}
	n := copy(p[:min(int64(len(p)), c.left)], c.buf[c.pos:])
	c.pos = (c.pos + n) % len(c.unit)
	c.left -= int64(n)
	return n, nil
}
