package sse

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/trie"
)

// maxSummarized limits how many nodes of topicTree the window looks at to find the loss
// mark of a selection.
const maxSummarized = 4096

// topicState returns the state of a topic. It adds the topic if it is new.
func (w *window) topicState(name string) *topicState {
	t := w.topics[name]
	if t == nil {
		name = strings.Clone(name) // it may be a part of a large request
		t = &topicState{name: name, memory: memoryOf(name), patternVersion: w.patternVersion - 1}
		t.lost = w.lossFloor
		t.nameList[0], t.topicList[0], t.chain.topic = name, t, t
		for i := range w.rules {
			if w.rules[i].Pattern.Match(name) {
				t.rule = &w.rules[i]
				break
			}
		}
		w.topics[name] = t
		t.node = w.topicTree.Add(name, t)
	}
	return t
}

// memoryOf returns about how much memory the topic with a name takes: its state, its
// name, and a node of topicTree for each segment.
func memoryOf(name string) int64 {
	const state, node = 460, 300
	return int64(state + len(name) + node*(1+strings.Count(name, "/")))
}

// charge counts the memory of a topic that has entries.
func (w *window) charge(t *topicState) {
	if !t.charged {
		t.charged = true
		w.overhead += t.memory
		w.usedTopics++
	}
}

// discharge undoes charge if the topic has no entries any more.
func (w *window) discharge(t *topicState) {
	if t.charged && len(t.items) == 0 {
		t.charged = false
		w.overhead -= t.memory
		w.usedTopics--
	}
}

// applyRule removes the entries that exceed the topic's own limits. An entry with
// several topics stays until none of them retains it.
func (w *window) applyRule(t *topicState, now time.Time) {
	rule := t.rule
	if rule == nil {
		return
	}
	oldest := int64(0)
	if rule.Age > 0 {
		oldest = now.Add(-rule.Age).UnixNano()
	}
	for t.retainedEvents > 0 {
		e := t.oldestRetained()
		if e.time >= oldest && (t.retainedEvents == 1 ||
			(rule.Events <= 0 || t.retainedEvents <= rule.Events) &&
				(rule.Bytes <= 0 || t.retainedBytes <= rule.Bytes)) {
			break
		}
		t.release(e)
		t.retainedAfter = e.seq
		if e.retainedBy--; e.retainedBy == 0 {
			w.remove(e)
		}
	}
	w.aging.update(t)
}

// removeIfUnused removes a topic that has neither entries nor subscribers. If it
// has a loss mark, it is removed only when there are more than maxUnusedTopics
// such topics, or they take more than maxUnusedBytes.
func (w *window) removeIfUnused(t *topicState) {
	if len(t.items) > 0 || len(t.members) > 0 || t.listedUnused {
		return
	}
	if t.lost.seq <= w.lossFloor.seq {
		w.lossFloor.raise(t.lost) // its time may be later
		w.removeTopic(t)
		return
	}
	t.listedUnused = true
	w.unusedTopics = append(w.unusedTopics, t)
	w.unusedBytes += t.memory
	for len(w.unusedTopics) > maxUnusedTopics || w.unusedBytes > maxUnusedBytes {
		oldest := w.unusedTopics[0]
		w.unusedTopics[0] = nil
		w.unusedTopics = w.unusedTopics[1:]
		w.unusedBytes -= oldest.memory
		oldest.listedUnused = false
		if len(oldest.items) == 0 && len(oldest.members) == 0 {
			w.lossFloor.raise(oldest.lost)
			w.removeTopic(oldest)
		}
	}
}

// removeTopic removes a topic.
func (w *window) removeTopic(t *topicState) {
	if w.topics[t.name] != t {
		return // it belongs to an earlier window
	}
	delete(w.topics, t.name)
	w.topicTree.Remove(t.name)
}

// topicStates returns the states of topics by their names. For a topic that the
// window does not have, the state is new and not stored.
func (w *window) topicStates(names []string) []*topicState {
	topics := make([]*topicState, len(names))
	for i, name := range names {
		if topics[i] = w.topics[name]; topics[i] == nil {
			topics[i] = &topicState{name: name}
		}
	}
	return topics
}

// lostOf returns the newest loss mark of a selection: up to this mark, entries that it
// selects may have been lost.
func (w *window) lostOf(sel *Selection) lossMark {
	var newest lossMark
	for _, name := range sel.topicNames() {
		if t := w.topics[name]; t != nil {
			newest.raise(t.lost)
		} else {
			newest.raise(w.lossFloor)
		}
	}
	if len(sel.Patterns) > 0 {
		newest.raise(w.lossFloor)
	}
	visits := maxSummarized
	for _, p := range sel.Patterns {
		newest.raise(w.lostOfPattern(p, &visits))
	}
	return newest
}

// lostOfPattern returns the newest loss mark of the topics that a pattern selects. It
// subtracts the nodes that it looks at from visits. If "*" precedes another segment of
// the pattern, and stands for more than visits segments, the loss mark may be the mark of
// another topic.
func (w *window) lostOfPattern(p Pattern, visits *int) lossMark {
	var newest lossMark
	w.topicTree.Summarize(p.text, visits,
		func(t *topicState) { newest.raise(t.lost) },
		func(m *lossMark) { newest.raise(*m) })
	return newest
}

// markLost records that a chain has lost an entry.
func (w *window) markLost(c *chain, e *entry) {
	c.lost.raise(e.lossMark())
	if c.topic != nil {
		c.topic.node.Update(func(m *lossMark) { m.raise(e.lossMark()) })
	}
}

