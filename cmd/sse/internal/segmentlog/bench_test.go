package segmentlog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
)

// fillDir makes a closed log with sealed segments and a tail of about a number of bytes.
func fillDir(b *testing.B, dir string, segments, tail int) {
	b.Helper()
	l, err := segmentlog.Open(dir, &segmentlog.Options{Reserve: -1, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	const size = 16 << 20
	text := strings.Repeat("x", 160)
	perEvent := len(text) + 50 // about
	var entries []sse.Entry
	n := (segments*size + tail) / perEvent
	for i := range n {
		entries = append(entries, entry(text, fmt.Sprint("topic/", i%1000)))
		if len(entries) == 1000 || i == n-1 {
			put(b, l, entries...)
			entries = entries[:0]
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen opens a log. The case "both" is Open, and "second" is only the second
// step, after Prepare.
func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct{ segments, tail int }{{0, 15 << 20}, {100, 1 << 20}} {
		b.Run(fmt.Sprintf("segments=%d,tail=%dMiB", c.segments, c.tail>>20), func(b *testing.B) {
			dir := b.TempDir()
			fillDir(b, dir, c.segments, c.tail)
			opts := &segmentlog.Options{Reserve: -1, Logger: quiet}
			for _, step := range []string{"both", "second"} {
				b.Run(step, func(b *testing.B) {
					for b.Loop() {
						if step == "second" {
							b.StopTimer()
						}
						p, err := segmentlog.Prepare(dir, opts)
						if err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
						l, err := p.Open(b.Context(), 0)
						if err != nil {
							b.Fatal(err)
						}
						b.StopTimer()
						if err := l.Close(); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
				})
			}
		})
	}
}
