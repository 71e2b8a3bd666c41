package api_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// The lines of a body are published, in whatever way the body arrives: in one piece,
// byte by byte, in pieces of half the buffer, or with its end in the last piece.
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
			"whole":  func(r io.Reader) io.Reader { return r },
			"bytes":  iotest.OneByteReader,
			"halves": iotest.HalfReader,
			"end":    iotest.DataErrReader,
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

// Long and short lines are published unchanged, even if a line arrives in pieces.
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

// A line that is longer than MaxEvent is refused before its end arrives. Each of the
// parts arrives in a read of its own.
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

// Lines that arrive together are published in one call of the log, at most 1024 at
// once. If the log refuses a call because of one line, the API calls it with single
// lines, so that the lines before the refused line are published. A call is
// COUNT:FIRST-LAST, where FIRST and LAST are the data of events.
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
		// The first read returns 4 KiB, which have 1040 lines. The second is larger.
		{2100, "", []string{"1024:1-1024", "16:1025-1040", "1024:1041-2064", "36:2065-2100"}, "200 kept 2100, last id " + id},
		{0, "", nil, "200 kept 0"},
		{1, "1", []string{"1:1-1"}, "line 1: "},
		{3, "1", []string{"3:1-3", "1:1-1"}, "line 1: "},
		{3, "3", []string{"3:1-3", "1:1-1", "1:2-2", "1:3-3"}, "line 3: "},
		{1026, "1026", []string{"1024:1-1024", "2:1025-1026", "1:1025-1025", "1:1026-1026"}, "line 1026: "},
	} {
		calls, got := run(test.refuse, test.lines)
		if !slices.Equal(calls, test.calls) {
			t.Errorf("%d lines, of which %q is refused: the calls are %q, want %q", test.lines, test.refuse, calls, test.calls)
		}
		text := got.String()
		if test.refuse != "" {
			kept := fmt.Sprintf("before the error: kept %d", max(0, mustAtoi(t, test.refuse)-1))
			if got.status != 400 || !strings.Contains(text, test.want) || !strings.Contains(text, kept) {
				t.Errorf("%d lines, of which %q is refused: %s, want 400 with %q and %q", test.lines, test.refuse, text, test.want, kept)
			}
		} else if text != test.want {
			t.Errorf("%d lines: %s, want %s", test.lines, text, test.want)
		}
	}
}

// If the log refuses two lines in one call, but accepts each of them alone, both are
// published.
func TestLinesRefusedTogether(t *testing.T) {
	a, _ := newBroker(t, func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, publish: func(_ *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
			if len(entries) > 1 {
				return nil, false, &sse.FieldError{Field: "id", Reason: "is given twice"}
			}
			return make([]sse.Position, 1), false, nil
		}}
	})
	if got := ask(t, a, "PUT /a", "1\n2\n").String(); !strings.HasPrefix(got, "200 kept 2") {
		t.Errorf("%s, want 200 kept 2", got)
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

// keyLog is a log that remembers idempotency keys. It refuses the data "wrong". With
// the data "late", it fails as if the hub shut down.
type keyLog struct {
	digests map[string][32]byte // by "OWNER KEY"
	calls   []string            // each as "OWNER KEY DATA"
	stored  []string            // the data of the events
}

func (l *keyLog) publish(r *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
	if len(entries) != 1 {
		return nil, false, fmt.Errorf("%d entries", len(entries))
	}
	data := entries[0].Event.Data
	if r == nil {
		l.stored = append(l.stored, data)
		return make([]sse.Position, 1), false, nil
	}
	l.calls = append(l.calls, r.Owner+" "+r.Key+" "+data)
	at := []sse.Position{{Epoch: 1 << 63, Seq: uint64(len(l.calls))}}
	digest, ok := l.digests[r.Owner+" "+r.Key]
	switch {
	case data == "late":
		return nil, false, sse.ErrShutdown
	case data == "wrong":
		return nil, false, &sse.FieldError{Field: "event", Reason: "is wrong"}
	case ok && digest != r.Digest:
		return nil, false, api.ErrKeyUsed
	case ok:
		return at, true, nil
	}
	l.digests[r.Owner+" "+r.Key] = r.Digest
	l.stored = append(l.stored, data)
	return at, false, nil
}

// newKeyLog returns an API with a keyLog. The API requires the access key k.
func newKeyLog(t *testing.T) (*api.API, *keyLog) {
	log := &keyLog{digests: map[string][32]byte{}}
	a, _ := newBroker(t, withKeys("k "+secret+" publish **"), func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, publish: log.publish}
	})
	return a, log
}

