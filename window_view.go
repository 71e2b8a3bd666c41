package sse

import (
	"iter"
	"slices"
	"time"
)

// selectionView has the entries of the window that a selection selects. It is valid
// until the window changes.
type selectionView struct {
	w      *window
	chains []*chain    // of all selected topics, if match is nil
	match  *entryMatch // set if there are too many selected topics
}

// newSelectionView returns the entries that a selection selects. It first removes the
// entries that have become too old. The next call reuses the slice of the view.
func newSelectionView(w *window, sel *Selection, now time.Time) selectionView {
	w.expire(now)
	v := selectionView{w: w, chains: w.selected[:0]}
	defer func() { w.selected = v.chains[:0] }()
	for _, name := range sel.topicNames() {
		if t := w.topics[name]; t != nil {
			v.chains = append(v.chains, &t.chain)
		}
	}
	visits := w.maxSelected
	for _, p := range sel.Patterns {
		n := len(v.chains)
		if !appendSelected(&v.chains, w, p, visits) {
			v.match = &entryMatch{newTopicMatch(sel), make(map[*topicState]bool)}
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
// from the oldest to the newest. The body of the loop must not use window.merge.
func (v selectionView) between(after, through uint64) iter.Seq[*entry] {
	w := v.w
	return func(yield func(*entry) bool) {
		if v.match == nil {
			w.merge.start(v.chains, after)
			w.merge.each(func(e *entry) bool { return e.seq <= through && yield(e) })
			return
		}
		for _, e := range w.entriesBetween(after, through) {
			if !e.removed && v.match.entry(e) && !yield(e) {
				return
			}
		}
	}
}

// before iterates over the entries before a sequence, from the newest to the oldest.
// The body of the loop must not use window.merge.
func (v selectionView) before(seq uint64) iter.Seq[*entry] {
	w := v.w
	return func(yield func(*entry) bool) {
		if v.match == nil {
			w.merge.startBack(v.chains, seq)
			w.merge.each(yield)
			return
		}
		entries := w.entriesBetween(0, seq-1)
		for i := len(entries) - 1; i >= 0; i-- {
			if e := entries[i]; !e.removed && v.match.entry(e) && !yield(e) {
				return
			}
		}
	}
}

// entryMatch finds the entries that a selection selects.
type entryMatch struct {
	topics *topicMatch
	known  map[*topicState]bool // results for the topics of entries with several topics
}

// entry reports whether one of an entry's topics is selected.
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
