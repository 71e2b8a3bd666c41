package sse_test

import (
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sse-go/sse"
)

// allocated is the number of bytes that fn allocates.
func allocated(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// endless are streams that a decoder must bear for ever, as their units repeat:
// no byte of them may be kept for long.
var endless = []struct{ name, head, unit string }{
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
	{"events, some of them ill-formed", "", "data: " + xs(500) + "\n\ndata: \xFF" + xs(500) + "\n\n"},
	{"large events", "", "data: " + xs(40_000) + "\n\ndata: b\n\n"},
	{"too large events", "", "id: 1\ndata: " + xs(90_000) + "\n\n"},
}

func TestDecodeMemoryBound(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 16 << 20
	}
	for _, test := range endless {
		t.Run(test.name, func(t *testing.T) {
			size := size
			if len(test.unit) < 100 {
				size /= 256 // short lines take long
			} else if strings.ContainsAny(test.unit, "\r\n") {
				size /= 64
			}
			for _, limit := range []int{100, 64 << 10} {
				tail := newCycle(test.unit, size)
				r := io.MultiReader(strings.NewReader(test.head), tail)
				n := int64(0)
				got := allocated(func() { n = drain(r, limit) })
				// Most of it is one buffer that doubles. An error is
				// allocated too.
				if want := int64(4*limit+256<<10) + 512*n; got > want {
					t.Errorf("limit %d: got %d bytes allocated for %d, want at most %d",
						limit, got, size, want)
				}
			}
		})
	}
}

// drain reads all of r and returns the number of too large events.
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

// With OnComment the text of a comment is held, but no longer one than the
// limit.
func TestDecodeMemoryBoundComments(t *testing.T) {
	const limit, size = 4 << 10, 64 << 20
	n := 0
	opts := &sse.DecoderOptions{MaxEventSize: limit, OnComment: func(string) { n++ }}
	r := io.MultiReader(strings.NewReader(":a\n:"), newCycle(xs(1000), size))
	got := allocated(func() { _, _ = sse.NewDecoder(r, opts).Next() })
	if want := int64(512 << 10); got > want || n != 1 {
		t.Errorf("endless comment: got %d bytes for %d comments, want at most %d for 1",
			got, n, want)
	}
}

// An event costs its size in memory a few times over, and a read costs more
// than a few bytes: that is what goes wrong first where time is not linear.
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
				got := allocated(func() { raw, err = d.Next() })
				if err != nil || len(raw.Data) < size/64 {
					t.Fatalf("got event of %d bytes, %v", len(raw.Data), err)
				}
				if want := int64(10 * size); got > want {
					t.Errorf("reads of %d: got %d bytes allocated for %d, want at most %d",
						read, got, size, want)
				}
				want := size/(4<<10) + 64
				if read > 0 && read < 4<<10 {
					want = size/read*5/4 + 64 // a read may end with the buffer
				}
				if body.calls > want {
					t.Errorf("reads of %d: got %d reads, want at most %d", read, body.calls, want)
				}
			}
		})
	}
}

// What a quiet stream holds is small, and a busy one reads in large pieces.
func TestDecodeBuffer(t *testing.T) {
	got := int64(math.MaxInt64)
	for range 10 { // the least of them: now and then the runtime allocates too
		got = min(got, allocated(func() {
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

// heap is the number of bytes that are in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// The memory of one huge event is let go of, well-formed or not.
func TestDecodeBufferShrinks(t *testing.T) {
	const huge = 8 << 20
	tests := []struct {
		event, unit string
		read        int
	}{
		{"data: ", "data: b\n\n", 9}, // each read ends where an event does
		{"data: ", "data: b\n\n", 1000},
		{"data: ", "\ndata: b\n", 9}, // none does
		{"data: ", "\ndata: " + xs(493) + "\n", 1000},
		{"data: ", "\ndata: " + xs(4096) + "\n", 1000},
		{"data: \xFF", "data: b\n\n", 1000},
		{"data:\ndata: \xFF\ndata: ", "\ndata: " + xs(493) + "\n", 1000},
	}
	for _, test := range tests {
		before := heap()
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
		if got, want := heap()-before, int64(1<<20); got > want {
			t.Errorf("%q, then %.20q in reads of %d: got %d bytes held, want at most %d",
				test.event, test.unit, test.read, got, want)
		}
		runtime.KeepAlive(d)
	}
}

func TestEncodeBufferShrinks(t *testing.T) {
	e := sse.NewEncoder(io.Discard)
	event := sse.Event{Data: xs(8 << 20)}
	before := heap()
	if err := e.Encode(event); err != nil {
		t.Fatal(err)
	}
	if got, want := heap()-before, int64(1<<20); got > want {
		t.Errorf("got %d bytes held after a huge event, want at most %d", got, want)
	}
	runtime.KeepAlive(e)
	runtime.KeepAlive(event)
}

var allocUnits = []struct {
	name, unit string
	perEvent   int // of Events; those of Next are none
	events     int // in the unit
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
			for range runs { // until the buffers have grown
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
		var last sse.Event // kept, or what is not used would not be allocated
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
		const loop = 8 // of the range statement itself
		if want := float64(n*test.events*test.perEvent + loop); got > want {
			t.Errorf("%s: got %v allocations for %d events, want at most %v",
				test.name, got, n*test.events, want)
		}
		runtime.KeepAlive(last)
	}
}

// A decoder that searched, or moved, what it has seen already would need
// 4 Mi × 2 MiB of work here, hours, and the test would never end.
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
