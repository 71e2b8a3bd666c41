package reflog

import (
	"context"
	"errors"
	"time"

	"github.com/sse-go/sse"
)

// Locate implements [sse.EventLog].
func (l *Log) Locate(
	ctx context.Context, start sse.Start, sel sse.Selection,
) (sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return sse.Page{}, err
	}
	after, gap := l.locateLocked(start, &sel)
	return sse.Page{Next: after, Gap: gap}, nil
}

// locateLocked returns the position to read after, or the earliest one and a gap.
func (l *Log) locateLocked(start sse.Start, sel *sse.Selection) (sse.Position, *sse.Gap) {
	selected := l.selectedLocked(sel)
	switch {
	case start.After != (sse.Position{}):
		if why := l.refuseLocked(start.After); why != "" {
			return l.gapLocked(sel, start.After.String(), why)
		}
		return start.After, nil
	case start.ID != "":
		for _, entry := range selected {
			if entry.Event.ID == start.ID {
				return entry.Position, nil
			}
		}
		return l.gapLocked(sel, start.ID, sse.GapUnknown)
	case start.Last > 0 && start.Last < len(selected):
		return l.beforeLocked(selected[len(selected)-start.Last].Position.Seq), nil
	case start.Last > 0, start.Earliest:
		return l.earliestLocked(sel), nil
	case !start.Time.IsZero():
		return l.sinceLocked(start.Time, selected, sel), nil
	}
	return l.last, nil
}

// selectedLocked returns the stored entries that sel matches.
func (l *Log) selectedLocked(sel *sse.Selection) []sse.Entry {
	var selected []sse.Entry
	for _, entry := range l.entries {
		if sel.Match(entry.Topics) {
			selected = append(selected, entry)
		}
	}
	return selected
}

// sinceLocked returns the position of the selected entry, stored or removed,
// before the first one that is not older than t. So removed entries that are
// not older count as lost.
func (l *Log) sinceLocked(t time.Time, selected []sse.Entry, sel *sse.Selection) sse.Position {
	after := sse.Position{Epoch: l.epoch}
	lost := l.lostLocked(sel)
	for _, entry := range selected {
		if !entry.Time.Before(t) {
			if lost.at.Seq > entry.Position.Seq {
				return after
			}
			break
		}
		after = entry.Position
	}
	if lost.at.Seq > after.Seq && lost.time.Before(t) {
		after = lost.at
	}
	return after
}

// refuseLocked returns the Why of the gap if p is not a position of this log,
// and "" if it is. It does not compare the check of a removed entry, because
// the log no longer has that check.
func (l *Log) refuseLocked(p sse.Position) sse.GapReason {
	switch {
	case p.Epoch != l.epoch:
		return sse.GapEpoch
	case p.Seq > l.last.Seq:
		return sse.GapFuture
	}
	if at, ok := l.atLocked(p.Seq); ok && at != p {
		return sse.GapCheck
	}
	return ""
}

// atLocked returns the position with the number seq. The result is false if the
// log does not know the check of that position.
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

// beforeLocked returns the position before the number seq.
func (l *Log) beforeLocked(seq uint64) sse.Position {
	p, _ := l.atLocked(seq - 1)
	return p
}

// earliestLocked returns the position of the newest removed entry that sel
// matches, or, if that is after the first stored entry that sel matches, the
// position before the latter.
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

// gapLocked returns the results of Locate for a gap.
func (l *Log) gapLocked(sel *sse.Selection, asked string, why sse.GapReason) (
	sse.Position, *sse.Gap) {
	begin := l.earliestLocked(sel)
	return begin, &sse.Gap{Asked: asked, Available: begin.String(), Why: why}
}
