package sse_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// xs is a text of n bytes.
func xs(n int) string { return strings.Repeat("x", n) }

// Whether an event of so many bytes of data, type, id and topic passes a limit
// of 10.
var limitCases = []struct {
	name, in string
	tooLarge bool
	id       string // the last event id in force after it
}{
	{"data at the limit", "data: " + xs(10), false, ""},
	{"data over the limit", "data: " + xs(11), true, ""},
	{"lines are joined by one byte", "data: " + xs(5) + "\ndata: " + xs(4), false, ""},
	{"lines are joined by one byte, over", "data: " + xs(5) + "\ndata: " + xs(5), true, ""},
	{"empty lines count", strings.Repeat("data\n", 10) + "data", false, ""},
	{"empty lines count, over", strings.Repeat("data\n", 11) + "data", true, ""},
	{"the line end is not counted", "data: " + xs(10) + "\r\nretry: 1", false, ""},
	{"type counts", "event: " + xs(4) + "\ndata: " + xs(6), false, ""},
	{"type counts, over", "event: " + xs(5) + "\ndata: " + xs(6), true, ""},
	{"type after the data counts, over", "data: " + xs(6) + "\nevent: " + xs(5), true, ""},
	{"type alone at the limit", "event: " + xs(10) + "\ndata", false, ""},
	{"type alone over the limit", "event: " + xs(11) + "\ndata", true, ""},
	{"id counts", "id: " + xs(4) + "\ndata: " + xs(6), false, xs(4)},
	{"id counts, over", "id: " + xs(5) + "\ndata: " + xs(6), true, xs(5)},
	{"id after the data counts, over", "data: " + xs(6) + "\nid: " + xs(5), true, xs(5)},
	{"id alone at the limit", "id: " + xs(10) + "\ndata", false, xs(10)},
	{"id longer than the limit", "id: " + xs(11) + "\ndata", true, ""},
	{"id longer than the limit with NUL", "id: " + xs(10) + "\x00\ndata", true, ""},
	{"id with NUL does not count", "id: " + xs(6) + "\x00\ndata: " + xs(10), false, ""},
	{"topic counts", "topic: " + xs(4) + "\ndata: " + xs(6), false, ""},
	{"topic counts, over", "topic: " + xs(5) + "\ndata: " + xs(6), true, ""},
	{"topic after the data counts, over", "data: " + xs(6) + "\ntopic: " + xs(5), true, ""},
	{"topic alone at the limit", "topic: " + xs(10) + "\ndata", false, ""},
	{"topic alone over the limit", "topic: " + xs(11) + "\ndata", true, ""},
	{"topic over the limit, then an id", "topic: " + xs(11) + "\nid: 5\ndata", true, "5"},
	{"a replaced topic does not count", "topic: " + xs(9) + "\ntopic: y\ndata: " + xs(9), false, ""},
	{"as UTF-8, topic over", "topic: \xFF\xFF\xFFxx\ndata", true, ""},
	{"all four", "topic: x\nid: " + xs(3) + "\nevent: " + xs(3) + "\ndata: " + xs(3), false, xs(3)},
	{"all four, over", "topic: xx\nid: " + xs(3) + "\nevent: " + xs(3) + "\ndata: " + xs(3),
		true, xs(3)},
	{"all three", "id: " + xs(3) + "\nevent: " + xs(3) + "\ndata: " + xs(4), false, xs(3)},
	{"all three, over", "id: " + xs(3) + "\nevent: " + xs(4) + "\ndata: " + xs(4), true, xs(3)},
	{"a replaced type does not count", "event: " + xs(9) + "\nevent: y\ndata: " + xs(9), false, ""},
	{"a replaced id does not count", "id: " + xs(9) + "\nid: y\ndata: " + xs(9), false, "y"},
	{"too large once is too large", "event: " + xs(11) + "\nevent: y\ndata", true, ""},
	{"as UTF-8", "data: \xFF\xFF\xFFx", false, ""},
	{"as UTF-8, over", "data: \xFF\xFF\xFFxx", true, ""},
	{"as UTF-8, type over", "event: \xFF\xFF\xFFxx\ndata", true, ""},
	{"as UTF-8, id over", "data: x\nid: \xFF\xFF\xFFx", true, fffd + fffd + fffd + "x"},
	{"what is not kept does not count", ":" + xs(50) + "\nfoo: " + xs(50) + "\n" + xs(50) +
		"\nretry: " + strings.Repeat("1", 50) + "\ndata: " + xs(10), false, ""},
	{"an id seen after it was too large counts", "data: " + xs(11) + "\nid: 5", true, "5"},
	{"the last id counts", "id: 4\ndata: " + xs(11) + "\nid: 5\ndata: " + xs(11), true, "5"},
	{"id reset by it", "data: " + xs(11) + "\nid", true, ""},
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
					Offset: int64(len(before)),
					Size:   int64(len(test.in + "\n\n")),
					Limit:  10,
					ID:     test.id,
				})
				if got, want := d.LastEventID(), test.id; got != want {
					t.Errorf("%s: last event id: got %q, want %q", name, got, want)
				}
				raw, err := d.Next()
				if err != nil || string(raw.Data) != "after" || string(raw.ID) != test.id {
					t.Errorf("%s: event after: got %q, id %q, %v, want %q, id %q",
						name, raw.Data, raw.ID, err, "after", test.id)
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
		t.Fatalf("%s: got error %v, want too large: %t", name, err, tooLarge)
	case !tooLarge:
		t.Fatalf("%s: got %+v, want the event", name, *got)
	case *got != want:
		t.Fatalf("%s: got %+v, want %+v", name, *got, want)
	}
}

