package sse

import (
	"cmp"
	"math"
	"slices"
)

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

// behind reports whether the subscriber exceeds its lag limits. A subscriber exceeds
// no limit as long as it has never reached the newest event. The subscriber must not
// be idle.
func (s *subscriber) behind(w *window) bool {
	if !s.caughtUp {
		return false
	}
	seq := max(s.cursor.Seq, s.conflateThrough)
	// If the subscriber has one chain, these counts are never too low, and take no
	// search. In most cases they already show that no limit is exceeded.
	if links := s.links(); len(links) == 1 &&
		!s.opts.exceedsLag(int64(w.last.Seq-seq), links[0].size()) {
		return false
	}
	if events, bytes := s.lagAtMost(seq); !s.opts.exceedsLag(int64(events), bytes) {
		return false
	}
	events, bytes := s.lag(seq)
	return s.opts.exceedsLag(int64(events), bytes)
}

// exceedsLag reports whether a number of events or bytes exceeds the lag limits.
func (o *deliveryOptions) exceedsLag(events, bytes int64) bool {
	return events > o.maxLag || bytes > o.maxLagBytes
}

// lagLimit returns the value of a lag limit of a Selection: standard if n is zero, and
// the largest number, which is no limit, if n is negative.
func lagLimit(n, standard int64) int64 {
	if n < 0 {
		return math.MaxInt64
	}
	return cmp.Or(n, standard)
}

// lag returns the number of events after a sequence, and their bytes. An event
// counts once for each of the subscriber's chains that contain it (one chain for
// each selected topic or pattern).
func (s *subscriber) lag(seq uint64) (events int, bytes int64) {
	for i := range s.links() {
		if c := s.links()[i].chain; c.removedItems > 0 {
			c.compact()
		}
	}
	return s.lagAtMost(seq)
}

// lagAtMost is like lag, but takes less time, and also counts removed events that the
// chains still have.
func (s *subscriber) lagAtMost(seq uint64) (events int, bytes int64) {
	for i := range s.links() {
		e, b := s.links()[i].countAfter(seq)
		events, bytes = events+e, bytes+b
	}
	return events, bytes
}

// skipToNewest skips every selected event before the newest, and sets a gap. If there
// is nothing to skip, it sets no gap. If events were removed, checkLoss finds the loss.
func (s *subscriber) skipToNewest(w *window, b *batch) {
	w.merge.start(s.chains(w), s.cursor.Seq)
	var skipped *entry // the newest of the skipped events
	for e, next := w.merge.next(), w.merge.next(); next != nil; e, next = next, w.merge.next() {
		skipped = e
		b.dropped++
	}
	if skipped != nil {
		p := skipped.position(w.epoch)
		s.skipTo(p, p)
	}
}

// skipToLatest skips every event that is superseded (all of its selected topics have a
// newer event), and sets a gap. It moves the cursor past the superseded events before
// the first other event. dropSuperseded skips the rest after they were read.
func (s *subscriber) skipToLatest(w *window, b *batch) {
	to := s.cursor
	// If the cursor is before the window, the latest event of a topic may be in the log
	// only. So the cursor does not move.
	if s.cursor.Seq >= w.base.Seq {
		w.merge.start(s.chains(w), s.cursor.Seq)
		e := w.merge.next()
		for ; e != nil && s.superseded(e); e = w.merge.next() {
			to = e.position(w.epoch)
			b.dropped++
		}
		for e != nil && !s.superseded(e) {
			e = w.merge.next()
		}
		if b.dropped == 0 && e == nil {
			return // nothing to skip
		}
	}
	s.skipTo(to, w.last)
	s.conflateThrough = w.last.Seq
}

// skipTo moves the cursor to a position, and sets a gap that ends at through. It
// sets no gap if the client has already received a gap up to through, or accepts
// such losses.
func (s *subscriber) skipTo(to, through Position) {
	asked, known := s.gapStart(), s.knownLossSeq
	if s.noteKnownLoss(through); s.knownLossSeq != known {
		s.gap = &Gap{Asked: asked, Available: through.String(), Why: GapLagging}
	}
	s.cursor = to
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
