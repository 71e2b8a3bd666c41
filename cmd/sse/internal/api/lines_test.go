package api_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// The lines of a body, in one piece, byte by byte, and with the end of the body
// in the last piece.
func TestLines(t *testing.T) {
	for body, want := range map[string][]string{
		"":             {},
		"\n":           {""},
		"a":            {"a"},
		"a\n":          {"a"},
		"a\nb":         {"a", "b"},
		"a\n\nb\n":     {"a", "", "b"},
		"a\r\nb\r\n":   {"a", "b"},
		"a\r\n\r\nb\r": {"a", "", "b"},
		"\n\n\n":       {"", "", ""},
	} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"bytes": iotest.OneByteReader,
			"halfs": iotest.HalfReader,
			"end":   iotest.DataErrReader,
		} {
			a, broker := newBroker(t)
			got := send(t, a, "PUT /a", io.NopCloser(reader(strings.NewReader(body)))).String()
			answer := "200 kept 0"
			if len(want) > 0 {
				answer = fmt.Sprintf("200 kept %d, last id %s", len(want), positionOf(t, broker))
			}
			if got != answer {
				t.Errorf("%q, %s: %s, want %s", body, name, got, answer)
			}
			data := []string{}
			for _, e := range newestEntries(t, broker, 100) {
				data = append(data, e.Event.Data)
			}
			if !slices.Equal(data, want) {
				t.Errorf("%q, %s: stored %q, want %q", body, name, data, want)
			}
		}
	}
}

// Long lines arrive in pieces, between short ones.
func TestLongLines(t *testing.T) {
	var body strings.Builder
	want := []string{}
	for i := range 8 {
		for _, size := range []int{0, 1, 1000, 32 << 10, 200_000} {
			line := strings.Repeat(string(rune('a'+i)), size)
			want = append(want, line)
			body.WriteString(line + "\n")
		}
	}
	for _, piece := range []int{1000, 32<<10 - 1, 32 << 10, 100_000, 1 << 20} {
		p := &pieces{err: io.EOF}
		for part := range slices.Chunk([]byte(body.String()), piece) {
			p.parts = append(p.parts, string(part))
		}
		a, broker := newBroker(t)
		if got := send(t, a, "PUT /a", p); got.status != 200 {
			t.Errorf("pieces of %d bytes: %s, want 200", piece, got)
		}
		data := []string{}
		for _, e := range newestEntries(t, broker, 100) {
			data = append(data, e.Event.Data)
		}
		if !slices.Equal(data, want) {
			t.Errorf("pieces of %d bytes: %d lines are stored, want %d equal ones", piece, len(data), len(want))
		}
	}
}

// A line that is longer than an event may be is refused before its end arrives.
func TestLineTooLong(t *testing.T) {
	const large = "an event must have at most 100 bytes on the wire, including 7 for each line of its data; " +
		"the hub's flag --max-event-size sets this limit; before the error: kept "
	for _, test := range []struct {
		parts []string
		want  string
		reads int
	}{
		{[]string{strings.Repeat("x", 93), "\n"}, "200 kept 1, last id ID", 3},
		{[]string{strings.Repeat("x", 93)}, "200 kept 1, last id ID", 2},
		{[]string{strings.Repeat("x", 94) + "\n", "y\n"}, "413 sse: line 1: " + large + "0", 1},
		{[]string{strings.Repeat("x", 100), "\n", "y\n"}, "413 sse: line 1: " + large + "0", 2},
		{[]string{strings.Repeat("x", 100)}, "413 sse: line 1: " + large + "0", 2},
		{[]string{strings.Repeat("x", 101), "\n", "y\n"}, "413 sse: " + large + "0", 1},
		{[]string{"a\nb\n" + strings.Repeat("x", 101), "\n"}, "413 sse: " + large + "2, last id ID", 1},
		{[]string{"a\nb\n" + strings.Repeat("x", 100), "\n"}, "413 sse: line 3: " + large + "2, last id ID", 2},
	} {
		a, broker := newBroker(t, func(o *api.Options) { o.MaxEvent = 100 })
		body := &pieces{parts: test.parts, err: io.EOF}
		got := send(t, a, "PUT /a", body)
		if want := strings.ReplaceAll(test.want, "ID", positionOf(t, broker)); got.String() != want || body.reads != test.reads {
			t.Errorf("%.120q: %s after %d reads, want %s after %d", test.parts, got, body.reads, want, test.reads)
		}
		wantClose := ""
		if got.status != 200 {
			wantClose = "close"
		}
		if got := got.header.Get("Connection"); got != wantClose {
			t.Errorf("%.120q: Connection is %q, want %q", test.parts, got, wantClose)
		}
	}
}

