package disklog_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// soak makes some tests as large as the issues ask for: make soak.
var soak = os.Getenv("SSE_TEST_SOAK") != ""

// open opens a log that the test's end closes.
func open(tb testing.TB, dir string, opts disklog.Options) *disklog.Log {
	tb.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	if opts.Fatal == nil {
		opts.Fatal = func(err error) { panic(err) }
	}
	l, err := disklog.Open(dir, &opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// quiet is for logs of which much is expected.
var quiet = slog.New(slog.DiscardHandler)

// entry makes an entry as a broker does.
func entry(data string, topics ...string) sse.Entry {
	return sse.Entry{Time: time.Now(), Topics: topics, Event: sse.Event{Data: data}}
}

// put appends entries, and returns them with their positions.
func put(tb testing.TB, l *disklog.Log, entries ...sse.Entry) []sse.Entry {
	tb.Helper()
	positions, err := l.Append(tb.Context(), entries...)
	if err != nil {
		tb.Fatal(err)
	}
	for i, p := range positions {
		entries[i].Position = p
	}
	return entries
}

// get reads everything that is selected.
func get(tb testing.TB, l *disklog.Log, sel sse.Selection) sse.Page {
	tb.Helper()
	page, err := l.Read(tb.Context(), sse.Position{}, sse.Position{}, sel, 1<<30)
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

func pattern(text string) sse.Pattern {
	p, err := sse.ParsePattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

func patterns(texts ...string) sse.Selection {
	var sel sse.Selection
	for _, text := range texts {
		sel.Patterns = append(sel.Patterns, pattern(text))
	}
	return sel
}

func topics(topics ...string) sse.Selection { return sse.Selection{Topics: topics} }

var everything = patterns("**")
