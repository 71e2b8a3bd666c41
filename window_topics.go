package sse

import (
	"slices"
	"strings"
	"time"
)

// topicState returns the state of a topic. It adds the topic if it is new.
func (w *window) topicState(name string) *topicState {
	t := w.topics[name]
	if t == nil {
		name = strings.Clone(name) // it may be a part of a large request
		t = &topicState{name: name, patternVersion: w.patternVersion - 1}
		t.nameList[0], t.topicList[0], t.chain.topic = name, t, t
		for i := range w.rules {
			if w.rules[i].Pattern.Match(name) {
				t.rule = &w.rules[i]
				break
			}
		}
		w.topics[name] = t
		w.topicTree.Add(name, t)
	}
	return t
}

// size returns about how much memory a topic takes: its state, its name, and a
// node of topicTree for each segment.
func (t *topicState) size() int64 {
	const state, node = 400, 300
	return int64(state + len(t.name) + node*(1+strings.Count(t.name, "/")))
}

// charge counts the memory of a topic that has entries.
func (w *window) charge(t *topicState) {
	if !t.charged {
		t.charged = true
		w.overhead += t.size()
		w.usedTopics++
	}
}

// discharge undoes charge if the topic has no entries any more.
func (w *window) discharge(t *topicState) {
	if t.charged && len(t.items) == 0 {
		t.charged = false
		w.overhead -= t.size()
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
		e := t.items[t.indexAfter(t.retainedAfter)].entry
		if e.time >= oldest && (t.retainedEvents == 1 ||
			(rule.Events <= 0 || t.retainedEvents <= rule.Events) &&
				(rule.Bytes <= 0 || t.retainedBytes <= rule.Bytes)) {
			return
		}
		t.releaseOldest(e)
		if e.retainedBy--; e.retainedBy == 0 {
			w.remove(e)
		}
	}
}

// releaseOldest makes a topic no longer retain e, the oldest entry that it
// retains.
func (t *topicState) releaseOldest(e *entry) {
	t.retainedAfter = e.seq
	t.retainedEvents--
	t.retainedBytes -= int64(len(e.framed))
}

// removeIfUnused removes a topic that has neither entries nor subscribers. If it
// has a loss mark, it is removed only when there are more than maxUnusedTopics
// such topics, or they take more than maxUnusedBytes.
func (w *window) removeIfUnused(t *topicState) {
	if len(t.items) > 0 || len(t.members) > 0 || t.listedUnused {
		return
	}
	if t.lost.seq <= w.lossFloor.seq {
		w.removeTopic(t)
		return
	}
	t.listedUnused = true
	w.unusedTopics = append(w.unusedTopics, t)
	w.unusedBytes += t.size()
	for len(w.unusedTopics) > maxUnusedTopics || w.unusedBytes > maxUnusedBytes {
		oldest := w.unusedTopics[0]
		w.unusedTopics[0] = nil
		w.unusedTopics = w.unusedTopics[1:]
		w.unusedBytes -= oldest.size()
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

// patternChain returns the chain of a pattern, with all its entries after a
// sequence.
func (w *window) patternChain(p Pattern, seq uint64) *chain {
	c := w.patternTree.Find(p.text)
	if c == nil {
		c = &chain{pattern: p, from: w.last.Seq}
		w.patternTree.Add(p.text, c)
		w.patternVersion++
	}
	if seq < c.from {
		w.extendBack(c, seq)
	}
	return c
}

// extendBack extends the chain of a pattern back to a sequence, with exactly the
// entries that a new subscriber receives. The cost grows with the number of topics
// that the pattern selects or the number of entries in between, whichever is less.
func (w *window) extendBack(c *chain, seq uint64) {
	entries := w.entriesBetween(seq, c.from)
	topics, all := w.topicChains(c.pattern, len(entries))
	if w.newestLoss.seq > seq {
		// Entries after seq that were removed before the chain had them.
		w.topicTree.Select(c.pattern.text, func(t *topicState) bool {
			c.lost.raise(t.lost)
			return true
		})
	}
	var items []chainItem
	cum := int64(0)
	add := func(e *entry) {
		cum += int64(len(e.framed))
		items = append(items, chainItem{e, cum})
	}
	if all {
		w.merge.start(topics, seq)
		for e := w.merge.next(); e != nil && e.seq <= c.from; e = w.merge.next() {
			add(e)
		}
	} else {
		for _, e := range entries {
			if !e.removed && slices.ContainsFunc(e.topics, c.selects) {
				add(e)
			}
		}
	}
	c.from = seq
	if len(items) == 0 {
		return
	}
	// Only differences of cumBytes matter, so the values of the old items are
	// raised.
	for _, it := range c.items[c.first:] {
		it.cumBytes += cum
		items = append(items, it)
	}
	c.items, c.first = items, 0
	c.cumBytes += cum
}

// topicChains returns the chains of the topics that a pattern selects. If there
// are more than limit, all is false.
func (w *window) topicChains(p Pattern, limit int) (chains []*chain, all bool) {
	all = w.topicTree.Select(p.text, func(t *topicState) bool {
		if len(chains) == limit {
			return false
		}
		chains = append(chains, &t.chain)
		return true
	})
	return chains, all
}

// removePattern removes the chain of a pattern that has no more members.
func (w *window) removePattern(c *chain) {
	if w.patternTree.Find(c.pattern.text) != c {
		return // it belongs to an earlier window
	}
	w.patternTree.Remove(c.pattern.text)
	w.patternVersion++
	// Topics update patternChains only when they receive an event. Until then they
	// refer to this chain, which must not keep removed entries in memory.
	c.items, c.first, c.removedItems = nil, 0, 0
}

// chainsOfSelection returns the chains of all topics that a selection matches. It
// first removes the entries that have become too old.
func (w *window) chainsOfSelection(sel *Selection, now time.Time) []*chain {
	var topics []*topicState
	for _, name := range sel.topicNames() {
		if t := w.topics[name]; t != nil {
			topics = append(topics, t)
		}
	}
	for _, p := range sel.Patterns {
		w.topicTree.Select(p.text, func(t *topicState) bool {
			topics = append(topics, t)
			return true
		})
	}
	w.expire(now, topics)
	chains := make([]*chain, len(topics))
	for i, t := range topics {
		chains[i] = &t.chain
	}
	return chains
}
