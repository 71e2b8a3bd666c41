package disklog_test

import (
	"log/slog"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

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
