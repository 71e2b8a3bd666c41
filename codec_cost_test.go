package sse_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/heap"
)

// measureAlloc returns the number of bytes that fn allocates.
func measureAlloc(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// endlessStreams are streams that never end: a head, and then a unit that repeats. A
// decoder must not retain their bytes for long. Ill-formed means: not valid UTF-8.
var endlessStreams = []struct{ name, head, unit string }{
	{"line", "", xs(1000)},
	{"data line", "data: ", xs(1000)},
	{"ill-formed data line", "data: \xFF", xs(999) + "\xE2"},
	{"comment", ":", xs(1000)},
	{"id", "id: ", xs(1000)},
	{"type", "event: ", xs(1000)},
	{"topic", "topic: ", xs(1000)},
	{"retry", "retry: ", strings.Repeat("1", 1000)},
	{"name", "", "data" + xs(1000)},
	{"data lines", "", "data: " + xs(500) + "\r\n"},
	{"ill-formed data lines", "", "data: " + xs(499) + "\xFF\n"},
	{"comments in an event", "data: a\n", ":" + xs(500) + "\n"},
	{"unknown lines in an event", "data: \xFF\n", xs(500) + "\n"},
	{"ids", "", "id: " + xs(500) + "\n"},
	{"types and ids", "", "event: " + xs(500) + "\rid: " + xs(600) + "\r"},
	{"topics", "", "topic: " + xs(500) + "\n"},
	{"retries", "", "retry: " + strings.Repeat("1", 500) + "\n"},
	{"blank lines", "data: a", "\n\n\n\n\n\n\n\n\n\r\r\r\r\r\r\r\n\r"},
	{"events", "", "data: " + xs(500) + "\n\n"},
	{"events, some ill-formed", "", "data: " + xs(500) + "\n\ndata: \xFF" + xs(500) + "\n\n"},
	{"large events", "", "data: " + xs(40_000) + "\n\ndata: b\n\n"},
	{"oversized events", "", "id: 1\ndata: " + xs(90_000) + "\n\n"},
}

func TestDecodeMemoryBound(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 16 << 20
	}
	for _, test := range endlessStreams {
		t.Run(test.name, func(t *testing.T) {
			size := size
			if len(test.unit) < 100 {
				size /= 256 // short lines are slow
			} else if strings.ContainsAny(test.unit, "\r\n") {
				size /= 64
			}
			for _, limit := range []int{100, 64 << 10} {
				tail := newCycle(test.unit, size)
				r := io.MultiReader(strings.NewReader(test.head), tail)
				n := int64(0)
				got := measureAlloc(func() { n = drain(r, limit) })
				// Most of the memory is for one buffer, whose size doubles several
				// times. Each TooLargeError needs memory, too.
				if want := int64(4*limit+256<<10) + 512*n; got > want {
					t.Errorf("limit %d: got %d bytes allocated for %d, want at most %d",
						limit, got, size, want)
				}
			}
		})
	}
}

// drain reads all of r and returns the number of events over the limit.
func drain(r io.Reader, limit int) (tooLarge int64) {
	d := sse.NewDecoder(r, &sse.DecoderOptions{MaxEventSize: limit})
	for {
		_, err := d.Next()
		if err == nil {
			continue
		}
		var e *sse.TooLargeError
		if !errors.As(err, &e) {
			return tooLarge
		}
		tooLarge++
	}
}

// With OnComment the decoder buffers the text of a comment, but not of a
// comment longer than the limit.
func TestDecodeMemoryBoundComments(t *testing.T) {
	const limit, size = 4 << 10, 64 << 20
	n := 0
	opts := &sse.DecoderOptions{MaxEventSize: limit, OnComment: func(string) { n++ }}
	r := io.MultiReader(strings.NewReader(":a\n:"), newCycle(xs(1000), size))
	got := measureAlloc(func() { _, _ = sse.NewDecoder(r, opts).Next() })
	if want := int64(512 << 10); got > want || n != 1 {
		t.Errorf("endless comment: got %d bytes for %d comments, want at most %d for 1",
			got, n, want)
	}
}