// With an idempotency key, each line is published with a key of its own, for example
// key#2. A line that an earlier request has published is not published again, but the
// response counts it.
func TestLinesWithKey(t *testing.T) {
	const (
		used = "the Idempotency-Key was already used for another event; use a new key for each event, " +
			"and the same key for each attempt to publish it"
		utf8 = "the data must be UTF-8, because an event stream carries nothing else; encode other data, for example as base64"
	)
	for _, form := range []struct{ request, before, after string }{
		{"PUT /a", "", ""}, {"POST /a?split=lines", "", ""}, {"PUT /-/publish?topic=a", "", ""},
		{"POST /-/publish?topic=a&split=lines", "", ""}, {"PUT /-/batch?topic=a", `{"data":"`, `"}`},
	} {
		a, log := newKeyLog(t)
		for _, test := range []struct {
			lines    []string
			want     string // with ID for the position of the last call, and ID2 for position 2
			replayed string
			calls    []string
		}{
			{[]string{"1", "2"}, "200 kept 2, last id ID", "", []string{"k key#1 1", "k key#2 2"}},
			{[]string{"1", "2"}, "200 kept 2, last id ID", "true", []string{"k key#1 1", "k key#2 2"}},
			{[]string{"1"}, "200 kept 1, last id ID", "true", []string{"k key#1 1"}},
			{[]string{"1", "2", "3"}, "200 kept 3, last id ID", "", []string{"k key#1 1", "k key#2 2", "k key#3 3"}},
			{[]string{"1", "other", "3"}, "422 sse: line 2: " + used + "; before the error: kept 1, last id ID1", "",
				[]string{"k key#1 1", "k key#2 other"}},
			{[]string{"1", "2", "3", "wrong", "5"}, "400 sse: line 4: event \"\" is wrong; before the error: kept 3, last id ID3", "",
				[]string{"k key#1 1", "k key#2 2", "k key#3 3", "k key#4 wrong"}},
			{[]string{"1", "2", "wrong", "\xff"}, "400 sse: line 3: event \"\" is wrong; before the error: kept 2, last id ID2", "",
				[]string{"k key#1 1", "k key#2 2", "k key#3 wrong"}},
			{[]string{"1", "\xff", "3"}, "400 sse: line 2: UTF8; before the error: kept 1, last id ID", "", []string{"k key#1 1"}},
			{[]string{"1", "2", "late"}, "503 sse: server shutting down; before the error: kept 2, last id ID2", "",
				[]string{"k key#1 1", "k key#2 2", "k key#3 late"}},
			{nil, "200 kept 0", "", nil},
		} {
			var body strings.Builder
			for _, line := range test.lines {
				body.WriteString(form.before + line + form.after + "\n")
			}
			log.calls = nil
			got := ask(t, a, form.request, body.String(), append(slices.Clip(bearer), "Idempotency-Key", "key")...)
			want := strings.ReplaceAll(test.want, "UTF8", utf8)
			if form.before != "" {
				want = strings.ReplaceAll(test.want, "UTF8", "must be UTF-8")
			}
			if head, last, ok := strings.Cut(want, "ID"); ok {
				seq := len(test.calls)
				if last != "" {
					seq = mustAtoi(t, last)
				}
				want = head + sse.Position{Epoch: 1 << 63, Seq: uint64(seq)}.String()
			}
			if got.String() != want || got.header.Get("Idempotent-Replayed") != test.replayed {
				t.Errorf("%s %q: %s, replayed %q\nwant %s, %q", form.request, test.lines, got,
					got.header.Get("Idempotent-Replayed"), want, test.replayed)
			}
			if !slices.Equal(log.calls, test.calls) {
				t.Errorf("%s %q: the calls are %q, want %q", form.request, test.lines, log.calls, test.calls)
			}
		}
		if want := []string{"1", "2", "3"}; !slices.Equal(log.stored, want) {
			t.Errorf("%s: stored %q, want %q", form.request, log.stored, want)
		}
	}
}

