package sse_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// mustDecode returns the events of a stream that must decode without errors.
func mustDecode(t *testing.T, stream []byte) (events []sse.Event) {
	t.Helper()
	for event, err := range sse.NewDecoder(bytes.NewReader(stream), nil).Events() {
		if err != nil {
			t.Fatalf("decoding %q: %v", stream, err)
		}
		events = append(events, event)
	}
	return events
}

func TestEncode(t *testing.T) {
	tests := []struct {
		source string
		event  sse.Event
		want   string
	}{
		{"HTML 9.2.5", sse.Event{}, "data: \n\n"},
		{"HTML 9.2.5", sse.Event{Data: "a"}, "data: a\n\n"},
		{"HTML 9.2.5", sse.Event{Data: "a\nb"}, "data: a\ndata: b\n\n"},
		{"leading space", sse.Event{Data: " token"}, "data:  token\n\n"},
		{"spaces", sse.Event{ID: "1 2", Type: " x ", Data: ""},
			"id: 1 2\nevent:  x \ndata: \n\n"},
		{"ID that is not ASCII", sse.Event{ID: "é\u0085\u00A0"}, "id: é\u0085\u00A0\ndata: \n\n"},
		{"1024 bytes", sse.Event{ID: xs(1024), Type: xs(1024)},
			"id: " + xs(1024) + "\nevent: " + xs(1024) + "\ndata: \n\n"},
		{"Event.Type", sse.Event{Type: "message"}, "event: message\ndata: \n\n"},
		{"Event.Retry", sse.Event{Retry: time.Second}, "retry: 1000\ndata: \n\n"},
		{"Event.Retry rounds up", sse.Event{Retry: 1}, "retry: 1\ndata: \n\n"},
		{"Event.Retry rounds up", sse.Event{Retry: time.Millisecond + 1}, "retry: 2\ndata: \n\n"},
		{"Event.Retry", sse.Event{Retry: math.MaxInt64}, "retry: 9223372036855\ndata: \n\n"},
		{"Event.Topic", sse.Event{Topic: "a", ID: "1", Type: "x", Data: "b", Retry: time.Second},
			"topic: a\nid: 1\nevent: x\nretry: 1000\ndata: b\n\n"},
		{"leading space", sse.Event{Topic: " a/é "}, "topic:  a/é \ndata: \n\n"},
		{"Event.ClearID", sse.Event{ClearID: true, Data: "a"}, "id: \ndata: a\n\n"},
		{"Event.LastEventID", sse.Event{LastEventID: "1\n", Data: "a"}, "data: a\n\n"},
		{"Event.LastEventID", sse.Event{ID: "2", LastEventID: "1"}, "id: 2\ndata: \n\n"},
		{"cursor", sse.Event{ID: "P", Type: "sse.cursor"},
			"id: P\nevent: sse.cursor\ndata: \n\n"},
	}
	for _, test := range tests {
		got, err := sse.AppendEvent([]byte("|"), test.event)
		if want := "|" + test.want; err != nil || string(got) != want {
			t.Errorf("%s: AppendEvent(%+v): got %q, %v, want %q",
				test.source, test.event, got, err, want)
		}
		var b bytes.Buffer
		err = sse.NewEncoder(&b).Encode(test.event)
		if got, want := b.String(), test.want; err != nil || got != want {
			t.Errorf("%s: Encode(%+v): got %q, %v, want %q", test.source, test.event, got, err, want)
		}
	}
}

