package sse_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sse-go/sse"
)

func TestDecodeCallbacks(t *testing.T) {
	tests := []struct{ in, want string }{
		{":\n", `comment: ""`},
		{": \n", `comment: ""`},
		{":  \n", `comment: " "`},
		{":a\r: b\r\n:  c\n", `comment: "a"; comment: "b"; comment: " c"`},
		{"::data: x\n", `comment: ":data: x"`},
		{":\xE2\x82\n", `comment: "` + fffd + `"`},
		{bom + ":a\n", `comment: "a"`},
		{":a", ``}, // the line is not complete
		{"retry: 5\n", `retry: 5ms`},
		{"retry: 5", ``},
		{"retry: 0\n", `retry: 0s`},
		{"retry: 5\rretry: 6x\rretry:7\r", `retry: 5ms; retry: 7ms`},
		{
			":a\ndata: b\nretry: 1\n:c\n\n",
			`comment: "a"; retry: 1ms; comment: "c"; event: id "", last id "", type "", data "b", retry 1ms`,
		},
	}
	for _, test := range tests {
		forAnyPieces([]byte(test.in), func(name string, r io.Reader) {
			journal := runDecoder(t, r, sse.DecoderOptions{})
			got := strings.Join(journal[:len(journal)-1], "; ")
			if got != test.want {
				t.Errorf("%s: %q: got %s, want %s", name, test.in, got, test.want)
			}
		})
	}
}

// OnComment and OnRetry are called as soon as their line is complete.
func TestDecodeCallbacksAtOnce(t *testing.T) {
	for _, in := range []string{":a\r", ":a\n", "retry: 1\r", "data: x\nretry: 1\n"} {
		calls := 0
		late := errors.New("late")
		d := sse.NewDecoder(&pieces{rest: [][]byte{[]byte(in)}, err: late}, &sse.DecoderOptions{
			OnComment: func(string) { calls++ },
			OnRetry:   func(time.Duration) { calls++ },
		})
		if _, err := d.Next(); err != late || calls != 1 {
			t.Errorf("%q: got %d calls before %v, want 1 before %v", in, calls, err, late)
		}
	}
}

func TestDecodeInitialLastEventID(t *testing.T) {
	tests := []struct {
		in   string
		want []sse.Event
		last string
	}{
		{"", nil, "7"},
		{"data: a\n\nid: 8\ndata: b\n\n", []sse.Event{{Data: "a"}, {ID: "8", Data: "b"}}, "8"},
		{"id\ndata: a\n\n", []sse.Event{{ClearID: true, Data: "a"}}, ""},
		{"id: 8\ndata: a\n", nil, "7"},
		{"id: 8\n\n", nil, "8"},
	}
	for _, test := range tests {
		d := sse.NewDecoder(strings.NewReader(test.in), &sse.DecoderOptions{LastEventID: "7"})
		if got, want := sse.LastEventID(d), "7"; got != want {
			t.Errorf("%q: at the start: got %q, want %q", test.in, got, want)
		}
		var got []sse.Event
		for event := range d.Events() {
			got = append(got, event)
		}
		if !slices.Equal(got, received("7", test.want...)) || sse.LastEventID(d) != test.last {
			t.Errorf("%q: got %+v, last %q, want %+v, last %q",
				test.in, got, sse.LastEventID(d), test.want, test.last)
		}
	}
}

// A decoder does not change the caller's options, so they can be used again.
func TestDecodeOptionsUnchanged(t *testing.T) {
	opts := sse.DecoderOptions{LastEventID: "1"}
	for range sse.NewDecoder(strings.NewReader("id: 2\ndata\n\n"), &opts).Events() {
	}
	if opts.MaxEventSize != 0 || opts.LastEventID != "1" {
		t.Errorf("options after use: got %+v, want them unchanged", opts)
	}
}

func TestDecodeReaderError(t *testing.T) {
	broken := errors.New("broken")
	stream := "id: 1\ndata: a\n\nid: 2\ndata: b\n"
	for i := range len(stream) + 1 {
		var want []string
		if i >= len("id: 1\ndata: a\n\n") {
			want = append(want, journalEvent("1", "1", "", "a", 0))
			want = append(want, journalEnd(broken, "1"))
		} else {
			want = append(want, journalEnd(broken, ""))
		}
		cut := strings.NewReader(stream[:i])
		for _, r := range []io.Reader{
			&pieces{rest: [][]byte{[]byte(stream[:i])}, err: broken},
			iotest.DataErrReader(io.MultiReader(cut, iotest.ErrReader(broken))),
		} {
			if diff := diffJournals(runDecoder(t, r, sse.DecoderOptions{}), want); diff != "" {
				t.Errorf("error after %q: %s", stream[:i], diff)
			}
		}
	}
}

