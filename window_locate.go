package sse

import (
	"math"
	"sort"
	"time"
)

// locate returns the position after which start begins. If there is no such
// position, it returns the earliest one and a gap.
func (w *window) locate(start Start, sel *Selection, now time.Time) (Position, *Gap) {
	switch {
	case start.After != Position{}:
		if why := w.invalidReason(start.After); why != "" {
			return w.gap(start.After.String(), why, sel, now)
		}
		return start.After, nil
	case start.ID != "":
		chains := w.chainsOfSelection(sel, now)
		for _, e := range w.entriesByID[start.ID] {
			if sel.Match(e.topicNames()) {
				return e.position(w.epoch), nil
			}
		}
		return w.gapIn(chains, start.ID, GapUnknown)
	case start.Last > 0:
		return w.locateLast(start.Last, sel, now), nil
	case !start.Time.IsZero():
		return w.locateTime(start.Time.UnixNano(), w.chainsOfSelection(sel, now)), nil
	case start.Earliest:
		return w.earliest(w.chainsOfSelection(sel, now)), nil
	}
	return w.last, nil
}

// gap is gapIn for the chains of a selection.
func (w *window) gap(asked string, why GapReason, sel *Selection, now time.Time) (
	Position, *Gap) {
	return w.gapIn(w.chainsOfSelection(sel, now), asked, why)
}

// gapIn returns the answer for a position that is not available: the earliest
// position of the chains, and a *Gap with the reason.
func (w *window) gapIn(chains []*chain, asked string, why GapReason) (Position, *Gap) {
	at := w.earliest(chains)
	return at, &Gap{Asked: asked, Available: at.String(), Why: why}
}

// earliest returns the position before all entries of the chains and, unless that
// contradicts it, after all lost entries.
func (w *window) earliest(chains []*chain) Position {
	lost := w.lostIn(chains...)
	for _, c := range chains {
		if c.first < len(c.items) && c.items[c.first].seq <= lost.seq {
			return Position{Epoch: w.epoch}
		}
	}
	return Position{w.epoch, lost.seq, lost.check}
}

// invalidReason returns the reason why p is not a position of this window's log,
// or "".
func (w *window) invalidReason(p Position) GapReason {
	switch {
	case p.Epoch != w.epoch:
		return GapEpoch
	case p.Seq > w.last.Seq:
		return GapFuture
	}
	if known := w.positionAt(p.Seq); known.Check != p.Check && known.Check != 0 {
		return GapCheck
	}
	return ""
}

// locateLast returns the position that is followed by the newest n entries.
func (w *window) locateLast(n int, sel *Selection, now time.Time) Position {
	chains := w.chainsOfSelection(sel, now)
	w.merge.startBack(chains)
	for e := w.merge.next(); e != nil; e = w.merge.next() {
		if n--; n < 0 { // e is before the newest n
			return e.position(w.epoch)
		}
	}
	return w.earliest(chains)
}

// locateTime returns the position right before the first entry of the chains that
// is not older than a time. If an entry that is lost may not be older, the position
// is before that entry.
func (w *window) locateTime(unixNano int64, chains []*chain) Position {
	first := uint64(math.MaxUint64) // sequence of the first entry that is not older
	for _, c := range chains {
		live := c.items[c.first:]
		if i := w.searchTime(live, unixNano); i < len(live) {
			first = min(first, live[i].seq)
		}
	}
	at := Position{Epoch: w.epoch}
	if w.lossless {
		at = w.base // see coversTime
	}
	if m := w.lostIn(chains...); m.seq > at.Seq && m.seq < first && m.time < unixNano {
		at = Position{w.epoch, m.seq, m.check}
	}
	for _, c := range chains {
		live := c.items[c.first:]
		i := sort.Search(len(live), func(i int) bool { return live[i].seq >= first })
		if i > 0 && live[i-1].seq > at.Seq {
			at = live[i-1].position(w.epoch)
		}
	}
	return at
}

// searchTime returns the index of the first entry that is not older than a time, or
// len(entries). The entries are in order of their sequence.
func (w *window) searchTime(entries []chainItem, unixNano int64) int {
	if len(entries) > 0 && entries[0].seq < w.setBack {
		for i, e := range entries {
			if e.time >= unixNano {
				return i
			}
		}
		return len(entries)
	}
	return sort.Search(len(entries), func(i int) bool { return entries[i].time >= unixNano })
}

// covers reports whether every entry after a position is in the window.
func (w *window) covers(p Position) bool {
	return p.Epoch == w.epoch && w.base.Seq <= p.Seq && p.Seq <= w.last.Seq
}

// coversTime reports whether every entry that is not older than a time is in the
// window.
func (w *window) coversTime(t time.Time) bool {
	entries := w.entries[w.first:]
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > w.base.Seq })
	return !t.IsZero() && i < len(entries) && max(w.baseTime, entries[i].time) < t.UnixNano()
}
