package sse

import (
	"crypto/rand"
	"runtime"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/trie"
)

const (
	defaultRetainedEvents = 16 << 10
	defaultRetainedBytes  = 64 << 20
	maxUnusedTopics       = 16 << 10

	// maxUnusedBytes limits the memory of the topics that have only a loss mark (see
	// lossMark).
	maxUnusedBytes = 16 << 20

	// The limit of window.overhead is Retention.Bytes, but at least minOverhead.
	minOverhead = 1 << 20

	// maxAllTopics is the value of two limits. The window removes its oldest entries
	// until at most maxAllTopics topics have entries (see fits). A subscriber is
	// refused if, with the topics and patterns of its selection, window.topics and
	// patternTree together would have more than maxAllTopics items (see
	// checkTopicCount).
	maxAllTopics = 1_000_000

	// heavyShare is the number of entries that together may have all of the overhead, or
	// all of the topics (see isHeavy). It is the default of Selection.MaxLag.
	heavyShare = 4 << 10

	// maxSelected limits how many topics the window looks up for the patterns of a
	// selection. If the patterns select more topics, the window searches its entries
	// instead. Either way, the cost does not grow with the topics that have no such entry.
	maxSelected = 256

	// maxCachedPatterns limits the patterns that each topic has in its patternChains.
	// For a topic with more patterns, patternsOf searches them each time.
	maxCachedPatterns = 64
)

// window is the recent part of the log, in memory. Without a log, an entry that is
// removed from the window is lost. mu guards the window.
//
//	base │ e₁  e₂  removed  e₃ │ last
//
// Invariants: the sequences of entries grow strictly, and e₃ ≤ last. Every entry
// after base that was not removed is in entries. It is also in the chain of each
// of its topics and, if it is after chain.from, in the chain of each pattern in
// patternTree that selects one of its topics.
type window struct {
	mu       sync.Locker // state.mu; views release it between slices; nil if there is no lock
	epoch    uint64
	key      [16]byte // see check; not used with a log
	last     Position // of the newest entry, even if it was removed
	lastTime int64    // latest Time of an entry, in nanoseconds since 1970
	setBack  uint64   // sequence of the newest entry with an earlier Time than an entry before it
	entries  []*entry
	first    int   // entries before it are nil
	bytes    int64 // sum of len(framed) of all entries that were not removed
	live     int   // number of entries that were not removed

	// overhead estimates the memory that is not counted in the field bytes: of the
	// entries, of the topics that have entries, and of the items in the chains of
	// patterns. usedTopics is the number of topics that have entries.
	overhead   int64
	usedTopics int
	heavy      []*entry // the heavy entries (see isHeavy), oldest first; empty with a log

	topics         map[string]*topicState
	topicTree      trie.Trie[topicState, lossMark] // of all topics, by name
	patternTree    trie.Trie[chain, struct{}]      // of all patterns with subscribers, by text
	patternCount   int                             // number of patterns in patternTree
	patternVersion uint64                          // changes whenever patternTree does
	entriesByID    map[string][]*entry             // by the application's IDs, oldest first

	limits Retention        // of all entries
	rules  []TopicRetention // of single topics

	// lossless is true if there is a log. Then an entry is lost only by
	// Broker.Forget, because the log has the entries that the window removes.
	lossless bool

	// base is the position at which the window begins. With a log, base moves
	// forward, and the log has every entry up to base. Without a log, base does
	// not move. With a log, baseTime is the latest Time of the entries that the
	// window has removed, in nanoseconds since 1970.
	base     Position
	baseTime int64

	// lossFloor is the loss mark of each topic that is not in the field topics, and
	// applies to every pattern. To save memory, the window removes topics without events.
	// It then raises lossFloor to the loss mark of the topic. A topic that is added later
	// begins with lossFloor as its loss mark.
	lossFloor    lossMark
	unusedTopics []*topicState // topics that have only a loss mark, oldest first
	unusedBytes  int64         // memory of unusedTopics

	aging agingTopics // the topics whose rule has an age, and that have entries

	lookups uint64 // number of calls of chainsOf and topicList

	maxSelected int // the constant, or a smaller number in tests

	merge    merger   // reused by every merge
	chains   []*chain // reused by chainsOf
	matching []*chain // reused by patternsOf

	// selected is reused by subscriber.chains and extendBack. It is not the same slice
	// as chains, because a loop over chainsOf may call subscriber.chains.
	selected []*chain
}

func newWindow(limits Retention, rules []TopicRetention) window {
	if limits.Events == 0 {
		limits.Events = defaultRetainedEvents
	}
	if limits.Bytes == 0 {
		limits.Bytes = defaultRetainedBytes
	}
	w := window{
		topics:      make(map[string]*topicState),
		entriesByID: make(map[string][]*entry),
		limits:      limits,
		rules:       rules,
		maxSelected: maxSelected,
	}
	_, _ = rand.Read(w.key[:]) // never returns an error
	return w
}

