package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

// hubReporter prints the messages of a hub with a ui. It implements [slog.Handler].
// Unlike the ui, it is safe for concurrent use, because several goroutines of a hub
// log messages.
type hubReporter struct {
	mu sync.Mutex // guards the following
	ui *ui
}

func (r *hubReporter) report(style, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ui.report(style, format, args...)
}

// fail prints err and returns the exit code for it.
func (r *hubReporter) fail(err error) (code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ui.fail(err)
}

// reportReady prints the hub's URL, where the hub stores events, and commands to
// try.
func (r *hubReporter) reportReady(s hub.Started) {
	r.mu.Lock()
	defer r.mu.Unlock()
	storage := "events are stored in " + s.Data
	if s.Data == hub.Memory {
		storage = "events are stored in memory, and lost when the hub stops"
	}
	r.ui.report(green, "serving %s; %s", s.URL, storage)
	subscribe, publish := api.Examples(s.Addr, s.Keys)
	r.ui.hint("subscribe with " + subscribe + ", then publish in another console with " + publish)
	r.ui.hint("for health checks, use " + s.Addr + "/-/healthz; " +
		"other paths, such as /health, are topics")
}

// Enabled implements [slog.Handler].
func (r *hubReporter) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements [slog.Handler]. It prints the message and the attributes of the
// record on one line, except the attribute "hint", which it prints as a hint.
func (r *hubReporter) Handle(_ context.Context, record slog.Record) error {
	var text strings.Builder
	text.WriteString(strings.TrimPrefix(record.Message, "sse: "))
	hint := ""
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "hint" {
			hint = a.Value.String()
			return true
		}
		fmt.Fprintf(&text, ", %s %v", a.Key, a.Value)
		return true
	})
	style := ""
	if record.Level >= slog.LevelWarn {
		style = yellow
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ui.report(style, "%s", text.String())
	r.ui.hint(hint)
	return nil
}

// WithAttrs implements [slog.Handler]. It ignores the attributes, because the
// hub does not use them.
func (r *hubReporter) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup implements [slog.Handler]. It ignores the group, because the hub
// does not use groups.
func (r *hubReporter) WithGroup(string) slog.Handler { return r }
