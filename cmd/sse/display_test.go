package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// noon is what the clock of these tests shows.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 5_000_000, time.UTC)

// testUI prints to buffers, as to two terminals or to two pipes.
func testUI(terminal, colour bool) (u *ui, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	u = newUI(stdout, stderr, noEnv)
	u.out.terminal, u.out.colour = terminal, colour
	u.err.terminal, u.err.colour = terminal, colour
	u.now = func() time.Time { return noon }
	return u, stdout, stderr
}

func noEnv(string) (string, bool) { return "", false }

func printAll(t *testing.T, p printer, events []sse.Event) {
	t.Helper()
	for _, event := range events {
		if err := p(event); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPrintRow(t *testing.T) {
	u, stdout, _ := testUI(true, false)
	printAll(t, u.printer(false), []sse.Event{
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

func TestPrintRowColour(t *testing.T) {
	u, stdout, _ := testUI(true, true)
	printAll(t, u.printer(false), []sse.Event{
		{Data: "hello", ID: "1"},
		{Type: "price", Data: "a\nb", ID: "2"},
	})
	price := typeColour("price")
	want := "\x1b[2m12:00:00.005\x1b[0m \x1b[2mmessage\x1b[0m \x1b[2m1\x1b[0m  hello\n" +
		"\x1b[2m12:00:00.005\x1b[0m \x1b[" + price + "mprice\x1b[0m   \x1b[2m2\x1b[0m  a\n" +
		"                      \x1b[2m│\x1b[0m b\n"
	if got := stdout.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestPrintData(t *testing.T) {
	u, stdout, _ := testUI(false, false)
	printAll(t, u.printer(false), []sse.Event{
		{ID: "1", Type: "price", Data: "12.50\nEUR"}, {}, {Data: "\x1b[31m"},
	})
	if got, want := stdout.String(), "12.50\nEUR\n\n\x1b[31m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintJSON(t *testing.T) {
	u, stdout, _ := testUI(true, true) // also to a terminal
	u.now = func() time.Time { return noon.In(time.FixedZone("", 3600)) }
	printAll(t, u.printer(true), []sse.Event{
		{Data: "a\nb"}, {ID: "é1", Type: "x", Data: `<"\` + "\x1b"}, {},
		{Topic: "room/<é>", ID: "2", Data: "b"},
	})
	want := `{"type":"message","data":"a\nb","time":"2026-01-02T12:00:00.005Z"}
{"id":"é1","type":"x","data":"<\"\\\u001b","time":"2026-01-02T12:00:00.005Z"}
{"type":"message","data":"","time":"2026-01-02T12:00:00.005Z"}
{"topic":"room/<é>","id":"2","type":"message","data":"b","time":"2026-01-02T12:00:00.005Z"}
`
	if got := stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Types differ in colour, mostly, and keep it.
func TestTypeColour(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []string{"price", "news", "departure", "arrival", "log", "error"} {
		colour := typeColour(kind)
		if again := typeColour(kind); again != colour {
			t.Errorf("typeColour(%q) = %s, then %s", kind, colour, again)
		}
		seen[colour] = true
	}
	if len(seen) < 3 {
		t.Errorf("six types have only %d colours", len(seen))
	}
}

func TestNewOutput(t *testing.T) {
	for _, tt := range []struct {
		name             string
		isTerminal       bool
		env              map[string]string
		terminal, colour bool
	}{
		{name: "pipe"},
		{"terminal", true, map[string]string{"TERM": "xterm"}, true, true},
		{"NO_COLOR", true, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, true, false},
		{"empty NO_COLOR", true, map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true, true},
		{"dumb", true, map[string]string{"TERM": "dumb"}, false, false},
		{"pipe in colour", false, map[string]string{"TERM": "xterm"}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }
			o := newOutput(io.Discard, tt.isTerminal, env)
			if o.terminal != tt.terminal || o.colour != tt.colour {
				t.Errorf("terminal %t, colour %t; want %t, %t",
					o.terminal, o.colour, tt.terminal, tt.colour)
			}
		})
	}
	if isTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
}

func TestOutputError(t *testing.T) {
	closed := &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	if got := outputError(closed); !errors.Is(got, errOutputClosed) {
		t.Errorf("EPIPE: got %v", got)
	}
	full := errors.New("disk full")
	if got := outputError(full); !errors.Is(got, full) {
		t.Errorf("got %v, which does not wrap %v", got, full)
	}
	if got := outputError(nil); got != nil {
		t.Errorf("got %v, want nil", got)
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB",
		16 << 20: "16 MiB", 3 << 30: "3 GiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		time.Millisecond:          "1ms",
		1234567 * time.Nanosecond: "1ms",
		time.Second:               "1s",
		3456 * time.Millisecond:   "3.5s",
		30 * time.Second:          "30s",
		90 * time.Second:          "1m30s",
	} {
		if got := delayText(d); got != want {
			t.Errorf("delayText(%d) = %q, want %q", d, got, want)
		}
	}
	for text, want := range map[string]string{
		"": "", "a": "a", "a\nb": "a …", "abcdef": "abcd …", "äöüß": "äöüß",
	} {
		if got := shorten(text, 4); got != want {
			t.Errorf("shorten(%q, 4) = %q, want %q", text, got, want)
		}
	}
}
