package sse

import "slices"

// checkLag applies the lag policy if the subscriber is too far behind.
func (s *subscriber) checkLag(w *window, b *batch) {
	if !s.behind(w) {
		return
	}
	switch s.opts.lagPolicy {
	case LagDisconnect:
		s.endCause = ErrLagging
	case LagSkip:
		s.skipToNewest(w, b)
	case LagLatest:
		s.skipToLatest(w, b)
	}
}

// behind reports whether the subscriber exceeds its lag limits. A subscriber
// exceeds no limit while it is idle, or as long as it has never reached the newest
// event.
func (s *subscriber) behind(w *window) bool {
	if !s.caughtUp || s.idle {
		return false
	}
	maxLag, maxBytes := s.opts.maxLag, s.opts.maxLagBytes
	if maxLag < 0 && maxBytes < 0 {
		return false
	}
	seq := max(s.cursor.Seq, s.conflateThrough)
	if links := s.links(); len(links) == 1 {
		// These counts are never too low, and take no search. In most cases they
		// already show that no limit is exceeded.
		after := w.last.Seq - min(seq, w.last.Seq)
		if (maxLag < 0 || after <= uint64(maxLag)) && (maxBytes < 0 || links[0].size() <= maxBytes) {
			return false
		}
	}
	events, bytes := s.lag(seq)
	return maxLag >= 0 && events > maxLag || maxBytes >= 0 && bytes > maxBytes
}

// lag returns the number of events after a sequence, and their bytes. An event
// counts once for each of the subscriber's chains that contain it (one chain for
// each selected topic or pattern).
func (s *subscriber) lag(seq uint64) (events int, bytes int64) {
	for i := range s.links() {
		e, b := s.links()[i].countAfter(seq)
		events, bytes = events+e, bytes+b
	}
	return events, bytes
}

// skipToNewest skips every selected event before the newest, and sets a gap.
func (s *subscriber) skipToNewest(w *window, b *batch) {
	w.merge.start(s.chains(w), s.cursor.Seq)
	first := w.merge.next()
	newest := first
	for e := first; e != nil; e = w.merge.next() {
		newest = e
		b.dropped++
	}
	if b.dropped--; newest == first {
		b.dropped = 0
		return // nothing to skip; if events were removed, checkLoss finds the loss
	}
	before := w.positionBefore(newest)
	s.skipTo(before, before)
}

// skipToLatest skips every event that is superseded (all of its selected topics
// have a newer event), and sets a gap.
func (s *subscriber) skipToLatest(w *window, b *batch) {
	if s.cursor.Seq < w.base.Seq {
		// The latest event of a topic may be in the log only. So the cursor does
		// not move, and dropSuperseded skips events after they were read.
		s.skipTo(s.cursor, w.last)
		s.conflateThrough = w.last.Seq
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
	s.skipTo(w.positionBefore(first), w.last)
	s.conflateThrough = w.last.Seq
}

// skipTo moves the cursor to a position, and sets a gap that ends at through. It
// sets no gap if the client has already received a gap up to through, or accepts
// such losses. If another gap is still to be sent, that gap covers the skipped
// events.
func (s *subscriber) skipTo(to, through Position) {
	if s.gap == nil && through.Seq > s.knownLossSeq {
		s.gap = &Gap{Asked: s.gapStart(), Available: through.String(), Why: GapLagging}
	}
	if to.Seq > s.cursor.Seq {
		s.cursor = to
	}
	s.noteKnownLoss(through)
	s.conflateThrough = 0
}

// dropSuperseded removes from b the superseded entries up to the sequence
// conflateThrough.
func (s *subscriber) dropSuperseded(b *batch) {
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if e.seq > s.conflateThrough || !s.superseded(e) {
			return false
		}
		b.dropped++
		return true
	})
}

// superseded reports whether every selected topic of an entry has a newer entry in
// the window.
func (s *subscriber) superseded(e *entry) bool {
	for _, t := range e.topics {
		if last := t.last(); (last == nil || last.seq <= e.seq) && s.selects(t) {
			return false
		}
	}
	return true
}