// The decoder returns each event as it was before it was encoded. (Some other
// libraries change some of these events: see internal/compare/behaviour.)
func TestRoundTripData(t *testing.T) {
	texts := []string{
		"", "a", "a\n", "\n", "\n\n", "\na", " x", "  x", " ", ":x", ": x", ":", "\t", "\x00",
		"data: x", "data: x\n\nid: 1", "id: 1", "event: x\ndata: y", "retry: 1", "a\nb\n\nc\n",
		bom, bom + "x", "x" + bom, "\uFFFD", "😀\u2028\u2029\u0085\v\f", "[DONE]",
		strings.Repeat("x", 1<<20), strings.Repeat("x\n", 1<<16), `{"a":"b\nc"}`,
	}
	for _, text := range texts {
		for _, event := range []sse.Event{
			{Data: text},
			{ID: "1", Type: "x", Data: text, Retry: time.Second},
			{ClearID: true, Data: text},
			{Topic: "news", Data: text},
			{Topic: "news", ID: "1", Type: "x", Data: text, Retry: time.Second},
		} {
			stream, err := sse.AppendEvent(nil, event)
			if err != nil {
				t.Fatal(err)
			}
			got := mustDecode(t, stream)
			if want := received("", event); !slices.Equal(got, want) {
				t.Errorf("round trip: got %+.200v, want %+.200v", got, want)
			}
		}
	}
}

// A topic is decoded unchanged, and belongs only to the event with which it was
// encoded, not to the next event.
func TestRoundTripTopic(t *testing.T) {
	var events []sse.Event
	var stream []byte
	for _, topic := range []string{
		"", "a", " a", "a ", ":", "a: b", "topic: a", "room/42", "**", "é", "😀", fffd, bom,
		"\t", "\x1B", "\u0085\u2028", xs(1 << 10), xs(100_000),
	} {
		for _, event := range []sse.Event{
			{Topic: topic}, {Data: "b\ntopic: c"}, {Topic: topic, Type: "x", Data: "a\nb"},
		} {
			var err error
			if stream, err = sse.AppendEvent(stream, event); err != nil {
				t.Fatalf("topic %.30q: %v", topic, err)
			}
			events = append(events, event)
		}
	}
	forSomePieces(stream, func(name string, r io.Reader) {
		var got []sse.Event
		for event, err := range sse.NewDecoder(r, nil).Events() {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, event)
		}
		if !slices.Equal(got, events) {
			t.Errorf("%s: got %+.500v, want %+.500v", name, got, events)
		}
	})
}

// Event: "CR and CRLF in Data arrive as LF", and "bytes of Data that are not valid
// UTF-8 arrive as U+FFFD".
func TestRoundTripChanges(t *testing.T) {
	tests := []struct{ data, want string }{
		{"a\rb", "a\nb"}, {"a\r\nb", "a\nb"}, {"\r", "\n"}, {"\r\n", "\n"}, {"a\r", "a\n"},
		{"\r\r", "\n\n"}, {"\n\r", "\n\n"}, {"\r\n\r\n", "\n\n"}, {"\r\r\n", "\n\n"},
		{"a\rb\nc\r\nd\n\re", "a\nb\nc\nd\n\ne"},
		{"a\r\rdata: b", "a\n\ndata: b"}, {"a\r\n\r\nid: 1\r\n\r\n", "a\n\nid: 1\n\n"},
		{"\xFF", fffd}, {"a\xE2\x82", "a" + fffd}, {"\xE2\r\x82\n\xAC", fffd + "\n" + fffd + "\n" + fffd},
	}
	for _, test := range tests {
		stream, err := sse.AppendEvent(nil, sse.Event{Data: test.data})
		if err != nil {
			t.Fatal(err)
		}
		got := mustDecode(t, stream)
		if want := []sse.Event{{Data: test.want}}; !slices.Equal(got, want) {
			t.Errorf("round trip of %q: got %+v, want %+v", test.data, got, want)
		}
	}
}

