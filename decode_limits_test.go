package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// xs returns a text of n bytes.
func xs(n int) string { return strings.Repeat("x", n) }

// limitCases lists events and whether their data, type, id and topic together
// exceed a limit of 10 bytes.
var limitCases = []struct {
	name, in string
	tooLarge bool
	id       string // the last event id after the event
	reported string // if tooLarge, the LastEventID of the TooLargeError
}{
	{"data at the limit", "data: " + xs(10), false, "", ""},
	{"data over the limit", "data: " + xs(11), true, "", ""},
	{"lines are joined by one byte", "data: " + xs(5) + "\ndata: " + xs(4), false, "", ""},
	{"lines are joined by one byte, over", "data: " + xs(5) + "\ndata: " + xs(5), true, "", ""},
	{"empty lines count", strings.Repeat("data\n", 10) + "data", false, "", ""},
	{"empty lines count, over", strings.Repeat("data\n", 11) + "data", true, "", ""},
	{"the line end is not counted", "data: " + xs(10) + "\r\nretry: 1", false, "", ""},
	{"type counts", "event: " + xs(4) + "\ndata: " + xs(6), false, "", ""},
	{"type counts, over", "event: " + xs(5) + "\ndata: " + xs(6), true, "", ""},
	{"type after the data counts, over", "data: " + xs(6) + "\nevent: " + xs(5), true, "", ""},
	{"type alone at the limit", "event: " + xs(10) + "\ndata", false, "", ""},
	{"type alone over the limit", "event: " + xs(11) + "\ndata", true, "", ""},
	{"id counts", "id: " + xs(4) + "\ndata: " + xs(6), false, xs(4), ""},
	{"id counts, over", "id: " + xs(5) + "\ndata: " + xs(6), true, xs(5), xs(5)},
	{"id after the data counts, over", "data: " + xs(6) + "\nid: " + xs(5), true, xs(5), xs(5)},
	{"id alone at the limit", "id: " + xs(10) + "\ndata", false, xs(10), ""},
	{"id longer than the limit", "id: " + xs(11) + "\ndata", true, "", ""},
	{"id longer than the limit with NUL", "id: " + xs(10) + "\x00\ndata", true, "", ""},
	{"id with NUL does not count", "id: " + xs(6) + "\x00\ndata: " + xs(10), false, "", ""},
	{"topic counts", "topic: " + xs(4) + "\ndata: " + xs(6), false, "", ""},
	{"topic counts, over", "topic: " + xs(5) + "\ndata: " + xs(6), true, "", ""},
	{"topic after the data counts, over", "data: " + xs(6) + "\ntopic: " + xs(5), true, "", ""},
	{"topic alone at the limit", "topic: " + xs(10) + "\ndata", false, "", ""},
	{"topic alone over the limit", "topic: " + xs(11) + "\ndata", true, "", ""},
	{"topic over the limit, then an id", "topic: " + xs(11) + "\nid: 5\ndata", true, "5", ""},
	{"a replaced topic does not count", "topic: " + xs(9) + "\ntopic: y\ndata: " + xs(9),
		false, "", ""},
	{"as UTF-8, topic over", "topic: \xFF\xFF\xFFxx\ndata", true, "", ""},
	{"all four", "topic: x\nid: " + xs(3) + "\nevent: " + xs(3) + "\ndata: " + xs(3),
		false, xs(3), ""},
	{"all four, over", "topic: xx\nid: " + xs(3) + "\nevent: " + xs(3) + "\ndata: " + xs(3),
		true, xs(3), xs(3)},
	{"id, type and data", "id: " + xs(3) + "\nevent: " + xs(3) + "\ndata: " + xs(4), false, xs(3), ""},
	{"id, type and data, over", "id: " + xs(3) + "\nevent: " + xs(4) + "\ndata: " + xs(4),
		true, xs(3), xs(3)},
	{"a replaced type does not count", "event: " + xs(9) + "\nevent: y\ndata: " + xs(9),
		false, "", ""},
	{"a replaced id does not count", "id: " + xs(9) + "\nid: y\ndata: " + xs(9), false, "y", ""},
	{"an oversized type that is replaced, over", "event: " + xs(11) + "\nevent: y\ndata",
		true, "", ""},
	{"as UTF-8", "data: \xFF\xFF\xFFx", false, "", ""},
	{"as UTF-8, over", "data: \xFF\xFF\xFFxx", true, "", ""},
	{"as UTF-8, type over", "event: \xFF\xFF\xFFxx\ndata", true, "", ""},
	{"as UTF-8, id over", "data: x\nid: \xFF\xFF\xFFx",
		true, fffd + fffd + fffd + "x", fffd + fffd + fffd + "x"},
	{"ignored lines do not count", ":" + xs(50) + "\nfoo: " + xs(50) + "\n" + xs(50) +
		"\nretry: " + strings.Repeat("1", 50) + "\ndata: " + xs(10), false, "", ""},
	{"an id after the limit is exceeded applies", "data: " + xs(11) + "\nid: 5", true, "5", ""},
	{"the last id applies", "id: 4\ndata: " + xs(11) + "\nid: 5\ndata: " + xs(11), true, "5", "4"},
	{"the id is reset", "data: " + xs(11) + "\nid", true, "", ""},
}

