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
	// spacedPause is the shortest time between two warnings or errors of the same
	// kind, except at the end of the hub.
	spacedPause = 10 * time.Second

	// maxSpacedKinds is how many kinds of records are distinguished at a time. While
	// there are that many, all records of other kinds are of one further kind.
	maxSpacedKinds = 64
)

// spacedLog is a [slog.Handler] that limits the number of warnings and errors that it
// passes on to another handler. It passes on the first warning or error of a kind at
// once, and then suppresses the records of this kind during spacedPause. At the end of
// this pause, it passes on the last suppressed record with the number of suppressed
// records, and begins the next pause. It passes on all records below the level of a
// warning at once. Two records are of the same kind if they differ only in digits and
// in the attribute "hint": see kindOf.
type spacedLog struct {
	next slog.Handler

	mu    sync.Mutex             // guards the following
	kinds map[string]*spacedKind // the kinds that are in a pause, by kindOf
}

// spacedKind is a kind of records that is in a pause.
type spacedKind struct {
	last       slog.Record // the last record that was suppressed in the pause
	suppressed int         // number of records that were suppressed in the pause
	timer      *time.Timer // calls endPause at the end of the pause
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

// suppress reports whether the record must not be passed on now. If the kind of the
// record is in a pause, suppress counts the record and returns true. Otherwise it begins
// a pause of this kind and returns false.
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

// endPause is called when the pause of a kind ends. If records were suppressed in the
// pause, endPause passes on the last of them with their number, and begins the next
// pause. Otherwise it removes the kind.
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

// flush ends all pauses. For each kind with suppressed records, it passes on the last
// of them with their number.
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

// passOn passes on last, the last of n suppressed records. If n is more than 1, it adds
// the number to the message. If n is 0, it does nothing.
func (l *spacedLog) passOn(last slog.Record, n int) {
	if n == 0 {
		return
	}
	if n > 1 {
		last.Message += fmt.Sprintf(" (%d such messages in %v)", n, spacedPause)
	}
	_ = l.next.Handle(context.Background(), last)
}

// kindOf returns the name of the kind of a record: its message and its attributes
// except "hint", without digits.
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
