package sse

import (
	"math"
	"slices"
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
		w.expire(now)
		if e := w.firstWithID(start.ID, sel); e != nil {
			return e.position(w.epoch), nil
		}
		return w.gap(start.ID, GapUnknown, sel, now)
	case start.Last > 0:
		return w.locateLast(start.Last, sel, now), nil
	case !start.Time.IsZero():
		return w.locateTime(start.Time.UnixNano(), sel, now), nil
	case start.Earliest:
		return w.earliest(sel, now), nil
	}
	return w.last, nil
}

// firstWithID returns the first selected entry to which the application has given an ID,
// or nil. It compares the topics while the lock is not held.
func (w *window) firstWithID(id string, sel *Selection) *entry {
	entries, match := slices.Clone(w.entriesByID[id]), newEntryMatch(sel)
	for len(entries) > 0 {
		next := 0
		w.unlocked(func() { next = slices.IndexFunc(entries, match.entry) })
		switch {
		case next < 0:
			return nil
		case !entries[next].removed:
			return entries[next]
		}
		entries = entries[next+1:]
	}
	return nil
}

// gap returns the answer for a position that is not available: the earliest position
// of a selection, and a *Gap with the reason.
func (w *window) gap(asked string, why GapReason, sel *Selection, now time.Time) (
	Position, *Gap) {
	at := w.earliest(sel, now)
	return at, &Gap{Asked: asked, Available: at.String(), Why: why}
}

// earliest returns a position before all entries of a selection. If no entry of the
// selection is older than the newest lost entry, it is the position of that lost entry,
// so that no gap reports the lost entries. Otherwise it is the beginning of the log.
func (w *window) earliest(sel *Selection, now time.Time) Position {
	v := newSelectionView(w, sel, now)
	lost := w.lostOf(sel)
	for range v.between(0, lost.seq) {
		return Position{Epoch: w.epoch}
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
	if e := w.newest(n, sel, now); e != nil {
		return w.positionBefore(e)
	}
	return w.earliest(sel, now)
}

// newest returns the first of the newest n entries of a selection, or nil if the window
// has fewer of them.
func (w *window) newest(n int, sel *Selection, now time.Time) *entry {
	if n > w.live {
		return nil
	}
	for e := range newSelectionView(w, sel, now).before(math.MaxUint64) {
		if e.seq <= w.base.Seq {
			break // the log may have entries between e and base that the window does not have
		}
		if n--; n == 0 {
			return e
		}
	}
	return nil
}

// locateTime returns the position right before the first entry of a selection that is
// not older than a time. If the newest lost entry is not older than the time either,
// the position is before the lost entry, so that a gap reports the loss.
func (w *window) locateTime(unixNano int64, sel *Selection, now time.Time) Position {
	v := newSelectionView(w, sel, now)
	first := uint64(math.MaxUint64) // sequence of the first entry that is not older
	for e := range v.between(w.lastBefore(unixNano), math.MaxUint64) {
		if e.time >= unixNano {
			first = e.seq
			break
		}
	}
	at := Position{Epoch: w.epoch}
	if w.lossless {
		at = w.base // see coversTime
	}
	if m := w.lostOf(sel); m.seq > at.Seq && m.seq < first && m.time < unixNano {
		at = Position{w.epoch, m.seq, m.check}
	}
	for e := range v.before(first) {
		if e.seq > at.Seq {
			at = e.position(w.epoch)
		}
		break
	}
	return at
}

// lastBefore returns the sequence of an entry that is older than a time, and after which
// only older entries precede the first entry that is not older. It returns 0 if the search
// for that first entry must begin with the first entry of the window.
func (w *window) lastBefore(unixNano int64) uint64 {
	entries := w.entries[w.first:]
	if len(entries) > 0 && entries[0].seq < w.setBack {
		return 0 // the times do not grow
	}
	i := sort.Search(len(entries), func(i int) bool { return entries[i].time >= unixNano })
	if i == 0 {
		return 0
	}
	return entries[i-1].seq
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
	// The UnixNano of the zero Time is negative, but baseTime is not.
	return i < len(entries) && max(w.baseTime, entries[i].time) < t.UnixNano()
}

// read implements EventLog.Read for a window.
func (w *window) read(after, through Position, sel *Selection, limit int, now time.Time) Page {
	end := w.last.Seq
	if through != (Position{}) {
		end = min(end, through.Seq)
	}
	page := Page{Next: w.positionAt(max(end, after.Seq))}
	var entries []*entry
	size := 0
	for e := range newSelectionView(w, sel, now).between(after.Seq, end) {
		n := len(entries)
		if size += len(e.framed); n > 0 && size > limit {
			page.Next = entries[n-1].position(w.epoch)
			break
		}
		entries = append(entries, e)
	}
	if lost := w.lostOf(sel); lost.seq > after.Seq {
		page.Lost = Position{w.epoch, lost.seq, lost.check}
	}
	epoch := w.epoch
	w.unlocked(func() { // entries are read-only
		for _, e := range entries {
			page.Entries = append(page.Entries, e.public(epoch))
		}
	})
	return page
}