// The time of a decoder is linear in the size of an event. This test does not measure
// time. It limits two numbers instead: the bytes that the decoder allocates, and its
// reads. If the time is not linear, one of these numbers is too large.
func TestDecodeLinear(t *testing.T) {
	const size = 4 << 20
	units := []struct{ name, unit string }{
		{"one line", xs(1024)},
		{"data lines", "\ndata: " + xs(50)},
		{"empty data lines", "\ndata"},
		{"short data lines with others", "\ndata: x\n:" + xs(50)},
		{"ill-formed data lines", "\ndata: x\xFFx"},
	}
	for _, test := range units {
		t.Run(test.name, func(t *testing.T) {
			for _, read := range []int{0, 64 << 10, 1 << 10, 100} {
				body := newCycle(test.unit, size/int64(len(test.unit))*int64(len(test.unit)))
				body.read = read
				r := io.MultiReader(strings.NewReader("data: "), body, strings.NewReader("\n\n"))
				d := sse.NewDecoder(r, nil)
				var raw sse.RawEvent
				var err error
				got := measureAlloc(func() { raw, err = d.Next() })
				if err != nil || len(raw.Data) < size/64 {
					t.Fatalf("got event of %d bytes, %v", len(raw.Data), err)
				}
				if want := int64(10 * size); got > want {
					t.Errorf("reads of %d: got %d bytes allocated for %d, want at most %d",
						read, got, size, want)
				}
				want := size/(4<<10) + 64
				if read > 0 && read < 4<<10 {
					want = size/read*5/4 + 64 // the end of the buffer may cut a read short
				}
				if body.calls > want {
					t.Errorf("reads of %d: got %d reads, want at most %d", read, body.calls, want)
				}
			}
		})
	}
}

// The decoder of a quiet stream has a small buffer, and a busy stream is read
// in large pieces.
func TestDecodeBuffer(t *testing.T) {
	got := int64(math.MaxInt64)
	for range 10 { // take the minimum, because the runtime sometimes allocates too
		got = min(got, measureAlloc(func() {
			_, _ = sse.NewDecoder(strings.NewReader("data: a\n\n"), nil).Next()
		}))
	}
	if want := int64(6 << 10); got > want {
		t.Errorf("quiet stream: got %d bytes, want at most %d", got, want)
	}
	r := newCycle("data: "+xs(100)+"\n\n", 64<<20)
	drain(r, 0)
	if want := (64 << 20) / (32 << 10); r.calls > want {
		t.Errorf("busy stream: got %d reads, want at most %d", r.calls, want)
	}
}