func TestRoundTripRetry(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct{ retry, want time.Duration }{
		{0, 0}, {1, ms}, {ms - 1, ms}, {ms, ms}, {ms + 1, 2 * ms}, {time.Hour, time.Hour},
		{math.MaxInt64, math.MaxInt64 / ms * ms},
	}
	for _, test := range tests {
		stream, err := sse.AppendEvent(nil, sse.Event{Retry: test.retry})
		if err != nil {
			t.Fatal(err)
		}
		got := mustDecode(t, stream)
		if want := []sse.Event{{Retry: test.want}}; !slices.Equal(got, want) {
			t.Errorf("round trip of retry %v: got %v, want %v", test.retry, got, want)
		}
	}
}

// forged lists events that the encoder refuses. In some of them a value would be
// decoded as another field or event, in others it would be decoded with a change.
var forged = []struct {
	event         sse.Event
	field, reason string // reason is a part of FieldError.Reason
}{
	{sse.Event{ID: "1\ndata: x"}, "id", "LF"},
	{sse.Event{ID: "1\rdata: x"}, "id", "CR"},
	{sse.Event{ID: "1\r\n\r\ndata: x\r\n\r\n"}, "id", ""},
	{sse.Event{ID: "\n"}, "id", "LF"},
	{sse.Event{ID: "1\r"}, "id", "CR"},
	{sse.Event{ID: "1\x00"}, "id", "NUL"},
	{sse.Event{ID: "\x00"}, "id", "NUL"},
	{sse.Event{ID: "\xFF"}, "id", "UTF-8"},
	{sse.Event{ID: "1\xE2\x82"}, "id", "UTF-8"},
	{sse.Event{ID: "a\x01b"}, "id", "control character"},
	{sse.Event{ID: "a\tb"}, "id", "control character"},
	{sse.Event{ID: "\x1F"}, "id", "control character"},
	{sse.Event{ID: "1\x7F"}, "id", "control character"},
	{sse.Event{ID: "\t1"}, "id", "control character"},
	{sse.Event{ID: " 1"}, "id", "space"},
	{sse.Event{ID: "1 "}, "id", "space"},
	{sse.Event{ID: " "}, "id", "space"},
	{sse.Event{ID: xs(1025)}, "id", "1024 bytes"},
	{sse.Event{Type: xs(1025)}, "event", "1024 bytes"},
	{sse.Event{Type: "x\ndata: x"}, "event", "LF"},
	{sse.Event{Type: "x\rdata: x"}, "event", "CR"},
	{sse.Event{Type: "x\n\nid: 1\n\n"}, "event", "LF"},
	{sse.Event{Type: "\r"}, "event", "CR"},
	{sse.Event{Type: "x\x00y"}, "event", "NUL"},
	{sse.Event{Type: "\xED\xA0\x80"}, "event", "UTF-8"},
	{sse.Event{ID: "1", Type: "x\n"}, "event", "LF"},
	{sse.Event{Topic: "a\ndata: x"}, "topic", "LF"},
	{sse.Event{Topic: "a\rdata: x"}, "topic", "CR"},
	{sse.Event{Topic: "a\n\nid: 1\n\n", ID: "1", Type: "x"}, "topic", "LF"},
	{sse.Event{Topic: "a\r"}, "topic", "CR"},
	{sse.Event{Topic: "\x00"}, "topic", "NUL"},
	{sse.Event{Topic: "a\xE2\x82"}, "topic", "UTF-8"},
	{sse.Event{Topic: "a", ID: "1\n"}, "id", "LF"},
	{sse.Event{Topic: "a", Retry: -1}, "retry", "negative"},
	{sse.Event{Retry: -1}, "retry", "negative"},
	{sse.Event{ID: "1", ClearID: true}, "id", "ClearID"},
	{sse.Event{Retry: math.MinInt64}, "retry", "negative"},
}

