package sse

import (
	"context"
	"iter"
	"sync"
	"time"
)

// WindowLog is the window of a broker as an EventLog, for the conformance kit.
type WindowLog struct {
	now func() time.Time

	mu      sync.Mutex // guards the following
	win     window
	changed chan struct{} // closed, and replaced, when there is a new entry
}

func NewWindowLog(limits Retention, rules []Retention, now func() time.Time) *WindowLog {
	l := &WindowLog{now: now, win: newWindow(limits, rules), changed: make(chan struct{})}
	l.win.begin(Position{Epoch: newEpoch()})
	return l
}

func (l *WindowLog) Append(ctx context.Context, entries ...Entry) ([]Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var positions []Position
	for _, x := range entries {
		x.Position = Position{Epoch: l.win.epoch, Seq: l.win.last.Seq + 1, Check: x.Check()}
		l.win.append(kept(&x), x.Topics)
		positions = append(positions, x.Position)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return positions, nil
}

func (l *WindowLog) Read(ctx context.Context, after, through Position, sel Selection, limit int) (
	Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.win.last.Seq
	if through != (Position{}) {
		end = min(end, through.Seq)
	}
	chains := l.win.sources(&sel, l.now())
	entries, more := l.win.page(nil, chains, after.Seq, end, limit)
	page := Page{Next: l.win.positionAt(max(end, after.Seq))}
	for _, e := range entries {
		page.Entries = append(page.Entries, e.export(l.win.epoch))
		if more {
			page.Next = e.position(l.win.epoch)
		}
	}
	if lost := l.win.lost(chains...); lost.seq > after.Seq {
		page.Lost = Position{l.win.epoch, lost.seq, lost.check}
	}
	return page, ctx.Err()
}

func (l *WindowLog) Follow(ctx context.Context, after Position) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		at := after.Seq
		for {
			l.mu.Lock()
			var next []Entry
			for _, e := range l.win.entries[l.win.head:] {
				if e.seq > at && !e.gone {
					next = append(next, e.export(l.win.epoch))
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

func (l *WindowLog) Locate(ctx context.Context, start Start, sel Selection) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.win.locate(start, &sel, l.now())
}