func TestDecodeLimit(t *testing.T) {
	for _, test := range limitCases {
		t.Run(test.name, func(t *testing.T) {
			before, after := "data: before\r\n\r\n", "data: after\n\n"
			opts := sse.DecoderOptions{MaxEventSize: 10}
			forAnyPieces([]byte(before+test.in+"\n\n"+after), func(name string, r io.Reader) {
				d := sse.NewDecoder(r, &opts)
				if raw, err := d.Next(); err != nil || string(raw.Data) != "before" {
					t.Fatalf("%s: event before: got %q, %v", name, raw.Data, err)
				}
				_, err := d.Next()
				checkTooLarge(t, name, err, test.tooLarge, sse.TooLargeError{
					Offset:      int64(len(before)),
					Limit:       10,
					LastEventID: test.reported,
				})
				wantID := test.id
				if test.tooLarge {
					wantID = test.reported
				}
				if got := sse.LastEventID(d); got != wantID {
					t.Errorf("%s: last event id: got %q, want %q", name, got, wantID)
				}
				raw, err := d.Next()
				if err != nil || string(raw.Data) != "after" || len(raw.ID) > 0 ||
					string(raw.LastEventID) != test.id {
					t.Errorf("%s: event after: got %q, id %q, last id %q, %v, want %q, no id, last id %q",
						name, raw.Data, raw.ID, raw.LastEventID, err, "after", test.id)
				}
			})
		})
	}
}

func checkTooLarge(t *testing.T, name string, err error, tooLarge bool, want sse.TooLargeError) {
	t.Helper()
	var got *sse.TooLargeError
	switch {
	case err == nil && !tooLarge:
	case !errors.As(err, &got):
		t.Fatalf("%s: got error %v, want a TooLargeError: %t", name, err, tooLarge)
	case !tooLarge:
		t.Fatalf("%s: got %+v, want the event", name, *got)
	case *got != want:
		t.Fatalf("%s: got %+v, want %+v", name, *got, want)
	}
}

// TooLargeError.Offset is the offset of the event's first byte. The first line of the
// event may be any line, even a long line that the decoder has discarded before the
// event exceeded the limit.
func TestTooLargeOffset(t *testing.T) {
	const limit = 20_000 // several times the first read
	long := xs(3 * limit)
	firstLines := map[string]string{
		"the data":        "",
		"a short comment": ": a\n",
		"a long comment":  ":" + long + "\n",
		"a long unknown":  long + ":" + long + "\n",
		"a long retry":    "retry: " + strings.Repeat("1", 3*limit) + "\r\n",
		"a long type":     "event: " + long + "\r",
		"a long topic":    "topic: " + long + "\n",
		"a long id":       "id: " + long + "\r\n",
		"data":            "data: " + long + "\n",
	}
	starts := map[string]string{
		"nothing":     "",
		"a BOM":       bom,
		"CRLF":        "data: a\r\n\r\n",
		"CR":          "data: a\r\r",
		"LF":          "data: a\n\n",
		"blank lines": "\r\n\r\n\n\r",
		"large event": "data: " + long + "\n\n",
	}
	for startName, start := range starts {
		for firstName, first := range firstLines {
			event := first + "data: " + long + "\n\r"
			stream := start + event + "\ndata: last\n\n"
			for _, size := range []int{1 << 20, 5000, 1024, 7} {
				r := newCycle(stream, int64(len(stream)))
				r.read = size
				var got *sse.TooLargeError
				last := ""
				d := sse.NewDecoder(r, &sse.DecoderOptions{
					MaxEventSize: limit,
					OnSkip:       func(e *sse.TooLargeError) { got = e },
				})
				for event := range d.Events() {
					last = event.Data
				}
				want := sse.TooLargeError{
					Offset: int64(len(start)), Limit: limit,
				}
				if got == nil || *got != want || last != "last" {
					t.Errorf("%s after %s, reads of %d: got %+v and %q, want %+v and %q",
						firstName, startName, size, got, last, want, "last")
				}
			}
		}
	}
}

