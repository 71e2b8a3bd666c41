package sse_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// starts lists texts and the Start that each text stands for. If want is zero and the
// text is not "latest", the Start is a Time: the duration ago before now.
var starts = []struct {
	text string
	want sse.Start
	ago  time.Duration
}{
	{"earliest", sse.Start{Earliest: true}, 0},
	{"latest", sse.Start{}, 0},

	{"-1", sse.Start{Last: 1}, 0},
	{"-10", sse.Start{Last: 10}, 0},
	{"-010", sse.Start{Last: 10}, 0},
	{"-1000000000", sse.Start{Last: 1e9}, 0},

	{"10m", sse.Start{}, 10 * time.Minute},
	{"1h30m", sse.Start{}, 90 * time.Minute},
	{"1.5h", sse.Start{}, 90 * time.Minute},
	{".5s", sse.Start{}, time.Second / 2},
	{"250ms", sse.Start{}, 250 * time.Millisecond},
	{"1ns", sse.Start{}, 1},
	{"1µs", sse.Start{}, time.Microsecond},
	{"0s", sse.Start{}, 0},
	{"1d", sse.Start{}, 24 * time.Hour},
	{"7d", sse.Start{}, 7 * 24 * time.Hour},
	{"0d", sse.Start{}, 0},
	{"1d12h30m", sse.Start{}, 36*time.Hour + 30*time.Minute},

	{"2006-01-02T15:04:05Z", at(2006, 1, 2, 15, 4, 5, 0), 0},
	{"2006-01-02t15:04:05z", at(2006, 1, 2, 15, 4, 5, 0), 0}, // RFC 3339 5.6 allows lower case
	{"2006-01-02T15:04:05.5Z", at(2006, 1, 2, 15, 4, 5, 5e8), 0},
	{"2006-01-02T15:04:05.123456789Z", at(2006, 1, 2, 15, 4, 5, 123456789), 0},
	{"2006-01-02T15:04:05.1234567899Z", at(2006, 1, 2, 15, 4, 5, 123456789), 0},
	{"2006-01-02T15:04:05-00:00", at(2006, 1, 2, 15, 4, 5, 0), 0}, // RFC 3339 4.3: unknown zone
	{"2006-01-02T15:04:05-07:00", at(2006, 1, 2, 22, 4, 5, 0), 0},
	{"2006-01-02T15:04:05+05:30", at(2006, 1, 2, 9, 34, 5, 0), 0},
	{"2006-01-02T15:04:05 05:30", at(2006, 1, 2, 9, 34, 5, 0), 0}, // "+" in a query stands for a space
	{"2006-01-02T15:04:05.25 05:30", at(2006, 1, 2, 9, 34, 5, 25e7), 0},
	{"2024-02-29T00:00:00Z", at(2024, 2, 29, 0, 0, 0, 0), 0},

	// A log stores nanoseconds since 1970 as an int64. Other times become the nearest
	// time that a log can store.
	{"0001-01-01T00:00:00Z", at(1970, 1, 1, 0, 0, 0, 0), 0},
	{"0000-01-01T00:00:00+23:59", at(1970, 1, 1, 0, 0, 0, 0), 0},
	{"1969-12-31T23:59:59.999999999Z", at(1970, 1, 1, 0, 0, 0, 0), 0},
	{"1970-01-01T00:00:00.000000001Z", at(1970, 1, 1, 0, 0, 0, 1), 0},
	{"2262-04-11T23:47:16.854775807Z", at(2262, 4, 11, 23, 47, 16, 854775807), 0},
	{"2262-04-11T23:47:16.854775808Z", at(2262, 4, 11, 23, 47, 16, 854775807), 0},
	{"9999-12-31T23:59:59Z", at(2262, 4, 11, 23, 47, 16, 854775807), 0},
	{"106751d23h47m16.854775807s", at(1970, 1, 1, 0, 0, 0, 0), 0},
	{"2562047h", at(1970, 1, 1, 0, 0, 0, 0), 0},
}

func at(year int, month time.Month, day, hour, minute, second, nano int) sse.Start {
	return sse.Start{Time: time.Date(year, month, day, hour, minute, second, nano, time.UTC)}
}

