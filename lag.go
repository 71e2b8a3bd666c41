package sse

import "slices"

// checkLag applies the policy if the subscriber has fallen too far behind.
func (s *subscriber) checkLag(w *window, b *batch) {
	if !s.behind(w) {
		return
	}
	switch s.terms.lag {
	case LagDisconnect:
		s.end = ErrLagging
	case LagSkip:
		s.skip(w, b)
	case LagLatest:
		s.skipToLatest(w, b)
	}
}

// behind reports whether the subscriber is over its limit. One that has not been
// at the end yet is catching up, however far behind it is.
func (s *subscriber) behind(w *window) bool {
	if !s.live || s.idle {
		return false
	}
	maxLag, maxBytes := s.terms.maxLag, s.terms.maxLagBytes
	if maxLag < 0 && maxBytes < 0 {
		return false
	}
	seq := max(s.cursor.Seq, s.conflate)
	if links := s.links(); len(links) == 1 {
		// Mostly it is plain that it is not, without a search.
		after := w.last.Seq - min(seq, w.last.Seq)
		if (maxLag < 0 || after <= uint64(maxLag)) && (maxBytes < 0 || links[0].size() <= maxBytes) {
			return false
		}
	}
	events, bytes := s.lag(seq)
	return maxLag >= 0 && events > maxLag || maxBytes >= 0 && bytes > maxBytes
}

// lag is how many events and bytes come after a sequence.
func (s *subscriber) lag(seq uint64) (events int, bytes int64) {
	for i := range s.links() {
		e, b := s.links()[i].behind(seq)
		events, bytes = events+e, bytes+b
	}
	return events, bytes
}

// skip moves on to the newest event, if there are others before it.
func (s *subscriber) skip(w *window, b *batch) {
	w.merge.start(s.chains(w), s.cursor.Seq)
	first := w.merge.next()
	newest := first
	for e := first; e != nil; e = w.merge.next() {
		newest = e
		b.dropped++
	}
	if b.dropped--; newest == first {
		b.dropped = 0
		return // or it was removed, which checkLoss will see
	}
	before := w.before(newest)
	s.lapse(before, before)
}

// skipToLatest moves on to the first event that is the latest of its topic, and
// notes that up to the end no others count.
func (s *subscriber) skipToLatest(w *window, b *batch) {
	if s.cursor.Seq < w.base.Seq {
		// Some may have their latest below the window.
		s.lapse(s.cursor, w.last)
		s.conflate = w.last.Seq
		return
	}
	w.merge.start(s.chains(w), s.cursor.Seq)
	var first *entry
	for e := w.merge.next(); e != nil; e = w.merge.next() {
		if s.superseded(e) {
			b.dropped++
		} else if first == nil {
			first = e
		}
	}
	if b.dropped == 0 {
		return
	}
	s.lapse(w.before(first), w.last)
	s.conflate = w.last.Seq
}

// lapse moves the cursor to a position, and notes the gap that this is up to
// another. What a gap before it covers is not covered again.
func (s *subscriber) lapse(to, through Position) {
	if s.gap == nil && through.Seq > s.told {
		s.gap = &Gap{Asked: s.asked(), Available: through.String(), Why: "lagging"}
	}
	if to.Seq > s.cursor.Seq {
		s.cursor = to
	}
	s.know(through)
	s.conflate = 0
}

// dropSuperseded takes out of the batch what is not the latest of a topic, as far
// as only that counts.
func (s *subscriber) dropSuperseded(b *batch) {
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if e.seq > s.conflate || !s.superseded(e) {
			return false
		}
		b.dropped++
		return true
	})
}

// superseded reports whether each selected topic of an entry has a newer one.
func (s *subscriber) superseded(e *entry) bool {
	for _, t := range e.topics {
		if last := t.last(); (last == nil || last.seq <= e.seq) && s.selects(t) {
			return false
		}
	}
	return true
}

// before is the position right before an entry.
func (w *window) before(e *entry) Position {
	if p := w.find(e.seq - 1); p != nil {
		return p.position(w.epoch)
	}
	if w.base.Seq > 0 {
		return w.base
	}
	return w.positionAt(e.seq - 1)
}