func TestEncodeRefuses(t *testing.T) {
	for _, test := range forged {
		test.event.Data = "data"
		dst := append(make([]byte, 0, 100), "before"...)
		got, err := sse.AppendEvent(dst, test.event)
		checkFieldError(t, err, test.event, test.field, test.reason)
		if string(got) != "before" || &got[0] != &dst[0] {
			t.Errorf("AppendEvent(%+v): got dst %q, want it unchanged", test.event, got)
		}

		if test.field != "topic" { // Publish ignores Topic
			var b sse.Broker
			event := test.event
			event.Topic = ""
			_, err = b.Publish(t.Context(), event)
			checkFieldError(t, err, event, test.field, test.reason)
		}

		calls := 0
		e := sse.NewEncoder(writeFunc(func(p []byte) (int, error) { calls++; return len(p), nil }))
		checkFieldError(t, e.Encode(test.event), test.event, test.field, test.reason)
		checkFieldError(t, e.Encode(sse.Event{Data: "good"}, test.event), test.event,
			test.field, test.reason)
		if calls != 0 {
			t.Errorf("Encode(%+v): got %d writes, want none", test.event, calls)
		}
		if err := e.Encode(sse.Event{Data: "good"}); err != nil || calls != 1 {
			t.Errorf("Encode after an error: got %v, %d writes, want 1", err, calls)
		}
	}
}

func checkFieldError(t *testing.T, err error, event sse.Event, field, reason string) {
	t.Helper()
	var got *sse.FieldError
	if !errors.As(err, &got) {
		t.Fatalf("%+v: got error %v, want a FieldError", event, err)
	}
	value := map[string]string{"topic": event.Topic, "id": event.ID, "event": event.Type,
		"retry": event.Retry.String()}
	if got.Field != field || got.Value != value[field] || !strings.Contains(got.Reason, reason) {
		t.Errorf("%+v: got %+v, want field %s, its value, reason %q", event, *got, field, reason)
	}
	if text := got.Error(); strings.ContainsAny(text, "\r\n\x00") {
		t.Errorf("%+v: got error text %q, want a text without control characters", event, text)
	}
}

// The methods of the zero Encoder and the zero Decoder return an error.
func TestZeroCodec(t *testing.T) {
	var e sse.Encoder
	for _, err := range []error{
		e.Encode(sse.Event{Data: "a"}), e.Encode(), e.Comment("a"),
		sse.NewEncoder(nil).Encode(sse.Event{}),
	} {
		if err == nil || !strings.Contains(err.Error(), "NewEncoder") {
			t.Errorf("Encoder: got the error %v, want an error that names NewEncoder", err)
		}
	}
	for _, d := range []*sse.Decoder{{}, sse.NewDecoder(nil, nil)} {
		n := 0
		for event, err := range d.Events() {
			if n++; err == nil || !strings.Contains(err.Error(), "NewDecoder") {
				t.Errorf("Events: got %+v, %v, want an error that names NewDecoder", event, err)
			}
		}
		for range 2 {
			if _, err := d.Next(); err == nil || !strings.Contains(err.Error(), "NewDecoder") {
				t.Errorf("Next: got the error %v, want an error that names NewDecoder", err)
			}
		}
		if n != 1 {
			t.Errorf("Events: got %d values, want 1", n)
		}
	}
}

// Each line of a comment is decoded as a comment, and never as a field or as the
// blank line that ends an event.
func TestComment(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", []string{""}}, {"a", []string{"a"}}, {" a", []string{" a"}}, {":a", []string{":a"}},
		{"a\nb", []string{"a", "b"}}, {"a\rb", []string{"a", "b"}}, {"a\r\nb", []string{"a", "b"}},
		{"\n\ndata: x\n\n", []string{"", "", "data: x", "", ""}},
		{"\r\rdata: x\r\r", []string{"", "", "data: x", "", ""}},
		{"\r\n\r\ndata: x\r\n\r\n", []string{"", "", "data: x", "", ""}},
		{"\r", []string{"", ""}}, {"a\x00b", []string{"a\x00b"}}, {bom, []string{bom}},
	}
	for _, test := range tests {
		var b bytes.Buffer
		e := sse.NewEncoder(&b)
		before, after := sse.Event{Data: "before"}, sse.Event{Data: "after"}
		errs := errors.Join(e.Encode(before), e.Comment(test.in), e.Encode(after))
		want := []string{journalEvent("", "", "", "before", 0)}
		for _, line := range test.want {
			want = append(want, journalComment(line))
		}
		want = append(want, journalEvent("", "", "", "after", 0), journalEnd(io.EOF, ""))
		got := runDecoder(t, &b, sse.DecoderOptions{})
		if diff := diffJournals(got, want); diff != "" || errs != nil {
			t.Errorf("Comment(%q): %s%v", test.in, diff, errs)
		}
	}
}

