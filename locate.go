package sse

import (
	"sort"
	"time"
)

// locate finds the position after which to begin, or a *Gap.
func (w *window) locate(start Start, sel *Selection, now time.Time) (Position, error) {
	switch {
	case start.After != Position{}:
		if why := w.wrong(start.After); why != "" {
			return w.gap(start.After.String(), why, sel, now)
		}
		return start.After, nil
	case start.ID != "":
		chains := w.sources(sel, now)
		for _, e := range w.ids[start.ID] {
			if sel.Match(e.names()) {
				return e.position(w.epoch), nil
			}
		}
		return w.gapIn(chains, start.ID, "unknown")
	case start.Last > 0:
		return w.locateLast(start.Last, sel, now), nil
	case !start.Time.IsZero():
		return w.locateTime(start.Time.UnixNano(), w.sources(sel, now)), nil
	case start.Earliest:
		return w.earliest(w.sources(sel, now)), nil
	}
	return w.last, nil
}

// gap is the answer for a place that there is not.
func (w *window) gap(asked, why string, sel *Selection, now time.Time) (Position, error) {
	return w.gapIn(w.sources(sel, now), asked, why)
}

func (w *window) gapIn(chains []*chain, asked, why string) (Position, error) {
	at := w.earliest(chains)
	return at, &Gap{Asked: asked, Available: at.String(), Why: why}
}

// earliest is the position before everything that is kept in the chains, and if
// possible after everything that is lost.
func (w *window) earliest(chains []*chain) Position {
	lost := w.lost(chains...)
	for _, c := range chains {
		if c.head < len(c.items) && c.items[c.head].seq <= lost.seq {
			return Position{Epoch: w.epoch}
		}
	}
	return Position{w.epoch, lost.seq, lost.check}
}

// wrong says why there is no such position, or nothing.
func (w *window) wrong(p Position) string {
	switch {
	case p.Epoch != w.epoch:
		return "epoch"
	case p.Seq > w.last.Seq:
		return "future"
	}
	if known := w.positionAt(p.Seq); known.Check != p.Check && known.Check != 0 {
		return "check"
	}
	return ""
}

// locateLast finds the position that is followed by n entries.
func (w *window) locateLast(n int, sel *Selection, now time.Time) Position {
	chains := w.sources(sel, now)
	w.merge.startBack(chains)
	for e := w.merge.next(); e != nil; e = w.merge.next() {
		if n--; n < 0 { // there are more
			return e.position(w.epoch)
		}
	}
	return w.earliest(chains)
}

// locateTime finds the position after which all entries of the chains are that
// are not older than a time. If some of them are lost, it is before those.
func (w *window) locateTime(unixNano int64, chains []*chain) Position {
	at := Position{Epoch: w.epoch}
	if w.lossless {
		at = w.base // see coversTime
	}
	if m := w.lost(chains...); m.seq > 0 && m.time < unixNano {
		at = Position{w.epoch, m.seq, m.check}
	}
	for _, c := range chains {
		live := c.items[c.head:]
		i := sort.Search(len(live), func(i int) bool { return live[i].time >= unixNano })
		if i > 0 && live[i-1].seq > at.Seq {
			at = live[i-1].position(w.epoch)
		}
	}
	return at
}
