package hub

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// spacedPause is the time between two warnings or errors of the same kind.
	spacedPause = 10 * time.Second

	// maxSpacedKinds is how many kinds of records are distinguished.
	maxSpacedKinds = 64
)

// spacedLog is a [slog.Handler] that passes on the first warning or error of a
// kind at once. It then counts the records of this kind, and passes on the last
// of them with their number, at most once in spacedPause. It passes on all
// records below the level of a warning. Records are of the same kind if they
// differ only in numbers.
type spacedLog struct {
	next slog.Handler

	mu    sync.Mutex // guards the following
	kinds map[string]*spacedKind
}

// spacedKind is a kind of records.
type spacedKind struct {
	last       slog.Record // of the records that were not passed on
	suppressed int         // number of these records
	timer      *time.Timer // runs flush at the end of the pause
}

func newSpacedLog(next slog.Handler) *spacedLog {
	return &spacedLog{next: next, kinds: map[string]*spacedKind{}}
}

// Enabled implements [slog.Handler].
func (l *spacedLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (l *spacedLog) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelWarn || !l.suppress(record) {
		return l.next.Handle(ctx, record)
	}
	return nil
}

// suppress counts a record whose kind is in a pause. Otherwise it begins a pause
// and reports false.
func (l *spacedLog) suppress(record slog.Record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := kindOf(record)
	kind := l.kinds[name]
	if kind == nil && len(l.kinds) >= maxSpacedKinds {
		name = "" // all further kinds share one pause
		kind = l.kinds[name]
	}
	if kind == nil {
		kind = &spacedKind{}
		kind.timer = time.AfterFunc(spacedPause, func() { l.endPause(name) })
		l.kinds[name] = kind
		return false
	}
	kind.last = record.Clone()
	kind.suppressed++
	return true
}

// endPause logs the number of records in a pause, and begins the next pause. If
// there were none, it removes the kind.
func (l *spacedLog) endPause(name string) {
	l.mu.Lock()
	kind := l.kinds[name]
	if kind == nil { // flush has run
		l.mu.Unlock()
		return
	}
	last, n := kind.last, kind.suppressed
	if n > 0 {
		kind.suppressed = 0
		kind.timer.Reset(spacedPause)
	} else {
		delete(l.kinds, name)
	}
	l.mu.Unlock()
	l.passOn(last, n)
}

// flush logs the numbers of all suppressed records, and ends all pauses.
func (l *spacedLog) flush() {
	l.mu.Lock()
	kinds := l.kinds
	l.kinds = map[string]*spacedKind{}
	l.mu.Unlock()
	for _, kind := range kinds {
		kind.timer.Stop()
		l.passOn(kind.last, kind.suppressed)
	}
}

// passOn passes on the last of n suppressed records.
func (l *spacedLog) passOn(last slog.Record, n int) {
	if n == 0 {
		return
	}
	if n > 1 {
		last.Message += fmt.Sprintf(" (%d such messages in %v)", n, spacedPause)
	}
	_ = l.next.Handle(context.Background(), last)
}

// kindOf returns the text of a record without its digits and its hint.
func kindOf(record slog.Record) string {
	var text strings.Builder
	text.WriteString(record.Message)
	record.Attrs(func(a slog.Attr) bool {
		if a.Key != "hint" {
			fmt.Fprintf(&text, " %s %v", a.Key, a.Value)
		}
		return true
	})
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text.String())
}

// WithAttrs implements [slog.Handler]. The result has pauses of its own.
func (l *spacedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newSpacedLog(l.next.WithAttrs(attrs))
}

// WithGroup implements [slog.Handler]. The result has pauses of its own.
func (l *spacedLog) WithGroup(name string) slog.Handler {
	return newSpacedLog(l.next.WithGroup(name))
}
