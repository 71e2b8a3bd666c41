package reflog

import (
	"context"
	"errors"
	"time"

	"github.com/sse-go/sse"
)

// Locate is [sse.EventLog]'s.
func (l *Log) Locate(
	ctx context.Context, start sse.Start, sel sse.Selection,
) (sse.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return sse.Position{}, err
	}
	selected := l.selectedLocked(&sel)
	switch {
	case start.After != (sse.Position{}):
		if why := l.refuseLocked(start.After); why != "" {
			return l.gapLocked(&sel, start.After.String(), why)
		}
		return start.After, nil
	case start.ID != "":
		for _, entry := range selected {
			if entry.Event.ID == start.ID {
				return entry.Position, nil
			}
		}
		return l.gapLocked(&sel, start.ID, "unknown")
	case start.Last > 0 && start.Last < len(selected):
		return l.beforeLocked(selected[len(selected)-start.Last].Position.Seq), nil
	case start.Last > 0, start.Earliest:
		return l.earliestLocked(&sel), nil
	case !start.Time.IsZero():
		return l.sinceLocked(start.Time, selected, &sel), nil
	}
	return l.last, nil
}

func (l *Log) selectedLocked(sel *sse.Selection) []sse.Entry {
	var selected []sse.Entry
	for _, entry := range l.entries {
		if sel.Match(entry.Topics) {
			selected = append(selected, entry)
		}
	}
	return selected
}

// sinceLocked is right after the newest selected entry that is older than t, kept
// or not: those that are not older, and were removed, are lost.
func (l *Log) sinceLocked(t time.Time, selected []sse.Entry, sel *sse.Selection) sse.Position {
	after := sse.Position{Epoch: l.epoch}
	for _, entry := range selected {
		if entry.Time.Before(t) {
			after = entry.Position
		}
	}
	if lost := l.lostLocked(sel); lost.at.Seq > after.Seq && lost.time.Before(t) {
		after = lost.at
	}
	return after
}

// refuseLocked says why a position is not one of this log, or nothing. That of
// an entry which was removed is taken on trust: its check is gone.
func (l *Log) refuseLocked(p sse.Position) string {
	switch {
	case p.Epoch != l.epoch:
		return "epoch"
	case p.Seq > l.last.Seq:
		return "future"
	}
	if at, ok := l.atLocked(p.Seq); ok && at != p {
		return "check"
	}
	return ""
}

// atLocked returns the position with a number, if it is known in full.
func (l *Log) atLocked(seq uint64) (sse.Position, bool) {
	if seq == l.last.Seq {
		return l.last, true
	}
	for _, entry := range l.entries {
		if entry.Position.Seq == seq {
			return entry.Position, true
		}
	}
	return sse.Position{Epoch: l.epoch, Seq: seq}, seq == 0
}

func (l *Log) beforeLocked(seq uint64) sse.Position {
	p, _ := l.atLocked(seq - 1)
	return p
}

// earliestLocked is right before the first selected entry that is kept; but
// after those that were removed, if all of them were before it.
func (l *Log) earliestLocked(sel *sse.Selection) sse.Position {
	begin := l.lostLocked(sel).at
	if begin.Seq == 0 {
		begin.Epoch = l.epoch
	}
	if selected := l.selectedLocked(sel); len(selected) > 0 {
		if first := selected[0].Position.Seq; first < begin.Seq {
			return l.beforeLocked(first)
		}
	}
	return begin
}

func (l *Log) gapLocked(sel *sse.Selection, asked, why string) (sse.Position, error) {
	begin := l.earliestLocked(sel)
	return begin, &sse.Gap{Asked: asked, Available: begin.String(), Why: why}
}
