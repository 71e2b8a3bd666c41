package sse_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

// token is an event as language models send them: 112 bytes.
const token = `data: {"id":"chatcmpl-9x","object":"chat.completion.chunk",` +
	`"choices":[{"index":0,"delta":{"content":" tok"}}]}` + "\n\n"

var benchStreams = []struct {
	name, unit string
	read       int // bytes of one Read, or 0: as many as asked for
}{
	{"token", token, 0},
	{"token-1KiB-reads", token, 1 << 10},
	{"1MB-line", "data: " + strings.Repeat("x", 1_000_000) + "\n\n", 0},
	{"1MB-line-1KiB-reads", "data: " + strings.Repeat("x", 1_000_000) + "\n\n", 1 << 10},
	{"8-lines-id-type", "id: 0123456789\nevent: update\n" +
		strings.Repeat("data: "+strings.Repeat("x", 40)+"\n", 8) + "\n", 0},
	{"ill-formed", "data: " + strings.Repeat("x", 50) + "\xFF" + strings.Repeat("x", 50) + "\n\n", 0},
}

// BenchmarkDecode is an event each: raw from Next, as an Event, and, as the
// bound that no decoder of lines can pass, one copy and one bytes.IndexByte.
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