// begin sets the position at which an empty window begins.
func (w *window) begin(p Position) {
	w.epoch, w.last, w.base = p.Epoch, p, p
}

// publish completes a draft and appends it.
func (w *window) publish(d *draft, topics []string, now time.Time) *entry {
	at := max(now.UnixNano(), w.lastTime)
	seq := w.last.Seq + 1
	e := d.entry(Position{w.epoch, seq, w.check(seq, at)}, at)
	w.append(e, topics)
	return e
}

// check returns the check of an entry. It need not depend on the event, because the
// window uses no sequence twice.
func (w *window) check(seq uint64, unixNano int64) uint32 {
	return keyedCheck(&w.key, seq, unixNano, 0)
}

// append adds an entry, which must come after all other entries, and removes the
// entries that exceed the limits. The newest entry stays even if it exceeds the
// limits of number and size, because no subscriber would receive it otherwise.
func (w *window) append(e *entry, topics []string) {
	if e.time < w.lastTime { // the clock was set back
		w.setBack = e.seq
	}
	w.last, w.lastTime = e.position(w.epoch), max(w.lastTime, e.time)
	e.topics = w.topicList(topics)
	e.retainedBy = int32(len(e.topics))
	w.entries = append(w.entries, e)
	w.bytes += int64(len(e.framed))
	w.overhead += e.overhead()
	w.live++
	if e.ownID {
		id := e.id()
		w.entriesByID[id] = append(w.entriesByID[id], e)
	}
	for _, c := range w.chainsOf(e) {
		c.push(e)
		w.overhead += c.itemOverhead()
	}
	for _, t := range e.topics {
		w.charge(t)
		t.retainedEvents++
		t.retainedBytes += int64(len(e.framed))
	}
	if !w.lossless && w.isHeavy(e) {
		w.heavy = append(w.heavy, e)
	}
	now := time.Unix(0, w.lastTime)
	w.expire(now)
	for _, t := range e.topics {
		w.applyRule(t, now)
	}
}

// topicList returns the states of the topics of an entry, without duplicates.
func (w *window) topicList(names []string) []*topicState {
	if len(names) == 1 {
		return w.topicState(names[0]).topicList[:]
	}
	w.lookups++
	list := make([]*topicState, 0, len(names))
	for _, name := range names {
		if t := w.topicState(name); t.lookup != w.lookups {
			t.lookup = w.lookups
			list = append(list, t)
		}
	}
	return list
}

// chainsOf returns the chains that contain an entry, without duplicates. The next
// call reuses the slice.
func (w *window) chainsOf(e *entry) []*chain {
	chains := w.chains[:0]
	w.lookups++
	for _, t := range e.topics {
		chains = append(chains, &t.chain)
		for _, c := range w.patternsOf(t) {
			if c.from < e.seq && c.lookup != w.lookups {
				c.lookup = w.lookups
				chains = append(chains, c)
			}
		}
	}
	w.chains = chains
	return chains
}

// patternsOf returns the chains of the patterns that select a topic. The next call
// reuses the slice.
func (w *window) patternsOf(t *topicState) []*chain {
	if t.patternVersion == w.patternVersion {
		return t.patternChains
	}
	w.matching = w.patternTree.AppendMatching(w.matching[:0], t.name)
	if len(w.matching) <= maxCachedPatterns {
		t.patternChains = append(t.patternChains[:0], w.matching...)
		t.patternVersion = w.patternVersion
	} else {
		t.patternChains = nil
	}
	return w.matching
}

// expire removes the entries that have become too old: by the limits for all topics,
// and by the rules of some topics. Call it before entries of the window are read,
// counted or delivered, because no timer removes entries.
func (w *window) expire(now time.Time) {
	w.trim(now)
	for len(w.aging) > 0 && w.aging[0].tooOldAt < now.UnixNano() {
		w.applyRule(w.aging[0], now)
	}
}

// removeID removes an entry from entriesByID.
func (w *window) removeID(e *entry) {
	id := e.id()
	rest := w.entriesByID[id]
	if rest[0] == e { // the usual case, even with many entries
		rest[0] = nil
		rest = rest[1:]
	} else {
		rest = slices.DeleteFunc(rest, func(other *entry) bool { return other == e })
	}
	if len(rest) == 0 {
		delete(w.entriesByID, id)
	} else {
		w.entriesByID[id] = rest
	}
}

// entriesBetween returns the entries whose sequence is greater than after and at most
// through. Some of them may have been removed.
func (w *window) entriesBetween(after, through uint64) []*entry {
	entries := w.entries[w.first:]
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > after })
	n := sort.Search(len(entries), func(i int) bool { return entries[i].seq > through })
	return entries[i:max(i, n)]
}

