package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// noon is the time at which events arrive in these tests.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 5_000_000, time.UTC)

func printAll(t *testing.T, p printEvent, events []sse.Event) {
	t.Helper()
	for _, event := range events {
		if err := p(event); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPrintRow(t *testing.T) {
	u, stdout, _ := newTestUI(true, false)
	printAll(t, u.eventPrinter(false), []sse.Event{
		{Data: "hello"},
		{Type: "price", Data: "12.50\nEUR\n"},
		{Type: "departure", ID: "7", Data: "gone"},
		{Data: "", ID: "7"},
		{Type: "a type that is longer than a column", Data: "pushed"},
		{Data: "after it"},
		{Data: "tab\tand \x1b[31mred\x07 \u0085\u202e"},
	})
	want := strings.Join([]string{
		"12:00:00.005 message  hello",
		"12:00:00.005 price    12.50",
		"                    │ EUR",
		"                    │ ",
		"12:00:00.005 departure 7  gone",
		"12:00:00.005 message   7  ",
		"12:00:00.005 a type that is longer than a column    pushed",
		"12:00:00.005 message                     after it",
		"12:00:00.005 message                     tab\tand ␛[31mred␇ \ufffd\ufffd",
		"",
	}, "\n")
	if got := stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPrintRowColor(t *testing.T) {
	u, stdout, _ := newTestUI(true, true)
	printAll(t, u.eventPrinter(false), []sse.Event{
		{Data: "hello", ID: "1"},
		{Type: "price", Data: "a\nb", ID: "2"},
	})
	price := typeColor("price")
	want := "\x1b[2m12:00:00.005\x1b[0m \x1b[2mmessage\x1b[0m \x1b[2m1\x1b[0m  hello\n" +
		"\x1b[2m12:00:00.005\x1b[0m \x1b[" + price + "mprice\x1b[0m   \x1b[2m2\x1b[0m  a\n" +
		"                      \x1b[2m│\x1b[0m b\n"
	if got := stdout.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestPrintData(t *testing.T) {
	u, stdout, _ := newTestUI(false, false)
	printAll(t, u.eventPrinter(false), []sse.Event{
		{ID: "1", Type: "price", Data: "12.50\nEUR"}, {}, {Data: "\x1b[31m"},
	})
	if got, want := stdout.String(), "12.50\nEUR\n\n\x1b[31m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintJSON(t *testing.T) {
	u, stdout, _ := newTestUI(true, true) // a terminal does not change JSON
	u.now = func() time.Time { return noon.In(time.FixedZone("", 3600)) }
	printAll(t, u.eventPrinter(true), []sse.Event{
		{Data: "a\nb"}, {ID: "é1", Type: "x", Data: `<"\` + "\x1b"}, {},
		{Topic: "room/<é>", ID: "2", Data: "b", Retry: 1500 * time.Millisecond},
	})
	const at = `"received":"2026-01-02T12:00:00.005000000Z"}`
	want := strings.Join([]string{
		`{"type":"message","data":"a\nb",` + at,
		`{"id":"é1","type":"x","data":"<\"\\\u001b",` + at,
		`{"type":"message","data":"",` + at,
		`{"topics":["room/<é>"],"id":"2","type":"message","data":"b","retry":1500,` + at,
		``,
	}, "\n")
	if got := stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Six types have at least three colors, and the color of a type does not change.
func TestTypeColor(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []string{"price", "news", "departure", "arrival", "log", "error"} {
		color := typeColor(kind)
		if again := typeColor(kind); again != color {
			t.Errorf("typeColor(%q) = %s, then %s", kind, color, again)
		}
		seen[color] = true
	}
	if len(seen) < 3 {
		t.Errorf("six types have %d colors, want at least 3", len(seen))
	}
}
