package segmentlog

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
)

// losses are the loss marks: for each topic the newest entry that was removed, and the
// merged mark, which applies to all topics. It stands for the marks of topics that were
// too many, and for damaged entries.
//
// A mark is set before an entry is removed. So a reader that does not find the entry,
// and looks here afterwards, learns of the loss.
//
// Invariants: len(marks) ≤ limit; the numbers in marks, and in merged, ≤ newest.
type losses struct {
	limit int

	mu     sync.RWMutex // guards the following
	marks  map[string]lossMark
	merged lossMark
	newest uint64
}

// place is a position without the epoch and the key.
type place struct {
	seq uint64
	sum uint32 // of the entry's frame
}

// lossMark is the newest entry that was removed.
type lossMark struct {
	place
	nano int64 // its time
}

func newer(a, b lossMark) lossMark {
	if b.seq > a.seq {
		return b
	}
	return a
}

// of returns the newest removed entry after a number that sel matches, as far as is
// known, or the zero mark.
func (l *losses) of(sel *sse.Selection, after uint64) lossMark {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.newest <= after {
		return lossMark{}
	}
	lost := l.merged
	if len(sel.Patterns) == 0 {
		for _, topic := range topicsOf(sel) {
			lost = newer(lost, l.marks[topic])
		}
	} else {
		matches := matcher.New(sel)
		for topic, p := range l.marks {
			if p.seq > lost.seq && p.seq > after && matches(topic) {
				lost = p
			}
		}
	}
	if lost.seq <= after {
		return lossMark{}
	}
	return lost
}

// anyAfter reports whether an entry after a number may have been removed.
func (l *losses) anyAfter(seq uint64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.newest > seq
}

// topicsOf returns the topics that are selected by name.
func topicsOf(sel *sse.Selection) []string {
	if len(sel.Topics) == 0 && len(sel.Patterns) == 0 {
		return []string{""}
	}
	return sel.Topics
}

// add sets marks of topics. If there are too many, it merges the older half: only a
// subscriber that has been away for so long may learn of a loss that is not its own.
func (l *losses) add(removed map[string]lossMark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, mark := range removed {
		mark = newer(l.marks[topic], mark)
		l.marks[strings.Clone(topic)] = mark
		l.newest = max(l.newest, mark.seq)
	}
	if len(l.marks) <= l.limit {
		return
	}
	all := make([]uint64, 0, len(l.marks))
	for _, mark := range l.marks {
		all = append(all, mark.seq)
	}
	slices.SortFunc(all, cmp.Compare[uint64])
	through := all[len(all)-1-l.limit/2]
	for topic, mark := range l.marks {
		if mark.seq <= through {
			l.merged = newer(l.merged, mark)
			delete(l.marks, topic)
		}
	}
}

// addForAll sets the merged mark.
func (l *losses) addForAll(mark lossMark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.merged = newer(l.merged, mark)
	l.newest = max(l.newest, mark.seq)
}