// patternChain returns the chain of a pattern. If it is new, it has no entries yet.
func (w *window) patternChain(p Pattern) *chain {
	c := w.patternTree.Find(p.text)
	if c == nil {
		c = &chain{pattern: p, from: w.last.Seq}
		w.patternTree.Add(p.text, c)
		w.patternCount++
		w.patternVersion++
	}
	return c
}

// extendBack extends the chains of patterns back to a sequence, with exactly the
// entries that a new subscriber receives. The cost of all chains together grows with
// the number of entries in between, or with the number of topics that the patterns
// select if this is small.
func (w *window) extendBack(chains []*chain, seq uint64) {
	visits, summarized, through := w.maxSelected, maxSummarized, uint64(0)
	var searched []*chain // chains for which the entries in between are searched
	for _, c := range chains {
		if seq >= c.from {
			continue
		}
		// Entries after seq that were removed before the chain had them.
		c.lost.raise(w.lostOfPattern(c.pattern, &summarized))
		topics := w.selected[:0]
		few := appendSelected(&topics, w, c.pattern, visits)
		w.selected = topics
		if !few {
			searched = append(searched, c)
			through = max(through, c.from)
			continue
		}
		visits -= len(topics)
		var items []chainItem
		w.merge.start(topics, seq)
		for e := w.merge.next(); e != nil && e.seq <= c.from; e = w.merge.next() {
			items = append(items, chainItem{entry: e})
		}
		w.prepend(c, items, seq)
	}
	if len(searched) > 0 {
		w.extendBySearch(searched, seq, through)
	}
}

// extendBySearch is extendBack for chains whose patterns may select many topics. It
// looks at each entry after seq, up to and including through.
func (w *window) extendBySearch(chains []*chain, seq, through uint64) {
	var tree trie.Trie[chain, struct{}]
	for _, c := range chains {
		tree.Add(c.pattern.text, c)
	}
	items := make(map[*chain][]chainItem, len(chains))
	var matching []*chain
	for _, e := range w.entriesBetween(seq, through) {
		if e.removed {
			continue
		}
		w.lookups++
		for _, t := range e.topics {
			matching = tree.AppendMatching(matching[:0], t.name)
			for _, c := range matching {
				if e.seq <= c.from && c.lookup != w.lookups {
					c.lookup = w.lookups
					items[c] = append(items[c], chainItem{entry: e})
				}
			}
		}
	}
	for _, c := range chains {
		if seq < c.from { // a pattern that is selected twice is extended once
			w.prepend(c, items[c], seq)
		}
	}
}

// prepend adds all entries after seq, up to and including c.from, to the chain of a
// pattern.
func (w *window) prepend(c *chain, items []chainItem, seq uint64) {
	c.from = seq
	if len(items) == 0 {
		return
	}
	w.overhead += int64(len(items)) * c.itemOverhead()
	c.items, c.first = append(items, c.items[c.first:]...), 0
	c.compact() // sets cumBytes
}

// removePattern removes the chain of a pattern that has no more members.
func (w *window) removePattern(c *chain) {
	if w.patternTree.Find(c.pattern.text) != c {
		return // it belongs to an earlier window
	}
	w.patternTree.Remove(c.pattern.text)
	w.patternCount--
	w.patternVersion++
	w.overhead -= int64(len(c.items)-c.first-c.removedItems) * c.itemOverhead()
	// Topics update patternChains only when they receive an event. Until then they
	// refer to this chain, which must not keep removed entries in memory.
	c.items, c.first, c.removedItems = nil, 0, 0
}

// remove removes an entry: the oldest entry, an entry that no topic retains, or an
// entry for Broker.Forget.
func (w *window) remove(e *entry) {
	e.removed = true
	w.live--
	w.bytes -= int64(len(e.framed))
	w.overhead -= e.overhead()
	if e.ownID {
		w.removeID(e)
	}
	if i, ok := slices.BinarySearchFunc(w.heavy, e.seq, func(e *entry, seq uint64) int {
		return cmp.Compare(e.seq, seq)
	}); ok && i == 0 { // the usual case, even with many heavy entries
		w.heavy[0] = nil
		w.heavy = w.heavy[1:]
	} else if ok {
		w.heavy = slices.Delete(w.heavy, i, i+1)
	}
	var stone *entry
	if w.entries[w.first] != e {
		stone = w.tombstone(e)
	}
	for _, c := range w.chainsOf(e) {
		if stone != nil {
			c.replace(stone)
		}
		c.noteRemoved()
		w.overhead -= c.itemOverhead()
		if !w.lossless {
			w.markLost(c, e)
		}
	}
	for _, t := range e.topics {
		if e.seq > t.retainedAfter {
			t.release(e)
			w.aging.update(t)
		}
		w.discharge(t)
		w.removeIfUnused(t)
	}
	for w.first < len(w.entries) && w.entries[w.first].removed {
		if e := w.entries[w.first]; w.lossless {
			w.baseTime = max(w.baseTime, e.time)
			if e.seq > w.base.Seq {
				w.base = e.position(w.epoch)
			}
		}
		w.entries[w.first] = nil
		w.first++
	}
	if removed := len(w.entries) - w.live; removed > 1024 && removed > len(w.entries)/2 {
		w.entries = slices.DeleteFunc(w.entries, func(e *entry) bool { return e == nil || e.removed })
		w.first = 0
	}
}

// tombstone replaces an entry that is removed from the middle of the window by an entry
// without an event and topics. The field entries and the chains need the sequence until
// they are compacted, but must not retain the memory of e for so long.
func (w *window) tombstone(e *entry) *entry {
	stone := &entry{seq: e.seq, time: e.time, check: e.check, removed: true}
	w.entriesBetween(e.seq-1, e.seq)[0] = stone
	return stone
}