// Lines that arrive together are published together, at most 1024 at once. If
// the log refuses one line, the lines before it are published.
func TestCallsOfTheLog(t *testing.T) {
	run := func(refuse string, lines int) ([]string, answer) {
		var calls []string
		a, _ := newBroker(t, func(o *api.Options) {
			o.Log = fakeLog{Log: o.Log, publish: func(_ *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
				first, last := entries[0].Event.Data, entries[len(entries)-1].Event.Data
				calls = append(calls, fmt.Sprintf("%d:%s-%s", len(entries), first, last))
				for i := range entries {
					if entries[i].Event.Data == refuse {
						return nil, false, &sse.FieldError{Field: "line", Reason: "is wrong"}
					}
				}
				positions := make([]sse.Position, len(entries))
				for i := range positions {
					positions[i] = sse.Position{Epoch: 1 << 63, Seq: 7}
				}
				return positions, false, nil
			}}
		})
		var body strings.Builder
		for i := range lines {
			fmt.Fprintln(&body, i+1)
		}
		got := ask(t, a, "PUT /a", body.String())
		return calls, got
	}
	id := sse.Position{Epoch: 1 << 63, Seq: 7}.String()
	for _, test := range []struct {
		lines  int
		refuse string
		calls  []string
		want   string
	}{
		{1, "", []string{"1:1-1"}, "200 kept 1, last id " + id},
		{1024, "", []string{"1024:1-1024"}, "200 kept 1024, last id " + id},
		{1025, "", []string{"1024:1-1024", "1:1025-1025"}, "200 kept 1025, last id " + id},
		{2100, "", []string{"1024:1-1024", "1024:1025-2048", "52:2049-2100"}, "200 kept 2100, last id " + id},
		{0, "", nil, "200 kept 0"},
		{1, "1", []string{"1:1-1"}, "before the error: kept 0"},
		{3, "1", []string{"3:1-3", "1:1-1"}, "line 1: "},
		{3, "3", []string{"3:1-3", "1:1-1", "1:2-2", "1:3-3"}, "line 3: "},
		{1026, "1026", []string{"1024:1-1024", "2:1025-1026", "1:1025-1025", "1:1026-1026"}, "line 1026: "},
	} {
		calls, got := run(test.refuse, test.lines)
		if !slices.Equal(calls, test.calls) {
			t.Errorf("%d lines without %q: the calls are %q, want %q", test.lines, test.refuse, calls, test.calls)
		}
		text := got.String()
		if test.refuse != "" {
			kept := fmt.Sprintf("before the error: kept %d", max(0, mustAtoi(t, test.refuse)-1))
			if got.status != 400 || !strings.Contains(text, test.want) || !strings.Contains(text, kept) {
				t.Errorf("%d lines without %q: %s, want 400 with %q and %q", test.lines, test.refuse, text, test.want, kept)
			}
		} else if text != test.want {
			t.Errorf("%d lines: %s, want %s", test.lines, text, test.want)
		}
	}
}

// If the first line is invalid, the log is not called.
func TestNoCallOfTheLog(t *testing.T) {
	a, _ := newBroker(t, func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, publish: func(_ *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
			t.Errorf("the log received %+v", entries)
			return make([]sse.Position, len(entries)), false, nil
		}}
	})
	checkRows(t, a, []row{
		{"PUT /a", nil, "\xff\nb\n", "400 sse: line 1: the data must be UTF-8, because an event stream carries nothing else; " +
			"encode other data, for example as base64; before the error: kept 0"},
		{"PUT /-/batch?topic=a", nil, "{}\n", `400 sse: line 1: must have "data" that is not null; before the error: kept 0`},
		{"PUT /a", nil, "", "200 kept 0"},
	})
}

func mustAtoi(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
