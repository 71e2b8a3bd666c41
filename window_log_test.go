package sse

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/epoch"
)

// WindowLog makes a window an EventLog, so that ssetest.TestEventLog can test it. The
// window is the part of the log that a broker has in memory.
type WindowLog struct {
	now func() time.Time

	mu      sync.Mutex // guards the following
	win     window
	changed chan struct{} // Append closes and replaces it
}

func NewWindowLog(limits Retention, rules []TopicRetention, now func() time.Time) *WindowLog {
	l := &WindowLog{now: now, win: newWindow(limits, rules), changed: make(chan struct{})}
	l.win.begin(Position{Epoch: epoch.New()})
	return l
}

func (l *WindowLog) Append(ctx context.Context, r AppendRequest) (AppendResult, error) {
	if err := ctx.Err(); err != nil {
		return AppendResult{}, err
	}
	if r.Key != "" {
		return AppendResult{}, errors.ErrUnsupported
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var positions []Position
	for _, x := range r.Entries {
		seq := l.win.last.Seq + 1
		x.Position = Position{l.win.epoch, seq, l.win.check(seq, x.Time.UnixNano())}
		l.win.append(entryFromLog(&x), x.Topics)
		positions = append(positions, x.Position)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return AppendResult{Positions: positions}, nil
}

func (l *WindowLog) Read(ctx context.Context, r ReadRequest) (Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.win.read(r.After, r.Through, &r.Selection, r.Limit, l.now()), ctx.Err()
}

func (l *WindowLog) Follow(ctx context.Context, r ReadRequest) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		at := r.After.Seq
		for {
			l.mu.Lock()
			var next []Entry
			for _, e := range l.win.entries[l.win.first:] {
				if e.seq > at && !e.removed {
					next = append(next, e.public(l.win.epoch))
				}
			}
			changed := l.changed
			l.mu.Unlock()
			for _, x := range next {
				if ctx.Err() != nil || !yield(x, nil) {
					return
				}
				at = x.Position.Seq
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *WindowLog) Locate(ctx context.Context, start Start, sel Selection) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	after, gap := l.win.locate(start, &sel, l.now())
	return Page{Next: after, Gap: gap}, nil
}