// The number in the key of a line counts from the first line of the request, even if
// the lines arrive in several pieces.
func TestKeysOfLinesInPieces(t *testing.T) {
	a, log := newKeyLog(t)
	key := strings.Repeat("k", 255)
	header := append(slices.Clip(bearer), "Idempotency-Key", key)
	got := send(t, a, "PUT /a", &pieces{parts: []string{"a\n", "b\nc", "c\n", "d\n" + strings.Repeat("e\n", 1100)}, err: io.EOF}, header...)
	want := []string{"a", "b", "cc", "d"}
	if got.status != 200 || len(log.calls) != 1104 || !slices.Equal(log.stored[:4], want) {
		t.Fatalf("%s, %d calls, stored %.4q, want 200, 1104, %q", got, len(log.calls), log.stored, want)
	}
	for i, call := range log.calls {
		if want := fmt.Sprintf("k %s#%d %s", key, i+1, log.stored[i]); call != want {
			t.Fatalf("call %d is %s, want %s", i, call, want)
		}
	}
	// The incomplete last line of a body that is cut off is not published. Therefore
	// another attempt can send the whole line with the same key.
	a, log = newKeyLog(t)
	header[len(header)-1] = "key"
	send(t, a, "PUT /a", &pieces{parts: []string{"a\nbb"}, err: io.ErrUnexpectedEOF}, header...)
	send(t, a, "PUT /a", &pieces{parts: []string{"a\nbbbb\nc"}, err: io.EOF}, header...)
	if want := []string{"a", "bbbb", "c"}; !slices.Equal(log.stored, want) {
		t.Errorf("stored %q, want %q", log.stored, want)
	}
}

// While a request publishes lines with an idempotency key, another request with the
// same key waits. It fails if its client disconnects, or if the hub shuts down.
func TestLinesWithKeyInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing, closeHub := context.WithCancel(t.Context())
		var log keyLog
		a, _ := newBroker(t, func(o *api.Options) {
			log.digests = map[string][32]byte{}
			o.Log = fakeLog{Log: o.Log, publish: log.publish}
			o.Closing = closing
		})
		start := func(ctx context.Context, request, body, key string) <-chan string {
			answers := make(chan string, 1)
			go func() { answers <- askContext(t, ctx, a, request, body, "Idempotency-Key", key).String() }()
			synctest.Wait()
			return answers
		}
		body, feed := io.Pipe()
		first := make(chan answer, 1)
		go func() { first <- send(t, a, "PUT /a", body, "Idempotency-Key", "key") }()
		fmt.Fprint(feed, "1\n2")
		second := start(t.Context(), "POST /a?split=lines", "1\n2\n3", "key")
		other := start(t.Context(), "PUT /a", "x", "key2")
		noKey, feedNoKey := io.Pipe()
		go send(t, a, "PUT /a", noKey)
		synctest.Wait()
		if got := send(t, a, "PUT /a", io.NopCloser(strings.NewReader("y"))); got.status != 200 {
			t.Errorf("a second request without a key: %s, want 200", got)
		}
		_ = feedNoKey.Close()
		select {
		case got := <-second:
			t.Errorf("the second request ended before the first: %s", got)
		default:
		}
		if got := <-other; !strings.HasPrefix(got, "200 ") {
			t.Errorf("a request with another key: %s, want 200", got)
		}
		_ = feed.CloseWithError(io.ErrUnexpectedEOF) // the first request is cut off
		if got := (<-first).String(); !strings.Contains(got, "kept 1, ") {
			t.Errorf("the first request: %s, want kept 1", got)
		}
		if got := <-second; !strings.HasPrefix(got, "200 kept 3, ") {
			t.Errorf("the second request: %s, want 200 kept 3", got)
		}
		if got, want := log.stored, []string{"1", "x", "y", "2", "3"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}

		body, feed = io.Pipe()
		go func() { first <- send(t, a, "PUT /a", body, "Idempotency-Key", "last") }()
		fmt.Fprint(feed, "1\n")
		ctx, cancel := context.WithCancel(t.Context())
		canceled := start(ctx, "PUT /a", "1\n", "last")
		closed := make(chan answer, 1)
		go func() {
			closed <- send(t, a, "PUT /a", io.NopCloser(strings.NewReader("1")), "Idempotency-Key", "last")
		}()
		waiting := start(t.Context(), "PUT /a", "1\n", "last")
		cancel()
		if got, want := <-canceled, "503 sse: context canceled; before the error: kept 0"; got != want {
			t.Errorf("a request whose client has left: %s, want %s", got, want)
		}
		closeHub()
		if got := <-waiting; !strings.HasPrefix(got, "503 ") {
			t.Errorf("a request while the hub shuts down: %s, want 503", got)
		}
		if got := <-closed; got.header.Get("Connection") != "close" {
			t.Errorf("a request while the hub shuts down: header %v, want Connection: close", got.header)
		}
		_ = feed.Close()
		<-first
	})
}

func mustAtoi(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