// Offset is that of the event's first byte, whatever that byte belongs to, and
// however much of it is skipped before the event is known to be too large.
func TestTooLargeOffset(t *testing.T) {
	const limit = 20_000 // several times what is read at first
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
				d := sse.NewDecoder(r, &sse.DecoderOptions{MaxEventSize: limit})
				var got *sse.TooLargeError
				last := ""
				for event, err := range d.Events() {
					if errors.As(err, &got) {
						continue
					}
					last = event.Data
				}
				want := sse.TooLargeError{
					Offset: int64(len(start)), Size: int64(len(event)), Limit: limit,
				}
				if got == nil || *got != want || last != "last" {
					t.Errorf("%s after %s, reads of %d: got %+v and %q, want %+v and %q",
						firstName, startName, size, got, last, want, "last")
				}
			}
		}
	}
}

// An event that the stream's end cuts off is not reported, also if it was too
// large already.
func TestTooLargeIncomplete(t *testing.T) {
	for _, in := range []string{"data: 12345678901", "data: 12345678901\n", "data: " + xs(1e6)} {
		d := sse.NewDecoder(strings.NewReader("id: 1\n"+in), &sse.DecoderOptions{MaxEventSize: 10})
		if _, err := d.Next(); err != io.EOF || d.LastEventID() != "" {
			t.Errorf("%.20q: got %v and id %q, want %v and none", in, err, d.LastEventID(), io.EOF)
		}
	}
}

func TestTooLargeThroughEvents(t *testing.T) {
	in := "data: 12\n\nid: 1\ndata: 1234\n\ndata: 34\n\ndata: 5678\n\n"
	d := sse.NewDecoder(strings.NewReader(in), &sse.DecoderOptions{MaxEventSize: 3})
	var got []string
	for event, err := range d.Events() {
		var tooLarge *sse.TooLargeError
		if errors.As(err, &tooLarge) {
			got = append(got, journalTooLarge(*tooLarge))
		} else {
			got = append(got, event.ID+event.Data)
		}
	}
	want := []string{
		"12",
		`too large: offset 10, size 18, limit 3, id "1"`,
		"134",
		`too large: offset 38, size 12, limit 3, id "1"`,
	}
	if diff := diffJournals(got, want); diff != "" {
		t.Error(diff)
	}

	d = sse.NewDecoder(strings.NewReader(in), &sse.DecoderOptions{MaxEventSize: 3})
	for _, err := range d.Events() {
		if err != nil {
			break // a caller who does not want to go on
		}
	}
	if raw, err := d.Next(); err != nil || string(raw.Data) != "34" {
		t.Errorf("after a break at the error: got %q, %v, want %q", raw.Data, err, "34")
	}
}

// DecoderOptions: "A comment longer than MaxEventSize is skipped."
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

// DecoderOptions: "If zero, 16 MiB." A limit that no event reaches is no
// reason to allocate.
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
		checkTooLarge(t, "", err, test.tooLarge, sse.TooLargeError{
			Size: int64(test.size) + 8, Limit: size,
		})
		if want := test.size; !test.tooLarge && len(raw.Data) != want {
			t.Errorf("limit %d: got %d bytes, want %d", test.limit, len(raw.Data), want)
		}
	}
}

// A line that ends exactly where the reader's bytes or a buffer do is judged by
// its size all the same: what is before it is swept through all positions.
func TestLimitAtBufferEnd(t *testing.T) {
	const limit = 100
	positions := 8400
	if testing.Short() {
		positions = 4200 // those of the first buffer
	}
	digits := strings.Repeat("0", 4095) + "7"
	lines := []struct{ name, line, want string }{
		{"data", "data: " + xs(limit), journalEvent("", "", xs(limit), 0)},
		{"data lines", "data: " + xs(50) + "\ndata: " + xs(limit-51),
			journalEvent("", "", xs(50)+"\n"+xs(limit-51), 0)},
		{"type", "data\nevent: " + xs(limit), journalEvent("", xs(limit), "", 0)},
		{"topic", "data\ntopic: " + xs(limit),
			journalTopic(xs(limit), journalEvent("", "", "", 0))},
		{"id", "data\nid: " + xs(limit), journalEvent(xs(limit), "", "", 0)},
		{"comment", ": " + xs(limit), journalComment(xs(limit))},
		{"retry", "retry: " + digits, journalRetry(7 * time.Millisecond)},
	}
	for _, test := range lines {
		for n := range positions {
			for _, more := range []bool{false, true} {
				stream := ":" + xs(200+n) + "\n" + test.line
				if more {
					stream += "1" // also a digit
				}
				opts := sse.DecoderOptions{MaxEventSize: limit}
				got := runDecoder(t, strings.NewReader(stream+"\n\n"), opts)[0]
				if (got == test.want) == more {
					t.Fatalf("%s after %d bytes, too long: %t: got %s", test.name, n, more, got)
				}
			}
		}
	}
}
