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
	"unicode/utf8"

	"github.com/sse-go/sse"
)

// seedStreams returns the streams of decodeCases, limitCases and the conformance
// cases.
func seedStreams(f *testing.F) (streams [][]byte) {
	for _, test := range decodeCases {
		streams = append(streams, []byte(test.in))
	}
	for _, test := range limitCases {
		streams = append(streams, []byte(test.in+"\n\ndata: after\n\n"))
	}
	for _, v := range loadVectors(f) {
		streams = append(streams, v.decodable()...)
	}
	return streams
}

// expand replaces each byte \x01 of the input with run bytes "x", or with fewer if
// they would be more than 64 KiB together. So a short input can become a stream that
// fills a buffer.
func expand(input []byte, run uint16) []byte {
	const most = 64 << 10
	if n := bytes.Count(input, []byte{1}); n*int(run) > most {
		run = uint16(most / n)
	}
	return bytes.ReplaceAll(input, []byte{1}, bytes.Repeat([]byte("x"), int(run)))
}

// fuzzLimit returns a MaxEventSize for a random number. It makes small limits as
// likely as large limits. Zero stands for the default limit.
func fuzzLimit(limit uint16) int { return int(limit) >> (limit % 13) }

// The decoder returns the same events, errors, comments and retries, regardless of the
// pieces in which it reads a stream.
func FuzzDecodeChunking(f *testing.F) {
	for i, stream := range seedStreams(f) {
		f.Add(stream, []byte{byte(i), 1, 0, 7}, uint16(i), uint16(i*i))
	}
	f.Add([]byte("data: \x01\ndata: \x01\xFF\n\n"), []byte{255, 3}, uint16(4090), uint16(0))
	f.Add([]byte(":\x01\nid: 1\n\ndata: \x01\n\n"), []byte{1}, uint16(9000), uint16(20))
	f.Fuzz(func(t *testing.T, input, sizes []byte, run, limit uint16) {
		stream := expand(input, run)
		opts := sse.DecoderOptions{MaxEventSize: fuzzLimit(limit)}
		want := runDecoder(t, bytes.NewReader(stream), opts)
		got := runDecoder(t, inPieces(stream, sizes), opts)
		if diff := diffJournals(got, want); diff != "" {
			t.Errorf("pieces of %v: %s", sizes, diff)
		}
	})
}

// The decoder agrees with the oracle, which follows the specification.
func FuzzOracle(f *testing.F) {
	for i, stream := range seedStreams(f) {
		f.Add(stream, []byte{0, 1, byte(i), 7}, uint16(0), uint16(0))
		f.Add(stream, []byte{255}, uint16(i), uint16(i*i))
	}
	f.Add([]byte("data: \x01\xE2\x82\nid: \x01\n\n"), []byte{0}, uint16(2048), uint16(60000))
	// The decoder discards the first line of this stream before it has read the end
	// of the line. The event's offset must still be the start of that line.
	f.Add([]byte("\x01\ndata: \x01\n\n"), []byte{0}, uint16(9000), uint16(130))
	f.Add([]byte("\n:\x01\nid: 1\ndata: \x01\n\n"), []byte{200}, uint16(9000), uint16(130))
	f.Fuzz(func(t *testing.T, input, sizes []byte, run, limit uint16) {
		stream := expand(input, run)
		opts := sse.DecoderOptions{MaxEventSize: fuzzLimit(limit), LastEventID: "0"}
		want := runOracle(stream, opts, io.EOF)
		got := runDecoder(t, inPieces(stream, sizes), opts)
		if diff := diffJournals(got, want); diff != "" {
			t.Error(diff)
		}
	})
}

// An encoded event is decoded as the same event and nothing else: no value can
// forge a field or an event. AppendEvent refuses a topic, an ID or a type that would
// be decoded with a change. In data, line ends and invalid UTF-8 may change.
func FuzzRoundTrip(f *testing.F) {
	for _, test := range forged {
		f.Add(test.event.Topic, test.event.ID, test.event.Type, "data", int64(test.event.Retry))
		f.Add(test.event.Topic, test.event.ID, test.event.Type, "other", int64(test.event.Retry))
	}
	for _, test := range decodeCases {
		f.Add("a", "1", "x", test.in, int64(time.Second))
		f.Add("", test.in, "", "", int64(0))
		f.Add("", "", test.in, "", int64(math.MaxInt64))
		f.Add(test.in, "", "", "", int64(0))
	}
	f.Fuzz(func(t *testing.T, topic, id, typ, data string, retry int64) {
		event := sse.Event{
			Topic: topic, ID: id, Type: typ, Data: data, Retry: time.Duration(retry),
			ClearID: id == "" && len(data)%2 == 0, // so that both values occur
		}
		good := sse.Event{ID: "last", Data: "good"}
		stream, err := sse.AppendEvent(nil, event)

		carried := func(s string) bool {
			return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00")
		}
		// The client sends the ID back in the header Last-Event-ID, so the ID must be a
		// valid value of a header field.
		returned := len(id) <= 1024 && strings.Trim(id, " ") == id &&
			!strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7F })
		if !carried(topic) || !carried(id) || !carried(typ) || retry < 0 ||
			!returned || len(typ) > 1024 {
			var fieldErr *sse.FieldError
			if !errors.As(err, &fieldErr) || len(stream) != 0 {
				t.Fatalf("AppendEvent(%+v): got %q, %v, want nothing and a FieldError",
					event, stream, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("AppendEvent(%+v): got %v, want no error", event, err)
		}
		if stream, err = sse.AppendEvent(stream, good); err != nil {
			t.Fatal(err)
		}
		want := []sse.Event{event, good}
		if !utf8.ValidString(data) || strings.Contains(data, "\r") {
			lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
			want[0].Data = textOf(decodeUTF8([]byte(lines)))
		}
		want[0].Retry = wireRetry(event.Retry)
		var got []sse.Event
		for event, err := range sse.NewDecoder(bytes.NewReader(stream), nil).Events() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, event)
		}
		if want = received("", want...); !slices.Equal(got, want) {
			t.Errorf("stream %q:\n got %+v\nwant %+v", stream, got, want)
		}
	})
}