// The reader's error is final: the decoder does not read again. The TimeoutReader of this
// test fails only at its second read. If the decoder read again, it would find an event.
func TestDecodeErrorPersists(t *testing.T) {
	r := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("\ndata: a\n\n")))
	d := sse.NewDecoder(r, nil)
	for range 3 {
		if _, err := d.Next(); err != iotest.ErrTimeout {
			t.Errorf("Next: got %v, want %v", err, iotest.ErrTimeout)
		}
		n := 0
		for _, err := range d.Events() {
			if n++; err != iotest.ErrTimeout {
				t.Errorf("Events: got %v, want %v", err, iotest.ErrTimeout)
			}
		}
		if n != 1 {
			t.Errorf("Events: got %d iterations, want 1", n)
		}
	}
}

func TestDecodeEOFPersists(t *testing.T) {
	d := sse.NewDecoder(strings.NewReader("data: a\n\ndata: b\n"), nil)
	if _, err := d.Next(); err != nil {
		t.Fatal(err)
	}
	for range 200 { // more than the empty reads after which Next returns io.ErrNoProgress
		if _, err := d.Next(); err != io.EOF {
			t.Fatalf("after the end: got %v, want %v", err, io.EOF)
		}
	}
	for event, err := range d.Events() {
		t.Errorf("Events after the end: got %+v, %v, want nothing", event, err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestDecodeNoProgress(t *testing.T) {
	calls := 0
	r := readFunc(func([]byte) (int, error) { calls++; return 0, nil })
	if _, err := sse.NewDecoder(r, nil).Next(); err != io.ErrNoProgress {
		t.Errorf("reader without bytes: got %v, want %v", err, io.ErrNoProgress)
	}
	if calls > 1000 {
		t.Errorf("reader without bytes: got %d calls, want at most 1000", calls)
	}
}

// If a reader returns an impossible count of bytes, the decoder panics. Otherwise it
// might return bytes that were never read.
func TestDecodeImpossibleCount(t *testing.T) {
	for _, n := range []int{-1, 1 << 30} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("reader that returns %d: got no panic, want one", n)
				}
			}()
			r := readFunc(func([]byte) (int, error) { return n, nil })
			_, _ = sse.NewDecoder(r, nil).Next()
		}()
	}
}