// The decoder releases the memory of a huge event, whether or not the event is valid
// UTF-8.
func TestDecodeBufferShrinks(t *testing.T) {
	const huge = 8 << 20
	tests := []struct {
		event, unit string
		read        int
	}{
		{"data: ", "data: b\n\n", 9}, // the end of each read is the end of an event
		{"data: ", "data: b\n\n", 1000},
		{"data: ", "\ndata: b\n", 9}, // the end of each read is inside of an event
		{"data: ", "\ndata: " + xs(493) + "\n", 1000},
		{"data: ", "\ndata: " + xs(4096) + "\n", 1000},
		{"data: \xFF", "data: b\n\n", 1000},
		{"data:\ndata: \xFF\ndata: ", "\ndata: " + xs(493) + "\n", 1000},
	}
	for _, test := range tests {
		before := heap.InUse()
		tail := newCycle(test.unit, 8<<20)
		tail.read = test.read
		r := io.MultiReader(strings.NewReader(test.event), newCycle(xs(1024), huge),
			strings.NewReader("\n\n"), tail)
		d := sse.NewDecoder(r, nil)
		raw, err := d.Next()
		if err != nil || len(raw.Data) < huge {
			t.Fatalf("got %d bytes, %v, want %d", len(raw.Data), err, huge)
		}
		raw = sse.RawEvent{}
		for tail.left > 1<<10 {
			if _, err := d.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := int64(heap.InUse())-int64(before), int64(1<<20); got > want {
			t.Errorf("%q, then %.20q in reads of %d: got %d bytes held, want at most %d",
				test.event, test.unit, test.read, got, want)
		}
		runtime.KeepAlive(d)
	}
}

func TestEncodeBufferShrinks(t *testing.T) {
	e := sse.NewEncoder(io.Discard)
	event := sse.Event{Data: xs(8 << 20)}
	before := heap.InUse()
	if err := e.Encode(event); err != nil {
		t.Fatal(err)
	}
	if got, want := int64(heap.InUse())-int64(before), int64(1<<20); got > want {
		t.Errorf("got %d bytes held after a huge event, want at most %d", got, want)
	}
	runtime.KeepAlive(e)
	runtime.KeepAlive(event)
}

var allocUnits = []struct {
	name, unit string
	perEvent   int // allocations of Events for each event; Next has none
	events     int // number of events in the unit
}{
	{"data", "data: some text\n\n", 1, 1},
	{"empty data", "data\n\n", 0, 1},
	{"lines", "data: a\ndata: b\r\ndata: c\r:x\n\n", 1, 1},
	{"ill-formed", "data: \xFF\ndata: \xE2\x82\n\n", 1, 1},
	{"same id", "id: 1\ndata: some text\n\n", 1, 1},
	{"same type", "event: token\ndata: some text\n\n", 1, 1},
	{"changing id", "id: 1\ndata: some text\n\nid: 2\ndata: other text\n\n", 2, 2},
	{"changing id and type", "id: 1\nevent: a\ndata: some text\n\n" +
		"id: 2\nevent: b\nretry: 1\ndata: other text\n\n", 3, 2},
	{"same topic", "topic: news\ndata: some text\n\n", 1, 1},
	{"same topic, id and type", "topic: news\nid: 1\nevent: a\ndata: some text\n\n", 1, 1},
	{"changing topic", "topic: news\ndata: some text\n\ntopic: sport\ndata: other text\n\n", 2, 2},
	{"a topic now and then", "topic: news\ndata: some text\n\ndata: other text\n\n", 1, 2},
	{"a type now and then", "event: a\ndata: some text\n\ndata: other text\n\n", 1, 2},
	{"blocks without data", "id: 1\nevent: x\n\n:x\n\ndata: some text\n\n", 1, 1},
	{"large", "data: " + xs(100_000) + "\n\n", 1, 1},
	{"large among small", "data: " + xs(100_000) + "\n\n" +
		strings.Repeat("data: some text\n\n", 10), 1, 11},
}

func TestNextAllocatesNothing(t *testing.T) {
	for _, test := range allocUnits {
		for _, read := range []int{0, 1000, 1} {
			r := newCycle(test.unit, 1<<40)
			r.read = read
			d := sse.NewDecoder(r, nil)
			next := func() {
				if _, err := d.Next(); err != nil {
					t.Fatal(err)
				}
			}
			runs := min(1000, 4_000_000/len(test.unit))
			if read == 1 {
				runs = min(1000, 200_000/len(test.unit)+10)
			}
			for range runs { // let the buffers grow
				next()
			}
			if got, want := testing.AllocsPerRun(runs, next), 0.0; got != want {
				t.Errorf("%s, reads of %d: got %v allocations for an event, want %v",
					test.name, read, got, want)
			}
		}
	}
}

func TestEventsAllocations(t *testing.T) {
	const n = 100
	for _, test := range allocUnits {
		d := sse.NewDecoder(newCycle(test.unit, 1<<40), nil)
		var last sse.Event // used below, so that the compiler does not remove its allocations
		take := func() {
			taken := 0
			for event, err := range d.Events() {
				last = event
				if err != nil {
					t.Fatal(err)
				}
				if taken++; taken == n*test.events {
					return
				}
			}
		}
		take()
		got := testing.AllocsPerRun(10, take)
		const loop = 8 // allocations of the range statement itself
		if want := float64(n*test.events*test.perEvent + loop); got > want {
			t.Errorf("%s: got %v allocations for %d events, want at most %v",
				test.name, got, n*test.events, want)
		}
		runtime.KeepAlive(last)
	}
}

// If the decoder searched or moved the same bytes again for each read, it would process
// 4 Mi times about 2 MiB. That takes hours, so the test would exceed its time limit.
func TestDecodeHugeLineByteByByte(t *testing.T) {
	size := 4 << 20
	if testing.Short() {
		size = 1 << 20
	}
	for _, end := range []string{"\n\n", "\r\r", "\r\n\r\n"} {
		in := "data: " + xs(size/2) + end[:len(end)/2] + "data: " + xs(size/2) + end
		d := sse.NewDecoder(iotest.OneByteReader(strings.NewReader(in)), nil)
		raw, err := d.Next()
		if err != nil || len(raw.Data) != size+1 {
			t.Errorf("%q: got %d bytes, %v, want %d", end, len(raw.Data), err, size+1)
		}
	}
}

// token is an event of 112 bytes, like the events of a language model.
const token = `data: {"id":"chatcmpl-9x","object":"chat.completion.chunk",` +
	`"choices":[{"index":0,"delta":{"content":" tok"}}]}` + "\n\n"

var benchStreams = []struct {
	name, unit string
	read       int // limit of bytes for one Read, or 0
}{
	{"token", token, 0},
	{"token-1KiB-reads", token, 1 << 10},
	{"1MB-line", "data: " + strings.Repeat("x", 1_000_000) + "\n\n", 0},
	{"1MB-line-1KiB-reads", "data: " + strings.Repeat("x", 1_000_000) + "\n\n", 1 << 10},
	{"8-lines-id-type", "id: 0123456789\nevent: update\n" +
		strings.Repeat("data: "+strings.Repeat("x", 40)+"\n", 8) + "\n", 0},
	{"ill-formed", "data: " + strings.Repeat("x", 50) + "\xFF" + strings.Repeat("x", 50) + "\n\n", 0},
}

// BenchmarkDecode decodes one event per iteration: with Next and with Events. The
// sub-benchmark "bound" decodes nothing: it only copies the bytes once, and searches
// for line ends with bytes.IndexByte. No decoder of lines can be faster.
func BenchmarkDecode(b *testing.B) {
	for _, bench := range benchStreams {
		stream := func() io.Reader {
			r := newCycle(bench.unit, 1<<60)
			r.read = bench.read
			return r
		}
		b.Run(bench.name+"/next", func(b *testing.B) {
			d := sse.NewDecoder(stream(), nil)
			b.SetBytes(int64(len(bench.unit)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+"/events", func(b *testing.B) {
			d := sse.NewDecoder(stream(), nil)
			b.SetBytes(int64(len(bench.unit)))
			b.ReportAllocs()
			n := 0
			b.ResetTimer()
			for _, err := range d.Events() {
				if err != nil {
					b.Fatal(err)
				}
				if n++; n >= b.N {
					break
				}
			}
		})
		b.Run(bench.name+"/bound", func(b *testing.B) {
			r := stream()
			buf := make([]byte, len(bench.unit))
			b.SetBytes(int64(len(bench.unit)))
			for b.Loop() {
				if _, err := io.ReadFull(r, buf); err != nil {
					b.Fatal(err)
				}
				for rest := buf; len(rest) > 0; {
					rest = rest[bytes.IndexByte(rest, '\n')+1:]
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	events := []struct {
		name  string
		event sse.Event
	}{
		{"token", sse.Event{Data: strings.TrimSuffix(token[len("data: "):], "\n\n")}},
		{"8-lines-id-type", sse.Event{ID: "0123456789", Type: "update",
			Data: strings.Repeat(strings.Repeat("x", 40)+"\n", 8)}},
		{"1MB-line", sse.Event{Data: strings.Repeat("x", 1_000_000)}},
		{"8-lines-CRLF", sse.Event{Data: strings.Repeat(strings.Repeat("x", 40)+"\r\n", 8)}},
	}
	for _, bench := range events {
		b.Run(bench.name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = sse.AppendEvent(buf[:0], bench.event); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
