package sse_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// decodeCase is a stream and the events that the Decoder must return for it. source is
// the section of a standard, the web platform test (WPT) or the field whose comment
// requires this. A LastEventID that follows from the ID of an event, or of an earlier
// event, is omitted: the function received adds it.
type decodeCase struct {
	name, source string
	in           string
	want         []sse.Event
	lastID       string // the last event ID at the end; "" if no event has set one
}

// ofData returns events that have only data, as most cases expect.
func ofData(values ...string) (events []sse.Event) {
	for _, value := range values {
		events = append(events, sse.Event{Data: value})
	}
	return events
}

const (
	bom  = "\xEF\xBB\xBF"
	fffd = "\uFFFD"
)

var decodeCases = []decodeCase{
	// Line ends.
	{"LF", "HTML 9.2.5", "data: a\ndata: b\n\n", ofData("a\nb"), ""},
	{"CRLF", "HTML 9.2.5", "data: a\r\ndata: b\r\n\r\n", ofData("a\nb"), ""},
	{"CR", "HTML 9.2.5", "data: a\rdata: b\r\r", ofData("a\nb"), ""},
	{"CRLF is one line end", "HTML 9.2.5", "data: a\r\nid: 1\r\ndata: b\r\n\r\n",
		[]sse.Event{{ID: "1", Data: "a\nb"}}, "1"},
	{"LF CR is two line ends", "HTML 9.2.5", "data: a\n\rdata: b\n\r", ofData("a", "b"), ""},
	{"CR CRLF is two line ends", "HTML 9.2.5", "data: a\r\r\ndata: b\n\n", ofData("a", "b"), ""},
	{"CR and LF mixed", "HTML 9.2.5", "data: a\rdata: b\ndata: c\r\n\ndata: d\n\r\n",
		ofData("a\nb\nc", "d"), ""},
	{"blank lines only", "HTML 9.2.6", "\n\r\n\r\r\n\n", nil, ""},
	{"no other line end", "HTML 9.2.5", "data: a\vb\fc\u0085d\u2028e\u2029f\n\n",
		ofData("a\vb\fc\u0085d\u2028e\u2029f"), ""},

	// The byte order mark.
	{"BOM dropped", "HTML 9.2.6", bom + "data: a\n\n", ofData("a"), ""},
	{"BOM dropped before a blank line", "HTML 9.2.6", bom + "\ndata: a\n\n", ofData("a"), ""},
	{"second BOM is data", "WPT format-bom-2", bom + bom + "data: a\n\ndata: b\n\n", ofData("b"), ""},
	{"later BOM is data", "WPT format-bom", "data: a\n\n" + bom + "data: b\n\n", ofData("a"), ""},
	{"BOM after a line end is data", "HTML 9.2.6", "\n" + bom + "data: a\n\n", nil, ""},
	{"BOM inside data stays", "HTML 9.2.6", "data: " + bom + "a\n\n", ofData(bom + "a"), ""},
	{"half a BOM is data", "HTML 9.2.6", "\xEF\xBBdata: a\n\ndata: b\n\n", ofData("b"), ""},
	{"half a BOM is the stream", "HTML 9.2.6", "\xEF\xBB", nil, ""},
	{"BOM is the stream", "HTML 9.2.6", bom, nil, ""},
	{"UTF-16's BOM is data", "HTML 9.2.6", "\xFE\xFFdata: a\n\ndata: b\n\n", ofData("b"), ""},

	// Dispatch.
	{"no dispatch without data", "HTML 9.2.6", "event: x\nid: 1\n\ndata: a\n\n",
		[]sse.Event{{LastEventID: "1", Data: "a"}}, "1"},
	{"type discarded without data", "HTML 9.2.6", "event: x\n\ndata: a\n\n", ofData("a"), ""},
	{"type of one event only", "HTML 9.2.6", "event: x\ndata: a\n\ndata: b\n\n",
		[]sse.Event{{Type: "x", Data: "a"}, {Data: "b"}}, ""},
	{"empty data dispatches", "HTML 9.2.6", "data:\n\n", ofData(""), ""},
	{"empty data without colon dispatches", "HTML 9.2.6", "data\n\n", ofData(""), ""},
	{"two empty data lines", "HTML 9.2.6", "data\ndata\n\n", ofData("\n"), ""},
	{"one LF removed", "HTML 9.2.6", "data\ndata\ndata:\n\n", ofData("\n\n"), ""},
	{"empty line between", "HTML 9.2.6", "data: a\ndata:\ndata: b\n\n", ofData("a\n\nb"), ""},
	{"the last type applies", "HTML 9.2.6", "event: x\nevent: y\ndata: a\n\n",
		[]sse.Event{{Type: "y", Data: "a"}}, ""},
	{"an empty type resets", "HTML 9.2.6", "event: x\nevent\ndata: a\n\n", ofData("a"), ""},
	{"the type message", "HTML 9.2.6", "event: message\ndata: a\n\n",
		[]sse.Event{{Type: "message", Data: "a"}}, ""},
	{"fields in any order", "HTML 9.2.6", "data: a\nevent: x\nid: 1\ndata: b\n\n",
		[]sse.Event{{ID: "1", Type: "x", Data: "a\nb"}}, "1"},

	// The end of the stream.
	{"incomplete event discarded", "HTML 9.2.6", "data: a\n\ndata: b\n", ofData("a"), ""},
	{"incomplete line discarded", "HTML 9.2.6", "data: a\n\ndata: b", ofData("a"), ""},
	{"incomplete event's id not recorded", "WPT format-data-before-final-empty-line",
		"id: 1\ndata: a\n\nid: 2\ndata: b\n", []sse.Event{{ID: "1", Data: "a"}}, "1"},
	{"incomplete block's id not recorded", "HTML 9.2.6", "id: 1\n\nid: 2\n", nil, "1"},
	{"incomplete first id not recorded", "HTML 9.2.6", "id: 1\n", nil, ""},
	{"complete at a last CR", "HTML 9.2.5", "data: a\r\r", ofData("a"), ""},
	{"complete at the CR of CRLF", "HTML 9.2.5", "data: a\r\n\r", ofData("a"), ""},
	{"empty", "HTML 9.2.5", "", nil, ""},

	// The last event ID.
	{"id stays set", "WPT format-field-id-3", "id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n",
		[]sse.Event{{ID: "1", Data: "a"}, {Data: "b"}, {ID: "2", Data: "c"}}, "2"},
	{"id after the data", "HTML 9.2.6", "data: a\nid: 1\n\n", []sse.Event{{ID: "1", Data: "a"}}, "1"},
	{"empty id resets", "HTML 9.2.6", "id: 1\ndata: a\n\nid:\ndata: b\n\n",
		[]sse.Event{{ID: "1", Data: "a"}, {ClearID: true, Data: "b"}}, ""},
	{"id without colon resets", "HTML 9.2.6", "id: 1\ndata: a\n\nid\ndata: b\n\n",
		[]sse.Event{{ID: "1", Data: "a"}, {ClearID: true, Data: "b"}}, ""},
	{"id-only block", "HTML 9.2.6", "id: 1\n\ndata: a\n\nid: 2\n\n",
		[]sse.Event{{LastEventID: "1", Data: "a"}}, "2"},
	{"an id after an empty id", "Event.ClearID", "id\nid: 1\ndata: a\n\n",
		[]sse.Event{{ID: "1", Data: "a"}}, "1"},
	{"an empty id after an id", "Event.ClearID", "id: 1\nid:\ndata: a\n\ndata: b\n\n",
		[]sse.Event{{ClearID: true, Data: "a"}, {Data: "b"}}, ""},
	{"empty id, then an id with NUL", "Event.ClearID", "id\nid: 2\x00\ndata: a\n\n",
		[]sse.Event{{ClearID: true, Data: "a"}}, ""},
	{"id-only block resets", "HTML 9.2.6", "id: 1\n\nid\n\ndata: a\n\n", ofData("a"), ""},
	{"id with NUL ignored", "WPT format-field-id-null",
		"id: 1\ndata: a\n\nid: \x00\nid: 2\x00\nid: \x003\ndata: b\n\n",
		[]sse.Event{{ID: "1", Data: "a"}, {Data: "b"}}, "1"},
	{"id with NUL leaves the previous id", "HTML 9.2.6", "id: 2\nid: 3\x00\ndata: a\n\n",
		[]sse.Event{{ID: "2", Data: "a"}}, "2"},
	{"the last id applies", "HTML 9.2.6", "id: 1\nid: 2\ndata: a\n\n",
		[]sse.Event{{ID: "2", Data: "a"}}, "2"},
	{"id of any text", "HTML 9.2.6", "id:  …:1 \ndata: a\n\n",
		[]sse.Event{{ID: " …:1 ", Data: "a"}}, " …:1 "},

	// Fields.
	{"one leading space", "HTML 9.2.6", "data:a\n\ndata: a\n\ndata:  a\n\ndata: a \n\n",
		ofData("a", "a", " a", "a "), ""},
	{"a tab is no space", "WPT format-leading-space", "data:\ta\n\n", ofData("\ta"), ""},
	{"a space before the colon", "HTML 9.2.6", "data : a\n\ndata: b\n\n", ofData("b"), ""},
	{"colons in the value", "HTML 9.2.6", "data::\n\ndata:: \n\ndata:a:b\n\n",
		ofData(":", ": ", "a:b"), ""},
	{"names are exact", "WPT format-field-parsing", "Data: a\n data: a\ndata\x00: a\ndat: a\n" +
		"dataa: a\n\x00data: a\nda-ta: a\nID: a\nEvent: a\ndata: b\n\n", ofData("b"), ""},
	{"unknown fields", "WPT format-field-unknown", "data: a\nfoo: b\nbar\n:c\ndata: d\n\n",
		ofData("a\nd"), ""},
	{"NUL in data", "WPT format-null-character", "data: \x00\n\n", ofData("\x00"), ""},
	{"NUL in a type", "HTML 9.2.6", "event: \x00\ndata: a\n\n",
		[]sse.Event{{Type: "\x00", Data: "a"}}, ""},
	{"comments", "HTML 9.2.6", ":\n: a\n:data: a\n\n:b\ndata: c\n::\n\n", ofData("c"), ""},
	{"retry", "HTML 9.2.6", "retry: 1500\ndata: a\n\ndata: b\n\n",
		[]sse.Event{{Data: "a", Retry: 1500 * time.Millisecond}, {Data: "b"}}, ""},
	{"retry of digits only", "HTML 9.2.6", "retry: 10\nretry: 1x\nretry: -1\nretry:\nretry\n" +
		"retry:  2\nretry: 3 \nretry: 4.5\ndata: a\n\n",
		[]sse.Event{{Data: "a", Retry: 10 * time.Millisecond}}, ""},
	{"the last retry applies", "HTML 9.2.6", "retry: 1\nretry: 2\ndata: a\n\n",
		[]sse.Event{{Data: "a", Retry: 2 * time.Millisecond}}, ""},
	{"retry without an event", "HTML 9.2.6", "retry: 1\n\ndata: a\n\n", ofData("a"), ""},

	// Topics.
	{"topic", "Event.Topic", "topic: a\nid: 1\nevent: x\ndata: b\n\n",
		[]sse.Event{{Topic: "a", ID: "1", Type: "x", Data: "b"}}, "1"},
	{"topic after the data", "Event.Topic", "data: b\ntopic: a\n\n",
		[]sse.Event{{Topic: "a", Data: "b"}}, ""},
	{"topic between data lines", "Event.Topic", "data: b\r\ntopic: a\r\ndata: c\r\n\r\n",
		[]sse.Event{{Topic: "a", Data: "b\nc"}}, ""},
	{"topic of one event only", "Event.Topic",
		"topic: a\nid: 1\ndata: b\n\ndata: c\n\ntopic: d\ndata: e\n\n",
		[]sse.Event{{Topic: "a", ID: "1", Data: "b"}, {Data: "c"},
			{Topic: "d", Data: "e"}}, "1"},
	{"topic discarded without data", "Event.Topic", "topic: a\n\ndata: b\n\n", ofData("b"), ""},
	{"no dispatch for a topic", "Event.Topic", "topic: a\nid: 1\n\n", nil, "1"},
	{"the last topic applies", "Event.Topic", "topic: aaa\ntopic: b\ndata: c\n\n",
		[]sse.Event{{Topic: "b", Data: "c"}}, ""},
	{"an empty topic resets", "Event.Topic", "topic: a\ntopic\ndata: b\n\ntopic: a\ntopic:\ndata\n\n",
		ofData("b", ""), ""},
	{"topic of any text", "Event.Topic", "topic:  a/**/é:1 \ndata: b\n\n",
		[]sse.Event{{Topic: " a/**/é:1 ", Data: "b"}}, ""},
	{"a topic's name is exact", "Event.Topic",
		"Topic: a\n topic: a\ntopics: a\ntopi: a\ntopic : a\ndata: b\n\n", ofData("b"), ""},
	{"topic of an incomplete event", "Event.Topic", "data: a\n\ntopic: b\ndata: c\n",
		ofData("a"), ""},
	{"ill-formed topic", "Encoding 8.1.1", "topic: a\xFF\xE2\x82b\ndata: c\n\n",
		[]sse.Event{{Topic: "a" + fffd + fffd + "b", Data: "c"}}, ""},

	// UTF-8.
	{"ill-formed", "Encoding 8.1.1", "data: a\xFFb\xC3\n\n", ofData("a" + fffd + "b" + fffd), ""},
	{"one U+FFFD for a maximal subpart", "Encoding 8.1.1", "data: \xF0\x9F\x98\xE2\x82x\n\n",
		ofData(fffd + fffd + "x"), ""},
	{"one U+FFFD for each invalid byte", "Encoding 8.1.1", "data: \xED\xA0\x80\xC0\xAF\n\n",
		ofData(strings.Repeat(fffd, 5)), ""},
	{"a sequence does not swallow a line end", "Encoding 8.1.1",
		"data: a\xE2\x82\ndata: b\xF0\rdata: c\n\n", ofData("a" + fffd + "\nb" + fffd + "\nc"), ""},
	{"ill-formed line among well-formed", "Encoding 8.1.1",
		"data: a\ndata: \xFF\ndata: ü\ndata\n\ndata: b\n\n", ofData("a\n"+fffd+"\nü\n", "b"), ""},
	{"ill-formed id and type", "Encoding 8.1.1", "id: \x80\nevent: \xC2\ndata: a\n\n",
		[]sse.Event{{ID: fffd, Type: fffd, Data: "a"}}, fffd},
	{"ill-formed name", "Encoding 8.1.1", "data\xFF: a\n\xFFdata: a\ndata: b\n\n", ofData("b"), ""},
}

