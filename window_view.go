package sse

import (
	"iter"
	"slices"
	"time"
)

// A view works in slices, and releases the lock between them, so that no request makes
// publishers wait for long. A slice looks at up to maxSlice entries, and at up to
// maxSliceTopics topics of these entries, but at least at one entry. The first slice of
// a view is smaller, because many callers need only a few entries.
const (
	firstSlice     = 16
	maxSlice       = 512
	maxSliceTopics = 4096
)

// selectionView has the entries of the window that a selection selects. Its iterators
// release the lock again and again, so the window may change during a loop. An iterator
// may or may not return an entry that is appended or removed during the loop. It stops
// if the window begins a new epoch.
type selectionView struct {
	w      *window
	epoch  uint64
	size   int         // number of entries of the next slice
	chains []*chain    // of all selected topics, if match is nil
	match  *entryMatch // set if there are too many selected topics
}

// newSelectionView returns the entries that a selection selects. It first removes the
// entries that have become too old.
func newSelectionView(w *window, sel *Selection, now time.Time) *selectionView {
	w.expire(now)
	v := &selectionView{w: w, epoch: w.epoch, size: firstSlice}
	names := sel.topicNames()
	v.chains = make([]*chain, 0, len(names))
	for _, name := range names {
		if t := w.topics[name]; t != nil {
			v.chains = append(v.chains, &t.chain)
		}
	}
	visits := w.maxSelected
	for _, p := range sel.Patterns {
		n := len(v.chains)
		if !appendSelected(&v.chains, w, p, visits) {
			v.match = newEntryMatch(sel)
			return v
		}
		visits -= len(v.chains) - n
	}
	return v
}

// appendSelected appends the chains of the topics that a pattern selects. If it would
// have to look at more than visits topics, it returns false.
func appendSelected(chains *[]*chain, w *window, p Pattern, visits int) bool {
	return w.topicTree.Select(p.text, visits, func(t *topicState) {
		*chains = append(*chains, &t.chain)
	})
}

// between iterates over the entries after one sequence, up to and including another,
// from the oldest to the newest.
func (v *selectionView) between(after, through uint64) iter.Seq[*entry] {
	return v.each(func(last uint64) ([]*entry, uint64, bool) {
		return v.slice(max(after, last), through, false)
	})
}

// before iterates over the entries before a sequence, from the newest to the oldest.
func (v *selectionView) before(seq uint64) iter.Seq[*entry] {
	return v.each(func(last uint64) ([]*entry, uint64, bool) {
		if last != 0 {
			seq = last
		}
		return v.slice(0, seq-1, true)
	})
}

// each iterates over the entries of several slices. The argument of next is the sequence
// of the last entry that the slice before has looked at, or 0. For its results, see
// slice.
func (v *selectionView) each(next func(last uint64) ([]*entry, uint64, bool)) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		last := uint64(0)
		for more := true; more; v.size = min(2*v.size, maxSlice) {
			if last != 0 && v.match == nil {
				v.w.unlocked(func() {})
			}
			if v.w.epoch != v.epoch {
				return
			}
			var found []*entry
			found, last, more = next(last)
			for _, e := range found {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// slice returns the selected entries of the next slice after one sequence, up to and
// including another. If back is true, the slice begins with the newest of these
// entries, and is in reverse order. last is the sequence of the last entry that slice
// has looked at. If more is false, there are no more entries.
func (v *selectionView) slice(after, through uint64, back bool) (
	found []*entry, last uint64, more bool) {
	if v.match == nil {
		return v.mergeSlice(after, through, back)
	}
	found = v.copySlice(after, through, back)
	if len(found) == 0 {
		return nil, 0, false
	}
	last = found[len(found)-1].seq
	v.w.unlocked(func() { // the topics of an entry do not change
		found = slices.DeleteFunc(found, func(e *entry) bool { return !v.match.entry(e) })
	})
	return slices.DeleteFunc(found, func(e *entry) bool { return e.removed }), last, true
}

// mergeSlice is slice for a selection with few topics.
func (v *selectionView) mergeSlice(after, through uint64, back bool) (
	found []*entry, last uint64, more bool) {
	m := &v.w.merge
	if back {
		m.startBack(v.chains, through+1)
	} else {
		m.start(v.chains, after)
	}
	for range v.size {
		e := m.next()
		if e == nil || e.seq <= after || e.seq > through {
			return found, last, false
		}
		found, last = append(found, e), e.seq
	}
	return found, last, true
}

// copySlice returns the entries of a slice: up to v.size entries after one sequence, up to
// and including another. If back is true, it returns the newest of them, in reverse
// order.
func (v *selectionView) copySlice(after, through uint64, back bool) []*entry {
	entries := v.w.entriesBetween(after, through)
	n, topics := 0, 0
	at := func(i int) *entry {
		if back {
			i = len(entries) - 1 - i
		}
		return entries[i]
	}
	for n < min(v.size, len(entries)) && (n == 0 || topics+len(at(n).topics) <= maxSliceTopics) {
		topics += len(at(n).topics)
		n++
	}
	if !back {
		return slices.Clone(entries[:n])
	}
	newest := slices.Clone(entries[len(entries)-n:])
	slices.Reverse(newest)
	return newest
}

// entryMatch finds the entries that a selection selects.
type entryMatch struct {
	topics *topicMatch
	known  map[*topicState]bool // results for the topics of entries with several topics
}

func newEntryMatch(sel *Selection) *entryMatch {
	return &entryMatch{newTopicMatch(sel), make(map[*topicState]bool)}
}

// entry reports whether one of an entry's topics is selected. It needs no lock.
func (m *entryMatch) entry(e *entry) bool {
	if len(e.topics) == 1 {
		return m.topics.topic(e.topics[0].name)
	}
	return slices.ContainsFunc(e.topics, func(t *topicState) bool {
		selected, known := m.known[t]
		if !known {
			selected = m.topics.topic(t.name)
			m.known[t] = selected
		}
		return selected
	})
}
