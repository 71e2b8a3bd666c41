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

// locateLocked returns the position after which a reader with the given start must
// read. If there is no such position, it returns the earliest position and a gap.
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

// sinceLocked returns the position after which a reader reads the entries that are
// not older than t: the position of the last selected entry before them. The
// newest removed entry counts as that last entry only if no removed entry is as
// young as t. Otherwise the position is before the newest removed entry, so that
// Read reports a loss.
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

// refuseLocked returns the reason of the gap if p is not a position of this log,
// and "" otherwise. If the entry at p was removed, refuseLocked accepts every
// Check, because the log no longer has the entry's own.
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

// atLocked returns the position with the sequence number seq. It returns false,
// and a position whose Check is zero, if the log does not know the Check.
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

// beforeLocked returns the position directly before the entry with the sequence
// number seq.
func (l *Log) beforeLocked(seq uint64) sse.Position {
	p, _ := l.atLocked(seq - 1)
	return p
}

// earliestLocked returns the position at which the log begins for sel: the position
// of the newest removed entry that sel matches. If a stored entry that sel matches
// is older than that, earliestLocked returns the position before the first such
// entry. If there is neither, it returns the beginning of the log.
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

// gapLocked returns the results of locateLocked for a start that is not in the log.
func (l *Log) gapLocked(sel *sse.Selection, asked string, why sse.GapReason) (
	sse.Position, *sse.Gap) {
	begin := l.earliestLocked(sel)
	return begin, &sse.Gap{Asked: asked, Available: begin.String(), Why: why}
}