// noStarts lists texts that are not starts.
var noStarts = []string{
	"", " ", "Earliest", "LATEST", "latest ", " latest", "newest", "all", "now", "*",
	"-", "-0", "-1000000001", "-18446744073709551616", "--1", "-+1", "-1.5", "-1e3", "- 1",
	"-1_0", "-0x1", "-١",
	"0", "1", "10", "+10", "1700000000", // a number without a unit
	"-10m", "-1d", "+10m", "m", "10 m", " 10m", "10M", "10min", "1h-30m", "1m,", "1e3s", "inf",
	"d", "1.5d", "+1d", "1d0", "1d ", "1dd", "1d2d", "1d-1h", "1d+1h", "12h1d", "1d12", "1w",
	"106752d", "106751d24h", "9223372037s", "18446744073709551616d", "2562048h",
	"2006-01-02", "15:04:05Z", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z", "2006-01-02T15:04Z",
	"2006-01-02T15:04:05+0100", "2006-01-02T15:04:05+01", "2006-01-02T15:04:05  01:00",
	"2006-01-02T15:04:05Z ", "2006-01-02T15:04:05.Z", "2006-01-02T15:04:05 UTC",
	"2006-13-02T15:04:05Z", "2023-02-29T00:00:00Z", "2006-01-02T25:04:05Z",
	"02006-01-02T15:04:05Z", "Mon, 02 Jan 2006 15:04:05 GMT", " 01:00", "2006 01:00",
	"~42.gAAAAAAAAAAAAAAA", "~", "\x00", "\xFF", "latest\n", strings.Repeat("9", 1<<16),
}

func TestParseStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(25*365*24*time.Hour + 1) // fake time begins in 2000; now it is 2024
		now := time.Now().Round(0).UTC()
		for _, test := range starts {
			want := test.want
			if want == (sse.Start{}) && test.text != "latest" {
				want.Time = now.Add(-test.ago)
			}
			if got, err := sse.ParseStart(test.text); got != want || err != nil {
				t.Errorf("%q: got %+v, %v, want %+v", test.text, got, err, want)
			}
		}
	})
}

func TestParseStartRefuses(t *testing.T) {
	for _, text := range noStarts {
		got, err := sse.ParseStart(text)
		if got != (sse.Start{}) || err == nil {
			t.Errorf("%.80q: got %+v, %v, want an error", text, got, err)
		}
	}
	_, err := sse.ParseStart("yester\nday")
	want := `sse: cannot start at "yester\nday": it must be earliest, latest, ` +
		`-N for the last N events (1 to 1000000000), a duration such as 10m or 7d, ` +
		`or an RFC 3339 time such as 2006-01-02T15:04:05Z`
	if err == nil || err.Error() != want {
		t.Errorf("got the error %v\nwant          %s", err, want)
	}
	if _, err := sse.ParseStart(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 500 {
		t.Errorf("got the error %.1000v, want a short one", err)
	}
}

// requestStart prefers the header Last-Event-ID to the query parameter lastEventId,
// and prefers lastEventId to the query parameter since.
func TestRequestStart(t *testing.T) {
	const text = "~42.gAAAAAAAAAAAAAAA"
	after := sse.Start{After: sse.Position{Epoch: 1 << 63, Seq: 42}}
	id := func(id string) sse.Start { return sse.Start{ID: id} }
	for _, test := range []struct {
		name   string
		query  string
		header []string
		want   sse.Start
		asked  string
	}{
		{"nothing", "", nil, sse.Start{}, ""},
		{"other parameters", "topic=a&last-event-id=1&LastEventId=2&Since=-1", nil, sse.Start{}, ""},

		{"header: position", "", []string{text}, after, text},
		{"header: id", "", []string{"7"}, id("7"), "7"},
		{"header: no position", "", []string{"~7"}, id("~7"), "~7"},
		{"header: mark", "", []string{"~"}, id("~"), "~"},
		{"header: not escaped", "", []string{"%7E42+a"}, id("%7E42+a"), "%7E42+a"},
		{"header: text", "", []string{"日本 語"}, id("日本 語"), "日本 語"},
		{"header: Latin-1", "", []string{"\xE9"}, id("\xE9"), "\xE9"}, // RFC 9110 5.5 allows this byte
		{"header: a value of since", "", []string{"earliest"}, id("earliest"), "earliest"},
		{"header twice", "", []string{"1", "2"}, id("1"), "1"}, // RFC 9110 5.3 forbids two fields
		{"header: list", "", []string{"1, 2"}, id("1, 2"), "1, 2"},
		{"empty header", "", []string{""}, sse.Start{}, ""},
		{"empty header first", "lastEventId=1", []string{"", "2"}, id("1"), "1"},

		{"header beats lastEventId", "lastEventId=1", []string{"2"}, id("2"), "2"},
		{"header beats since", "since=-10", []string{text}, after, text},
		{"header beats all", "since=-10&lastEventId=1", []string{"2"}, id("2"), "2"},
		{"header beats a malformed query", "since=x&lastEventId=%", []string{"2"}, id("2"), "2"},
		{"an empty header does not", "lastEventId=1", []string{""}, id("1"), "1"},
		{"an empty header does not beat since", "since=-5", []string{""}, sse.Start{Last: 5}, "-5"},

		{"query: position", "lastEventId=" + text, nil, after, text},
		{"query: position escaped", "lastEventId=%7E42%2EgAAAAAAAAAAAAAAA", nil, after, text},
		{"query: id", "topic=a&lastEventId=7", nil, id("7"), "7"},
		{"query: no position", "lastEventId=~x", nil, id("~x"), "~x"},
		{"query: escaped", "lastEventId=a%26b+c%2Bd%00%C3%A9", nil, id("a&b c+d\x00é"), "a&b c+d\x00é"},
		{"query: escaped name", "last%45ventId=7", nil, id("7"), "7"},
		{"query: a value of since", "lastEventId=-10", nil, id("-10"), "-10"},
		{"query twice", "lastEventId=1&lastEventId=2", nil, id("1"), "1"},
		{"empty query", "lastEventId=", nil, sse.Start{}, ""},
		{"empty query first", "lastEventId=&lastEventId=1&since=-5", nil, sse.Start{Last: 5}, "-5"},
		{"lastEventId beats since", "since=-5&lastEventId=7", nil, id("7"), "7"},
		{"lastEventId beats a wrong since", "since=5&lastEventId=7", nil, id("7"), "7"},
		{"an empty lastEventId does not", "lastEventId&since=-5", nil, sse.Start{Last: 5}, "-5"},

		{"since: earliest", "since=earliest", nil, sse.Start{Earliest: true}, "earliest"},
		{"since: latest", "since=latest", nil, sse.Start{}, "latest"},
		{"since twice", "since=-1&since=-2", nil, sse.Start{Last: 1}, "-1"},
		{"since: zone", "since=2006-01-02T15:04:05%2B05:30", nil,
			at(2006, 1, 2, 9, 34, 5, 0), "2006-01-02T15:04:05+05:30"},
		{"since: zone not escaped", "since=2006-01-02T15:04:05+05:30", nil,
			at(2006, 1, 2, 9, 34, 5, 0), "2006-01-02T15:04:05 05:30"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL.RawQuery = test.query
			for _, value := range test.header {
				r.Header.Add("Last-Event-ID", value)
			}
			got, asked, err := sse.RequestStart(r)
			if got != test.want || asked != test.asked || err != nil {
				t.Errorf("got %+v, %q, %v, want %+v, %q", got, asked, err, test.want, test.asked)
			}
		})
	}
}