// Encode: "writes all events with a single call of Write".
func TestEncodeBatch(t *testing.T) {
	var writes []string
	e := sse.NewEncoder(writeFunc(func(p []byte) (int, error) {
		writes = append(writes, string(p))
		return len(p), nil
	}))
	events := []sse.Event{{ID: "1", Data: "a\nb"}, {ID: "2"}, {ID: "3", Type: "x", Data: "c"}}
	err := errors.Join(e.Encode(events...), e.Encode(events[0]), e.Comment("x\ny"))
	want := []string{
		"id: 1\ndata: a\ndata: b\n\nid: 2\ndata: \n\nid: 3\nevent: x\ndata: c\n\n",
		"id: 1\ndata: a\ndata: b\n\n",
		": x\n: y\n",
	}
	if err != nil || !slices.Equal(writes, want) {
		t.Fatalf("writes: got %q, %v, want %q", writes, err, want)
	}
	if got := mustDecode(t, []byte(writes[0])); !slices.Equal(got, received("", events...)) {
		t.Errorf("batch: got %+v, want %+v", got, events)
	}
}

func TestEncodeWriterError(t *testing.T) {
	broken := errors.New("broken")
	e := sse.NewEncoder(writeFunc(func([]byte) (int, error) { return 0, broken }))
	if got := e.Encode(sse.Event{}); !errors.Is(got, broken) {
		t.Errorf("Encode: got %v, want %v", got, broken)
	}
	if got := e.Comment(""); !errors.Is(got, broken) {
		t.Errorf("Comment: got %v, want %v", got, broken)
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestEncodeAllocatesNothing(t *testing.T) {
	events := []sse.Event{
		{ID: "1", Type: "token", Data: "some text", Retry: time.Second},
		{Topic: "news", ID: "1", Type: "token", Data: "some text", Retry: time.Second},
		{Data: "line\nline\r\nline\r"},
		{Data: strings.Repeat("x", 10_000)},
	}
	e := sse.NewEncoder(io.Discard)
	dst := make([]byte, 0, 1<<16)
	tests := map[string]func() error{
		"Encode":  func() error { return e.Encode(events...) },
		"Comment": func() error { return e.Comment("a\nb") },
		"AppendEvent": func() (err error) {
			for i := range events {
				if _, err = sse.AppendEvent(dst, events[i]); err != nil {
					break
				}
			}
			return err
		},
	}
	for name, fn := range tests {
		got := testing.AllocsPerRun(100, func() {
			if err := fn(); err != nil {
				t.Fatal(err)
			}
		})
		if want := 0.0; got != want {
			t.Errorf("%s: got %v allocations, want %v", name, got, want)
		}
	}
}

// AppendEvent to a nil slice allocates once if the data is one line, for any size of
// the topic.
func TestAppendEventAllocatesOnce(t *testing.T) {
	for n := range 300 {
		event := sse.Event{
			Topic: xs(n), ID: "1", Type: "x", Data: "some text", Retry: math.MaxInt64,
		}
		got := testing.AllocsPerRun(1, func() { _, _ = sse.AppendEvent(nil, event) })
		if want := 1.0; got != want {
			t.Fatalf("topic of %d bytes: got %v allocations, want %v", n, got, want)
		}
	}
}