// An event is reported once, as soon as it exceeds the limit, although its end never
// comes. The ID of the event becomes the last event ID only if its id line is before the
// byte that exceeds the limit.
func TestTooLargeEndless(t *testing.T) {
	stalled := errors.New("the reader has no more bytes")
	for _, test := range []struct {
		in, id string // id: the last event ID; "" means "0", the ID before in; "-" means no ID
		isOver bool
	}{
		{"data: 1234567890", "", false},
		{"data: 12345678901", "", true},
		{"data:12345678901\n", "", true},
		{"data: 12345678901\nid: 5\n", "", true},
		{"id: 1\ndata: 1234567890", "1", true},
		{"id: 1\ndata: 123456789", "", false},
		{"id: 1\ndata: 12345\ndata: 123", "", false},
		{"id: 1\ndata: 12345\ndata: 1234", "1", true},
		{"data: 1234567890\ndata:", "", true},
		{"id\ndata: 12345678901", "-", true},
		{"data: " + xs(1e6), "", true},
		{"id: 1\nevent: 12345678901", "1", true},
		{"id: 1\ntopic: 12345678901", "1", true},
		{"id: 12345678901", "", true},
		{"unknown: " + xs(1e6), "", false},
		{strings.Repeat("data\n", 12), "", true},
	} {
		stream := "id: 0\ndata\n\n" + test.in
		id := map[string]string{"": "0", "-": ""}
		want := []string{journalEvent("0", "0", "", "", 0)}
		wantID, ok := id[test.id]
		if !ok {
			wantID = test.id
		}
		if test.isOver {
			want = append(want, journalTooLarge(sse.TooLargeError{
				Offset: int64(len(stream) - len(test.in)), Limit: 10, LastEventID: wantID,
			}))
		}
		want = append(want, journalEnd(stalled, wantID))
		for _, size := range []int{1 << 20, 4096, 7, 1} {
			r := &pieces{rest: slices.Collect(slices.Chunk([]byte(stream), size)), err: stalled}
			got := runDecoder(t, r, sse.DecoderOptions{MaxEventSize: 10})
			if diff := diffJournals(got, want); diff != "" {
				t.Errorf("%.30q, reads of %d: %s", test.in, size, diff)
			}
		}
	}
}

// Events reports each event over the limit to OnSkip and continues.
func TestTooLargeThroughEvents(t *testing.T) {
	in := "data: 12\n\nid: 1\ndata: 1234\n\ndata: 34\n\ndata: 5678\n\n"
	var got []string
	d := sse.NewDecoder(strings.NewReader(in), &sse.DecoderOptions{
		MaxEventSize: 3,
		OnSkip:       func(e *sse.TooLargeError) { got = append(got, journalTooLarge(*e)) },
	})
	for event, err := range d.Events() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.LastEventID+event.Data)
	}
	want := []string{
		"12",
		`too large: offset 10, limit 3, id "1"`,
		"134",
		`too large: offset 38, limit 3, id "1"`,
	}
	if diff := diffJournals(got, want); diff != "" {
		t.Error(diff)
	}
}

// Without OnSkip, Events logs a warning with the default logger.
func TestTooLargeLogged(t *testing.T) {
	var log bytes.Buffer
	setDefaultLogger(t, &log)
	d := sse.NewDecoder(strings.NewReader("data: 1234\n\ndata: 5\n\n"),
		&sse.DecoderOptions{MaxEventSize: 3})
	for event, err := range d.Events() {
		if err != nil || event.Data != "5" {
			t.Errorf("got %q, %v, want 5", event.Data, err)
		}
	}
	want := `level=WARN msg="sse: an event was skipped" error="sse: the event at offset 0 ` +
		`is skipped: it has more than 3 bytes, the limit MaxEventSize"` + "\n"
	if got := log.String(); got != want {
		t.Errorf("got the log\n\t%swant\n\t%s", got, want)
	}
}

// setDefaultLogger makes the default logger write to w until the test ends.
func setDefaultLogger(t *testing.T, w io.Writer) {
	t.Helper()
	logger, flags := slog.Default(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(os.Stderr)
		log.SetFlags(flags)
	})
	slog.SetDefault(textLogger(w))
}

// textLogger returns a logger that writes to w, without the time.
func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// A reader may return a *TooLargeError of its own, for example if it reads from another
// Decoder. This error ends the stream, as any error of the reader does. It is not
// reported to OnSkip.
func TestTooLargeFromReader(t *testing.T) {
	want := &sse.TooLargeError{Limit: 7}
	skips := 0
	r := &pieces{rest: [][]byte{[]byte("data: a\n\n")}, err: want}
	d := sse.NewDecoder(r, &sse.DecoderOptions{OnSkip: func(*sse.TooLargeError) { skips++ }})
	var got []string
	for event, err := range d.Events() {
		if got = append(got, fmt.Sprint(event.Data, err)); len(got) > 2 {
			break
		}
	}
	if want := []string{"a<nil>", want.Error()}; !slices.Equal(got, want) || skips != 0 {
		t.Errorf("got %q and %d skipped events, want %q and 0", got, skips, want)
	}
}