// requestStart returns an error for an invalid start. If it returned the zero Start
// instead, the client might miss the events that it asked for.
func TestRequestStartRefuses(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"since=", `sse: cannot start at "": `},
		{"since", `sse: cannot start at "": `},
		{"since=10", `sse: cannot start at "10": `},
		{"since=~42.gAAAAAAAAAAAAAAA", `sse: cannot start at "~42.gAAAAAAAAAAAAAAA": `},
		{"since=10&since=-10", `sse: cannot start at "10": `},
		{"since=%zz", `sse: malformed query: `},
		{"lastEventId=100%", `sse: malformed query: `},
		{"lastEventId=a;b", `sse: malformed query: `},
		{"lastEventId=a;b&since=-10", `sse: malformed query: `},
		{"since=-10;lastEventId=7", `sse: malformed query: `},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = test.query
		got, _, err := sse.RequestStart(r)
		if got != (sse.Start{}) || err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: got %+v, %v, want an error that begins with %q",
				test.query, got, err, test.want)
		}
	}
}

// A client can send every position back, in the header and in the query. A text that
// is not a position is an ID of the application.
func TestRequestStartPositions(t *testing.T) {
	for _, test := range positions {
		r := httptest.NewRequest("GET", "/?lastEventId="+url.QueryEscape(test.text), nil)
		for _, way := range []string{"query", "header"} {
			got, asked, err := sse.RequestStart(r)
			if got != (sse.Start{After: test.position}) || asked != test.text || err != nil {
				t.Errorf("%s: %q: got %+v, %q, %v", way, test.text, got, asked, err)
			}
			r.URL.RawQuery = "since=earliest"
			r.Header.Set("Last-Event-ID", test.text)
		}
	}
	for _, test := range noPositions {
		if test.text == "" {
			continue
		}
		r := httptest.NewRequest("GET", "/?lastEventId="+url.QueryEscape(test.text), nil)
		got, _, err := sse.RequestStart(r)
		if got != (sse.Start{ID: test.text}) || err != nil {
			t.Errorf("%s: got %.80v, %v, want it as an id", test.name, got, err)
		}
	}
}
