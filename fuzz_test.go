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

// seedStreams are the streams of the tables and of the conformance cases.
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

// expand makes each \x01 of the input a run of bytes, so that a short input can
// reach the sizes at which buffers end and grow.
func expand(input []byte, run uint16) []byte {
	const most = 64 << 10
	if n := bytes.Count(input, []byte{1}); n*int(run) > most {
		run = uint16(most / n)
	}
	return bytes.ReplaceAll(input, []byte{1}, bytes.Repeat([]byte("x"), int(run)))
}

// fuzzLimit makes small limits as likely as large ones; zero is the default.
func fuzzLimit(limit uint16) int { return int(limit) >> (limit % 13) }

// Any pieces give the same result: events, errors, comments and retries.
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

// The decoder does what the specification says.
func FuzzOracle(f *testing.F) {
	for i, stream := range seedStreams(f) {
		f.Add(stream, []byte{0, 1, byte(i), 7}, uint16(0), uint16(0))
		f.Add(stream, []byte{255}, uint16(i), uint16(i*i))
	}
	f.Add([]byte("data: \x01\xE2\x82\nid: \x01\n\n"), []byte{0}, uint16(2048), uint16(60000))
	// A first line that is dropped before its end is read: where the event began.
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

// What is encoded is decoded, and is all that is decoded: no value can make
// another field or event. What cannot come back is refused.
func FuzzRoundTrip(f *testing.F) {
	for _, test := range forged {
		f.Add(test.event.Topic, test.event.ID, test.event.Type, "data", int64(test.event.Retry))
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
		}
		good := sse.Event{ID: "last", Data: "good"}
		stream, err := sse.AppendEvent(nil, event)

		carried := func(s string) bool {
			return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00")
		}
		if !carried(topic) || !carried(id) || !carried(typ) || retry < 0 {
			var fieldErr *sse.FieldError
			if !errors.As(err, &fieldErr) || len(stream) != 0 {
				t.Fatalf("AppendEvent(%+q): got %q, %v, want nothing and a FieldError",
					event, stream, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("AppendEvent(%+q): got %v, want no error", event, err)
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
		if !slices.Equal(got, want) {
			t.Errorf("stream %q:\n got %q\nwant %q", stream, got, want)
		}
	})
}

// wireRetry is d in whole milliseconds, rounded up, or the most that there are.
func wireRetry(d time.Duration) time.Duration {
	whole := d.Truncate(time.Millisecond)
	if whole == d || whole > math.MaxInt64-time.Millisecond {
		return whole
	}
	return whole + time.Millisecond
}

// No input makes the decoder panic or hold more than the limit allows, be it
// ever so long.
func FuzzNoPanicBounded(f *testing.F) {
	for i, stream := range seedStreams(f) {
		if i%8 == 0 { // each is a megabyte
			f.Add([]byte("data: "), stream, uint16(i*i))
		}
	}
	for _, test := range endless {
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
		got := allocated(func() { tooLarge = drain(r, most) })
		// An error and its ID are the caller's. The fuzzer itself allocates a
		// little meanwhile.
		if want := int64(4*most+512<<10) + (256+4*int64(most))*tooLarge; got > want {
			t.Errorf("limit %d: got %d bytes allocated, want at most %d", most, got, want)
		}
	})
}
