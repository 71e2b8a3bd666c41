package sse

import (
	"sort"

	"github.com/sse-go/sse/internal/trie"
)

// chainItem is an entry in a chain.
type chainItem struct {
	*entry
	cumBytes int64 // bytes of the items up to and including this one; only differences matter
}

// chain has the entries of the window that one topic or one pattern selects, in
// order, and the subscribers to it.
//
//	items   │ removed │ e₁ │ e₂ │ removed │ e₃ │
//	        0         first                    len(items)
//
// Invariants: 0 ≤ first ≤ len(items); the sequences grow strictly; items[first],
// if there is one, was not removed. removedItems counts the removed items after first.
// Readers skip these items.
type chain struct {
	items        []chainItem
	first        int      // index of the first item that was not removed
	removedItems int      // number of removed items after first
	cumBytes     int64    // cumBytes of the newest item
	lost         lossMark // newest lost entry; losses of a pattern up to from may be missing

	topic   *topicState // the topic, or nil for a chain of a pattern
	pattern Pattern     // the pattern, if topic is nil
	from    uint64      // for a pattern: items has its entries after this sequence
	lookup  uint64      // window.lookups of the last search that found it
	members []member
	dirty   bool // in state.dirtyChains: the members must be woken
}

// itemOverhead returns the number of bytes that an item of the chain adds to
// window.overhead. It is 0 for the chain of a topic, because entry.overhead includes
// the items in the chains of topics.
func (c *chain) itemOverhead() int64 {
	if c.topic != nil {
		return 0
	}
	return 16
}

// push appends an entry.
func (c *chain) push(e *entry) {
	c.cumBytes += int64(len(e.framed))
	c.items = append(c.items, chainItem{e, c.cumBytes})
}

// last returns the newest entry, or nil.
func (c *chain) last() *entry {
	for i := len(c.items) - 1; i >= c.first; i-- {
		if e := c.items[i].entry; !e.removed {
			return e
		}
	}
	return nil
}

// indexAfter returns the index of the first item after a sequence. It searches
// from the end, because most callers ask for a sequence near the end.
func (c *chain) indexAfter(seq uint64) int {
	n := len(c.items)
	step := 1
	for n-step >= c.first && c.items[n-step].seq > seq {
		n -= step
		step *= 2
	}
	// The index is in [low, n].
	low := max(c.first, n-step+1)
	if low >= n {
		return n
	}
	return low + sort.Search(n-low, func(i int) bool { return c.items[low+i].seq > seq })
}

// countAfter returns the number of entries after a sequence, and their bytes. It
// also counts removed entries that are not at the front of the chain.
func (c *chain) countAfter(seq uint64) (events int, bytes int64) {
	i := c.indexAfter(seq)
	if i == len(c.items) {
		return 0, 0
	}
	first := &c.items[i]
	return len(c.items) - i, c.cumBytes - first.cumBytes + int64(len(first.framed))
}

// size returns the bytes of the entries. It counts as countAfter does.
func (c *chain) size() int64 {
	if c.first == len(c.items) {
		return 0
	}
	first := &c.items[c.first]
	return c.cumBytes - first.cumBytes + int64(len(first.framed))
}

// replace replaces the entry that has the sequence of stone.
func (c *chain) replace(stone *entry) {
	if i := c.indexAfter(stone.seq - 1); i < len(c.items) && c.items[i].seq == stone.seq {
		c.items[i].entry = stone
	}
}

// noteRemoved updates the chain after one of its entries was removed.
func (c *chain) noteRemoved() {
	c.removedItems++
	for c.first < len(c.items) && c.items[c.first].removed {
		c.items[c.first] = chainItem{}
		c.first++
		c.removedItems--
	}
	switch {
	case c.first == len(c.items):
		c.items, c.first = nil, 0
	case c.first > 32 && c.first > len(c.items)/2:
		c.compact()
	case c.removedItems > 32 && c.removedItems > len(c.items)/2:
		c.compact()
	}
}

// compact removes the removed items, frees their room, and computes cumBytes. No loop
// over the items may be running.
func (c *chain) compact() {
	n := 0
	c.cumBytes = 0
	for _, it := range c.items[c.first:] {
		if !it.removed {
			c.cumBytes += int64(len(it.framed))
			c.items[n] = chainItem{it.entry, c.cumBytes}
			n++
		}
	}
	clear(c.items[n:])
	c.items, c.first, c.removedItems = c.items[:n], 0, 0
	if cap(c.items) > 4*n && cap(c.items) > 64 {
		c.items = append(make([]chainItem, 0, 2*n), c.items...)
	}
}

// topicState is the state of a topic: its chain, and the entries that its rule
// retains.
type topicState struct {
	chain
	name           string
	memory         int64                            // see memoryOf
	node           *trie.Trie[topicState, lossMark] // in window.topicTree
	nameList       [1]string                        // name, for entries with only this topic
	topicList      [1]*topicState                   // this state, for entries with only this topic
	patternChains  []*chain                         // chains of the patterns that select the topic
	patternVersion uint64                           // window.patternVersion of patternChains
	listedUnused   bool                             // in window.unusedTopics
	charged        bool                             // counted by window.charge

	rule           *TopicRetention // the rule for this topic, or nil
	retainedAfter  uint64          // the rule retains the entries after this sequence
	retainedEvents int             // number of these entries
	retainedBytes  int64           // bytes of these entries

	tooOldAt   int64 // when the oldest of them is too old, in ns since 1970
	agingIndex int   // index in window.aging plus 1, or 0
}

// oldestRetained returns the oldest entry that a topic's rule retains. There must be
// one.
func (t *topicState) oldestRetained() *entry {
	i := t.indexAfter(t.retainedAfter)
	for t.items[i].removed { // by Broker.Forget, for another topic of the entry
		i++
	}
	return t.items[i].entry
}

// release makes a topic's rule no longer retain e.
func (t *topicState) release(e *entry) {
	t.retainedEvents--
	t.retainedBytes -= int64(len(e.framed))
}