// wireRetry returns d rounded up to milliseconds, or rounded down if the result
// would be too large for a Duration.
func wireRetry(d time.Duration) time.Duration {
	whole := d.Truncate(time.Millisecond)
	if whole == d || whole > math.MaxInt64-time.Millisecond {
		return whole
	}
	return whole + time.Millisecond
}

// No input, however long, makes the decoder panic or use more memory than the
// limit allows.
func FuzzNoPanicBounded(f *testing.F) {
	for i, stream := range seedStreams(f) {
		if i%8 == 0 { // the target repeats each of them up to 1 MiB
			f.Add([]byte("data: "), stream, uint16(i*i))
		}
	}
	for _, test := range endlessStreams {
		f.Add([]byte(test.head), []byte(test.unit), uint16(1000))
	}
	f.Fuzz(func(t *testing.T, head, unit []byte, limit uint16) {
		if len(unit) == 0 {
			return
		}
		const size = 1 << 20
		tail := newCycle(string(unit), size)
		r := io.MultiReader(bytes.NewReader(head), tail)
		most := fuzzLimit(limit) | 1
		tooLarge := int64(0)
		got := measureAlloc(func() { tooLarge = drain(r, most) })
		// The buffers grow with the limit. Each TooLargeError has a copy of an ID,
		// which may be as long as the limit. The fuzzer itself also allocates.
		if want := int64(4*most+512<<10) + (256+4*int64(most))*tooLarge; got > want {
			t.Errorf("limit %d: got %d bytes allocated, want at most %d", most, got, want)
		}
	})
}

// A position has exactly one text: ParsePosition accepts only the text that String
// returns.
func FuzzParsePosition(f *testing.F) {
	for _, test := range positions {
		f.Add(test.text)
	}
	for _, test := range noPositions {
		if len(test.text) < 1<<10 {
			f.Add(test.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		position, err := sse.ParsePosition(text)
		switch got := position.String(); {
		case err != nil:
			if position != (sse.Position{}) {
				t.Errorf("%q: got %#v with the error %v", text, position, err)
			}
		case got != text:
			t.Errorf("%q is the position %#v, whose text is %q", text, position, got)
		case position.Epoch == 0:
			t.Errorf("%q is a position without an epoch", text)
		}
	})
}

// ParsePattern, Match and the check of a topic agree with reference implementations
// that are written only from the documentation.
func FuzzParsePattern(f *testing.F) {
	for _, test := range matchCases {
		for _, topic := range append(test.yes, test.no...) {
			f.Add(test.pattern, topic)
		}
	}
	for _, test := range names {
		f.Add(test.text, test.text)
		f.Add("a/**", test.text)
	}
	for _, text := range []string{"**/a", "a*/b", "***", "**/**", "*/**/*"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, text, topic string) {
		comparePattern(t, text, topic)
		// A topic obeys the rules of a pattern, except that "*" is an ordinary character.
		isTopic := referenceParse(strings.ReplaceAll(topic, "*", "+"))
		if err := sse.CheckTopic(topic); (err == nil) != isTopic {
			t.Errorf("topic %q: got error %v, want one: %v", topic, err, !isTopic)
		}
	})
}

// ParseStart sets at most one field of a Start, to a value that a log can represent.
func FuzzParseStart(f *testing.F) {
	for _, test := range starts {
		f.Add(test.text)
	}
	for _, text := range noStarts {
		if len(text) < 1<<10 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, err := sse.ParseStart(text)
		var want sse.Start
		switch {
		case err != nil || text == "latest":
		case text == "earliest":
			want.Earliest = true
		case start.Last != 0:
			want.Last = min(max(1, start.Last), 1e9)
		default:
			nano := max(0, start.Time.UnixNano())
			want.Time = time.Unix(0, nano).UTC()
		}
		if start != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, start, err, want)
		}
	})
}