// page appends to dst the entries of the chains whose sequence is greater than after
// and at most through. It appends at most limit bytes, but at least one entry if there
// is any. It returns true if there are more of these entries.
func (w *window) page(dst []*entry, chains []*chain, after, through uint64, limit int) (
	[]*entry, bool) {
	size := 0
	add := func(e *entry) bool {
		if size > 0 && size+len(e.framed) > limit {
			return false
		}
		size += len(e.framed)
		dst = append(dst, e)
		return true
	}
	if len(chains) == 1 {
		c := chains[0]
		for _, it := range c.items[c.indexAfter(after):] {
			switch {
			case it.seq > through:
				return dst, false
			case !it.removed && !add(it.entry):
				return dst, true
			}
		}
		return dst, false
	}
	w.merge.start(chains, after)
	for e := w.merge.next(); e != nil && e.seq <= through; e = w.merge.next() {
		if !add(e) {
			return dst, true
		}
	}
	return dst, false
}

// newestUpTo returns the newest of entries whose sequence is at most seq, or nil. The
// entry may have been removed.
func (w *window) newestUpTo(seq uint64) *entry {
	entries := w.entries[w.first:]
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > seq })
	if i == 0 {
		return nil
	}
	return entries[i-1]
}

// positionAt returns the position with a sequence. If the window does not know
// the check of this position, Check is zero.
func (w *window) positionAt(seq uint64) Position {
	for _, p := range [...]Position{w.last, w.base} {
		if p.Seq == seq {
			return p
		}
	}
	if e := w.newestUpTo(seq); e != nil && e.seq == seq {
		return e.position(w.epoch)
	}
	return Position{Epoch: w.epoch, Seq: seq}
}

// positionBefore returns the position right before an entry.
func (w *window) positionBefore(e *entry) Position {
	if p := w.newestUpTo(e.seq - 1); p != nil {
		return p.position(w.epoch)
	}
	if w.base.Seq > 0 {
		return w.base
	}
	return w.positionAt(e.seq - 1)
}

// trim removes the entries that exceed the limits for all topics: the oldest entries, or
// the oldest heavy entries if overhead or usedTopics is above its limit. Otherwise a few
// heavy entries would displace thousands of others that a subscriber may not have
// received yet. The newest entry stays.
func (w *window) trim(now time.Time) {
	oldest := int64(0)
	if w.limits.Age > 0 {
		oldest = now.Add(-w.limits.Age).UnixNano()
	}
	for w.first < len(w.entries) {
		e := w.entries[w.first]
		switch {
		case e.time < oldest:
		case w.live == 1:
			return
		case w.limits.Events >= 0 && w.live > w.limits.Events,
			w.limits.Bytes >= 0 && w.bytes > w.limits.Bytes:
		default:
			if e = w.excess(e); e == nil {
				return
			}
		}
		w.remove(e)
	}
}

// excess returns the entry to remove next because of the limits of overhead and
// usedTopics, or nil. oldest is the oldest entry.
func (w *window) excess(oldest *entry) *entry {
	overhead, topics := w.overhead, w.usedTopics
	fits := func() bool {
		return topics <= maxAllTopics && (w.limits.Bytes < 0 || overhead <= w.maxOverhead())
	}
	switch {
	case fits():
		return nil
	case len(w.heavy) == 0:
		return oldest
	case w.heavy[0].seq != w.last.Seq:
		return w.heavy[0]
	}
	// The newest entry is the only heavy one, and stays. To remove other entries would not
	// compensate for it.
	overhead -= w.weight(w.heavy[0])
	topics -= len(w.heavy[0].topics)
	if fits() {
		return nil
	}
	return oldest
}

// maxOverhead returns the limit of overhead if Bytes is limited.
func (w *window) maxOverhead() int64 { return max(w.limits.Bytes, minOverhead) }

// weight returns about how much overhead an entry causes, if no other entry has its
// topics.
func (w *window) weight(e *entry) int64 {
	n := e.overhead()
	for _, t := range e.topics {
		n += t.memory
	}
	return n
}

// isHeavy reports whether an entry is heavy: whether heavyShare entries of its weight
// exceed the limit of overhead or usedTopics. So heavy entries cannot displace an entry
// that is not heavy, as long as a subscriber may receive that entry without exceeding the
// default of Selection.MaxLag.
func (w *window) isHeavy(e *entry) bool {
	return len(e.topics) > maxAllTopics/heavyShare ||
		w.limits.Bytes >= 0 && w.weight(e) > w.maxOverhead()/heavyShare
}

// unlocked runs work while the lock of the window is not held. Then it lets goroutines run
// that wait for a processor, because the caller does much work.
func (w *window) unlocked(work func()) {
	if w.mu == nil {
		work()
		return
	}
	w.mu.Unlock()
	work()
	runtime.Gosched()
	w.mu.Lock()
}
