package sse_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

// generator writes streams that are mostly sense, so that they get further than
// random bytes do: lines of all kinds, long ones near the sizes of buffers and
// of the limit.
type generator struct {
	*rand.Rand
	limit int
	buf   bytes.Buffer
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// size is small most of the time, or about the limit, or about a buffer.
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

// generate returns a stream and the limit it is about.
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

// The decoder and the oracle agree on every stream in any pieces.
func TestDecodeEqualsOracle(t *testing.T) {
	n := uint64(1500)
	if testing.Short() {
		n = 300
	}
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 9))
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

// The oracle is checked too, by the cases that were written by hand.
func TestOracle(t *testing.T) {
	for _, test := range decodeCases {
		var want []string
		for _, event := range test.want {
			want = append(want, journalTopic(event.Topic,
				journalEvent(event.ID, event.Type, event.Data, event.Retry)))
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