// DecoderOptions: "Comments longer than MaxEventSize are skipped."
func TestCommentLimit(t *testing.T) {
	for _, limit := range []int{1, 10, 5000, 100_000} {
		in := ":" + xs(limit) + "\n: " + xs(limit) + "\n:" + xs(limit+1) + "\n: " + xs(limit+1) + "\n"
		forSomePieces([]byte(in), func(name string, r io.Reader) {
			got := runDecoder(t, r, sse.DecoderOptions{MaxEventSize: limit})
			comment := journalComment(xs(limit))
			want := []string{comment, comment, journalEnd(io.EOF, "")}
			if diff := diffJournals(got, want); diff != "" {
				t.Errorf("limit %d, %s: %s", limit, name, diff)
			}
		})
	}
}

// DecoderOptions: "If zero, 16 MiB." A limit of math.MaxInt works too, because the
// decoder does not allocate memory for the limit in advance.
func TestDefaultLimit(t *testing.T) {
	const size = 16 << 20
	for _, test := range []struct {
		limit, size int
		tooLarge    bool
	}{
		{0, size, false},
		{0, size + 1, true},
		{math.MaxInt, size + 1, false},
	} {
		r := strings.NewReader("data: " + xs(test.size) + "\n\n")
		raw, err := sse.NewDecoder(r, &sse.DecoderOptions{MaxEventSize: test.limit}).Next()
		checkTooLarge(t, "", err, test.tooLarge, sse.TooLargeError{Limit: size})
		if want := test.size; !test.tooLarge && len(raw.Data) != want {
			t.Errorf("limit %d: got %d bytes, want %d", test.limit, len(raw.Data), want)
		}
	}
}

// If the limit is negative, the methods of the decoder return an error, and read
// nothing.
func TestNegativeLimit(t *testing.T) {
	const want = "sse: DecoderOptions.MaxEventSize must not be negative: -1"
	r := strings.NewReader("data: a\n\n")
	size := r.Len()
	d := sse.NewDecoder(r, &sse.DecoderOptions{MaxEventSize: -1})
	for range 2 {
		if raw, err := d.Next(); err == nil || err.Error() != want {
			t.Errorf("Next: got %+v and the error %v, want %s", raw, err, want)
		}
	}
	values := 0
	for event, err := range d.Events() {
		if values++; err == nil || err.Error() != want {
			t.Errorf("Events: got %+v and the error %v, want %s", event, err, want)
		}
	}
	if values != 1 || r.Len() != size {
		t.Errorf("Events: got %d values, want 1; %d bytes were read, want 0", values, size-r.Len())
	}
}

// The limit is exact even if a line ends at the end of a read or of the buffer. To
// produce these situations, the test puts each line after comments of many lengths.
func TestLimitAtBufferEnd(t *testing.T) {
	const limit = 100
	positions := 8400
	if testing.Short() {
		positions = 4200 // the first buffer only
	}
	digits := strings.Repeat("0", 4095) + "7"
	lines := []struct{ name, line, want string }{
		{"data", "data: " + xs(limit), journalEvent("", "", "", xs(limit), 0)},
		{"data lines", "data: " + xs(50) + "\ndata: " + xs(limit-51),
			journalEvent("", "", "", xs(50)+"\n"+xs(limit-51), 0)},
		{"type", "data\nevent: " + xs(limit), journalEvent("", "", xs(limit), "", 0)},
		{"topic", "data\ntopic: " + xs(limit),
			journalTopic(xs(limit), journalEvent("", "", "", "", 0))},
		{"id", "data\nid: " + xs(limit), journalEvent(xs(limit), xs(limit), "", "", 0)},
		{"comment", ": " + xs(limit), journalComment(xs(limit))},
		{"retry", "retry: " + digits, journalRetry(7 * time.Millisecond)},
	}
	for _, test := range lines {
		for n := range positions {
			for _, more := range []bool{false, true} {
				stream := ":" + xs(200+n) + "\n" + test.line
				if more {
					stream += "1" // one byte over the limit; a digit, so that the retry changes too
				}
				opts := sse.DecoderOptions{MaxEventSize: limit}
				got := runDecoder(t, strings.NewReader(stream+"\n\n"), opts)[0]
				if (got == test.want) == more {
					t.Fatalf("%s after %d bytes, over the limit: %t: got %s", test.name, n, more, got)
				}
			}
		}
	}
}