// Between reads that return bytes, a reader may return 0 bytes and no error.
func TestDecodeEmptyReads(t *testing.T) {
	stream := strings.Repeat("data: a\n\n", 100)
	calls := 0
	r := readFunc(func(p []byte) (int, error) {
		if calls++; calls%20 != 0 {
			return 0, nil
		}
		if stream == "" {
			return 0, io.EOF
		}
		p[0], stream = stream[0], stream[1:]
		return 1, nil
	})
	n := 0
	for _, err := range sse.NewDecoder(r, nil).Events() {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 100 {
		t.Errorf("got %d events, want 100", n)
	}
}

// After a break, the next call continues with the next event.
func TestDecodeBreak(t *testing.T) {
	d := sse.NewDecoder(strings.NewReader("data: a\n\ndata: b\n\ndata: c\n\n"), nil)
	var got []string
	for event := range d.Events() {
		got = append(got, event.Data)
		break
	}
	raw, err := d.Next()
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, string(raw.Data))
	for event := range d.Events() {
		got = append(got, event.Data)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeJSON(t *testing.T) {
	type answer struct{ N int }
	got, err := sse.Decode[answer](sse.Event{Data: "{\"n\":\n1}"})
	if want := (answer{1}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := sse.Decode[answer](sse.Event{}); !strings.Contains(err.Error(), `"message"`) {
		t.Errorf("without a type: got error %v, want an error that says message", err)
	}
	for _, text := range []string{"", "[DONE]", `{"n":`, `{"n":"x"}`, "{} {}"} {
		_, err := sse.Decode[answer](sse.Event{Type: "token", Data: text})
		if err == nil || !strings.Contains(err.Error(), `"token"`) {
			t.Errorf("%q: got error %v, want an error that names the event", text, err)
		}
		var want any = new(*json.SyntaxError)
		if text == `{"n":"x"}` {
			want = new(*json.UnmarshalTypeError)
		}
		if !errors.As(err, want) {
			t.Errorf("%q: got error %v, want an error that wraps %T", text, err, want)
		}
	}
}

// DecodeEvents yields the decoded data of each event. For an event of type sse.gap
// it calls onGap, or yields a *Gap as the error if onGap is nil. It leaves out other
// events whose type begins with "sse.". It ends after the first error.
func TestDecodeEvents(t *testing.T) {
	type price struct{ N, M int }
	broken := errors.New("broken")
	const gap = "event: sse.gap\ndata: {\"asked\":\"a\",\"available\":\"b\",\"why\":\"trimmed\"}\n\n"
	value := func(n string) string { return "event: price\ndata: {\"n\":" + n + "}\n\n" }
	for _, test := range []struct {
		name, in string
		noHook   bool
		want     []string
	}{
		{"values", value("1") + "data: {\"n\":2}\n\n", false, []string{"{1 0} <nil>", "{2 0} <nil>", "{0 0} broken"}},
		{"gap", value("1") + gap + value("2"), false,
			[]string{"{1 0} <nil>", "gap a b trimmed", "{2 0} <nil>", "{0 0} broken"}},
		{"gap, no hook", value("1") + gap + value("2"), true,
			[]string{"{1 0} <nil>", "{0 0} *sse.Gap a b trimmed"}},
		{"gap that is not JSON", "event: sse.gap\ndata: x\n\n" + value("1"), false,
			[]string{"{0 0} *json.SyntaxError"}},
		{"reserved types", "event: sse.cursor\ndata:\n\nevent: sse.end\ndata: x\n\n" + value("1"), true,
			[]string{"{1 0} <nil>", "{0 0} broken"}},
		{"not JSON", value("1") + "event: price\ndata: [DONE]\n\n" + value("2"), false,
			[]string{"{1 0} <nil>", "{0 0} *json.SyntaxError"}},
		{"another type", value("1") + value("3,\"m\":\"x\"") + value("2"), false,
			[]string{"{1 0} <nil>", "{0 0} *json.UnmarshalTypeError"}},
	} {
		var got []string
		onGap := func(g sse.Gap) {
			got = append(got, fmt.Sprintf("gap %s %s %s", g.Asked, g.Available, g.Why))
		}
		if test.noHook {
			onGap = nil
		}
		d := sse.NewDecoder(&pieces{rest: [][]byte{[]byte(test.in)}, err: broken}, nil)
		for v, err := range sse.DecodeEvents[price](d.Events(), onGap) {
			var gap *sse.Gap
			var syntax *json.SyntaxError
			var wrongType *json.UnmarshalTypeError
			text := fmt.Sprint(err)
			switch {
			case errors.As(err, &gap):
				text = fmt.Sprintf("%T %s %s %s", gap, gap.Asked, gap.Available, gap.Why)
			case errors.As(err, &syntax):
				text = fmt.Sprintf("%T", syntax)
			case errors.As(err, &wrongType):
				text = fmt.Sprintf("%T", wrongType)
			}
			got = append(got, fmt.Sprint(v, " ", text))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// When the caller of DecodeEvents stops after a value or an error, DecodeEvents has
// taken no further event: the decoder still returns the second one. An error ends the
// iteration even if the caller does not stop.
func TestDecodeEventsStops(t *testing.T) {
	for _, test := range []struct {
		in      string
		doBreak bool // the caller breaks out of the loop
	}{
		{"data: 1\n\ndata: 2\n\n", true},
		{"data: x\n\ndata: 2\n\n", true},
		{"data: x\n\ndata: 2\n\n", false},
	} {
		d := sse.NewDecoder(strings.NewReader(test.in), nil)
		values := 0
		for range sse.DecodeEvents[int](d.Events(), nil) {
			if values++; test.doBreak {
				break
			}
		}
		if raw, err := d.Next(); err != nil || string(raw.Data) != "2" || values != 1 {
			t.Errorf("%q, break %t: got %d values, want 1; the next event is %q, %v, want 2",
				test.in, test.doBreak, values, raw.Data, err)
		}
	}
}

// An event that Events has yielded does not change when the decoder reuses its
// buffers for later events.
func TestDecodeEventsUnchanged(t *testing.T) {
	var want, got []sse.Event
	var stream []byte
	for i := range 3000 {
		c := string(rune('a' + i%26))
		event := sse.Event{ID: strings.Repeat(c, 1+i%7), Type: c, Data: strings.Repeat(c+"\n", i%50)}
		event.Topic = strings.Repeat(c, i%3)
		want = append(want, event)
		stream, _ = sse.AppendEvent(stream, event)
	}
	d := sse.NewDecoder(inPieces(stream, []byte{251, 1, 7}), nil)
	for event, err := range d.Events() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event)
	}
	if !slices.Equal(got, received("", want...)) {
		t.Errorf("got %d events, some of them changed, want %d unchanged", len(got), len(want))
	}
}
