package sse

import "iter"

// maxSelected limits how many topics the window looks up for the patterns of a
// selection. If the patterns select more topics, the window searches its entries
// instead. Either way, the cost does not grow with the topics that have no such entry.
const maxSelected = 256

// selectionView has the entries of the window that a selection selects. It is valid
// until the window changes.
type selectionView struct {
	w      *window
	chains []*chain    // of all selected topics, if match is nil
	match  *topicMatch // set if there are too many selected topics
}

// newSelectionView returns the entries that a selection selects. The next call reuses
// its slice.
func newSelectionView(w *window, sel *Selection) selectionView {
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
		if !w.appendSelected(&v.chains, p, visits) {
			v.match = newTopicMatch(sel)
			return v
		}
		visits -= len(v.chains) - n
	}
	return v
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