func TestDecode(t *testing.T) {
	for _, test := range decodeCases {
		t.Run(test.name, func(t *testing.T) {
			forAnyPieces([]byte(test.in), func(name string, r io.Reader) {
				d := sse.NewDecoder(r, nil)
				var got []sse.Event
				for event, err := range d.Events() {
					if err != nil {
						t.Fatalf("%s: got error %v, want none", name, err)
					}
					got = append(got, event)
				}
				if want := received("", test.want...); !slices.Equal(got, want) {
					t.Fatalf("%s: %s: %q:\n got %+v\nwant %+v",
						name, test.source, test.in, got, want)
				}
				if got := sse.LastEventID(d); got != test.lastID {
					t.Fatalf("%s: %s: %q: got last event id %q, want %q",
						name, test.source, test.in, got, test.lastID)
				}
			})
		})
	}
}

// The decoder returns an event as soon as it has read the CR or LF that ends
// the blank line. It must not wait for the next byte, because that byte may come an
// hour later.
func TestDecodeWithoutDelay(t *testing.T) {
	early := errors.New("read before the event was returned")
	for _, in := range []string{
		"data: a\n\n", "data: a\r\r", "data: a\r\n\r", "data: a\r\n\n", bom + "data: a\n\n",
		"\r\n\r\ndata: a\r\n\r", ":\r\rdata: a\r\r",
	} {
		r := &pieces{rest: [][]byte{[]byte(in)}, err: early}
		raw, err := sse.NewDecoder(r, nil).Next()
		if err != nil || string(raw.Data) != "a" {
			t.Errorf("%q: got %q, %v, want the event", in, raw.Data, err)
		}
	}
}

// The id of an event becomes the last event ID when the event is complete, and not
// earlier. Each comment in the stream calls OnComment, which records the last event
// ID at this point, also in the middle of an event.
//
// HTML 9.2.6: "Set the last event ID string of the event source to the value
// of the last event ID buffer" is the first step of dispatch.
func TestDecodeCommitsIDAtDispatch(t *testing.T) {
	var d *sse.Decoder
	var got []string
	opts := &sse.DecoderOptions{
		LastEventID: "0",
		OnComment:   func(text string) { got = append(got, text+sse.LastEventID(d)) },
	}
	in := ":a\nid: 1\n:b\ndata: x\n:c\n\n:d\nid: 2\n:e\n\n:f\nid\n:g\ndata\n\n:h\n"
	d = sse.NewDecoder(strings.NewReader(in), opts)
	for _, err := range d.Events() {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a0", "b0", "c0", "d1", "e1", "f2", "g2", "h"}
	if !slices.Equal(got, want) {
		t.Errorf("last event id at each comment: got %q, want %q", got, want)
	}
}
