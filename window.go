package sse

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sort"
	"time"
)

// Retention is how much is kept. What exceeds any of the limits goes, the oldest
// first.
type Retention struct {
	// Pattern is which topics a retention in [Broker.TopicRetention] is for.
	Pattern Pattern

	// Events is how many are kept. If zero, 16384 in all, and any number of one
	// topic. If negative, there is no limit.
	Events int

	// Bytes is how many they may have on the wire. If zero, 64 MiB in all, and any
	// number of one topic. If negative, there is no limit.
	Bytes int64

	// Age is for how long they are kept. If zero, there is no limit.
	Age time.Duration
}

const (
	defaultRetainedEvents = 16 << 10
	defaultRetainedBytes  = 64 << 20
	maxTopics             = 1 << 10 // of an event, and of a selection
	maxVacant             = 16 << 10
)

// window is the recent part of the log, in memory. Without a log under it, it is
// all there is, and what leaves it is lost. It has no lock of its own.
//
//	base │ e₁  e₂  gone  e₃ │ last
//
// Invariants: entries grow in sequence, e₃ ≤ last. All entries after base that are
// not gone are here. Every entry that is not gone is in the chains of its topics,
// and of the patterns in patterns that select one of them, if it is after the
// pattern's from.
type window struct {
	epoch    uint64
	last     Position // of the newest entry there ever was
	lastTime int64
	entries  []*entry
	head     int // entries before it are nil
	bytes    int64
	live     int // entries that are not gone

	topics   map[string]*topic
	tree     trie[topic]         // of all topics
	patterns trie[chain]         // of those that somebody has subscribed to
	version  uint64              // changes with patterns
	ids      map[string][]*entry // by the application's own ids, the earliest first

	limits Retention
	rules  []Retention

	// lossless says that a log has what leaves the window: everything up to
	// base. Then there are no marks here.
	lossless bool
	base     Position

	// floor is the mark of all topics that have none of their own: some were
	// forgotten, lest those without events fill the memory.
	floor  mark
	newest mark     // of all that there are
	vacant []*topic // topics with a mark and nothing else, oldest first

	merge  merge // reused
	chains []*chain
}

// topic is what the window knows of one.
type topic struct {
	chain
	name     string
	names    [1]string // name, for entries with one topic
	self     [1]*topic // likewise
	patterns []*chain  // that select it, as of version
	version  uint64
	queued   bool // in vacant

	rule       *Retention // or nil
	wanted     uint64     // the sequence after which it wants its entries kept
	wantEvents int        // how many those are
	wantBytes  int64
}

func newWindow(limits Retention, rules []Retention) window {
	if limits.Events == 0 {
		limits.Events = defaultRetainedEvents
	}
	if limits.Bytes == 0 {
		limits.Bytes = defaultRetainedBytes
	}
	return window{
		topics: make(map[string]*topic),
		ids:    make(map[string][]*entry),
		limits: limits,
		rules:  rules,
	}
}

// begin gives the window the place at which it begins.
func (w *window) begin(p Position) {
	w.epoch, w.last, w.base = p.Epoch, p, p
}

// newEpoch draws one.
func newEpoch() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if epoch := binary.LittleEndian.Uint64(b[:]); epoch != 0 {
			return epoch
		}
	}
}

// publish makes an entry of a draft, and appends it.
func (w *window) publish(d *draft, topics []string, now time.Time) *entry {
	at := max(now.UnixNano(), w.lastTime)
	p := Position{w.epoch, w.last.Seq + 1, checkAt(d.crc, at)}
	e := d.entry(p, at)
	w.append(e, topics)
	return e
}

// append adds an entry, which must come after all others, and removes what then
// is too much. The newest stays, however large it is, or nobody would get it.
func (w *window) append(e *entry, topics []string) {
	w.last, w.lastTime = e.position(w.epoch), max(w.lastTime, e.time)
	if len(topics) == 1 {
		e.topics = w.topic(topics[0]).self[:]
	} else {
		e.topics = make([]*topic, 0, len(topics))
		for _, name := range topics {
			if t := w.topic(name); !slices.Contains(e.topics, t) {
				e.topics = append(e.topics, t)
			}
		}
	}
	e.wants = int32(len(e.topics))
	w.entries = append(w.entries, e)
	w.bytes += int64(len(e.framed))
	w.live++
	if e.ownID {
		id := e.id()
		w.ids[id] = append(w.ids[id], e)
	}
	for _, c := range w.chainsOf(e) {
		c.push(e)
	}
	for _, t := range e.topics {
		t.wantEvents++
		t.wantBytes += int64(len(e.framed))
	}
	now := time.Unix(0, w.lastTime)
	w.trim(now)
	for _, t := range e.topics {
		w.apply(t, now)
	}
}

// chainsOf are the chains that an entry is in, each once. The slice is reused.
func (w *window) chainsOf(e *entry) []*chain {
	chains := w.chains[:0]
	for _, t := range e.topics {
		if t.version != w.version {
			t.patterns = w.patterns.selecting(t.patterns[:0], t.name)
			t.version = w.version
		}
		chains = append(chains, &t.chain)
		for _, c := range t.patterns {
			if c.from < e.seq && (len(e.topics) == 1 || !slices.Contains(chains, c)) {
				chains = append(chains, c)
			}
		}
	}
	w.chains = chains
	return chains
}

// topic returns what is known of a topic, from now on at least its name.
func (w *window) topic(name string) *topic {
	t := w.topics[name]
	if t == nil {
		t = &topic{name: name, version: w.version - 1}
		t.names[0], t.self[0], t.chain.topic = name, t, t
		for i := range w.rules {
			if w.rules[i].Pattern.Match(name) {
				t.rule = &w.rules[i]
				break
			}
		}
		w.topics[name] = t
		w.tree.add(name, t)
	}
	return t
}

// trim removes what the limits for all topics do not allow.
func (w *window) trim(now time.Time) {
	oldest := int64(0)
	if w.limits.Age > 0 {
		oldest = now.Add(-w.limits.Age).UnixNano()
	}
	for w.head < len(w.entries) {
		e := w.entries[w.head]
		if e.time >= oldest && (w.live == 1 ||
			(w.limits.Events < 0 || w.live <= w.limits.Events) &&
				(w.limits.Bytes < 0 || w.bytes <= w.limits.Bytes)) {
			return
		}
		w.remove(e)
	}
}

// expire removes what has become too old, in all and of some topics.
func (w *window) expire(now time.Time, topics []*topic) {
	w.trim(now)
	for _, t := range topics {
		w.apply(t, now)
	}
}

// apply lets go of what the topic's own limits do not allow. An event with
// several topics stays as long as one of them wants it.
func (w *window) apply(t *topic, now time.Time) {
	rule := t.rule
	if rule == nil {
		return
	}
	oldest := int64(0)
	if rule.Age > 0 {
		oldest = now.Add(-rule.Age).UnixNano()
	}
	for t.wantEvents > 0 {
		e := t.items[t.after(t.wanted)].entry
		if e.time >= oldest && (t.wantEvents == 1 ||
			(rule.Events <= 0 || t.wantEvents <= rule.Events) &&
				(rule.Bytes <= 0 || t.wantBytes <= rule.Bytes)) {
			return
		}
		t.unwant(e)
		if e.wants--; e.wants == 0 {
			w.remove(e)
		}
	}
}

// unwant passes over the oldest entry that the topic wants.
func (t *topic) unwant(e *entry) {
	t.wanted = e.seq
	t.wantEvents--
	t.wantBytes -= int64(len(e.framed))
}

// remove removes an entry: the oldest, or one that none of its topics wants.
func (w *window) remove(e *entry) {
	e.gone = true
	w.live--
	w.bytes -= int64(len(e.framed))
	if e.ownID {
		w.removeID(e)
	}
	for _, c := range w.chainsOf(e) {
		c.buried()
		if !w.lossless {
			w.lose(c, e)
		}
	}
	for _, t := range e.topics {
		if e.seq > t.wanted {
			t.unwant(e)
		}
		w.vacate(t)
	}
	for w.head < len(w.entries) && w.entries[w.head].gone {
		if p := w.entries[w.head].position(w.epoch); w.lossless && p.Seq > w.base.Seq {
			w.base = p
		}
		w.entries[w.head] = nil
		w.head++
	}
	if gone := len(w.entries) - w.live; gone > 1024 && gone > len(w.entries)/2 {
		w.entries = slices.DeleteFunc(w.entries, func(e *entry) bool { return e == nil || e.gone })
		w.head = 0
	}
}

// lose marks a chain that misses an entry from now on.
func (w *window) lose(c *chain, e *entry) {
	c.mark.raise(e.mark())
	w.newest.raise(e.mark())
}

func (w *window) removeID(e *entry) {
	id := e.id()
	rest := w.ids[id]
	if rest[0] == e { // as it mostly is, however many there are
		rest[0] = nil
		rest = rest[1:]
	} else {
		rest = slices.DeleteFunc(rest, func(other *entry) bool { return other == e })
	}
	if len(rest) == 0 {
		delete(w.ids, id)
	} else {
		w.ids[id] = rest
	}
}

// vacate lets go of a topic that nobody has subscribed to and that has no events,
// at once or, if it has a mark, when there are too many of the kind.
func (w *window) vacate(t *topic) {
	if len(t.items) > 0 || len(t.members) > 0 || t.queued {
		return
	}
	if t.mark.seq <= w.floor.seq {
		w.forget(t)
		return
	}
	t.queued = true
	w.vacant = append(w.vacant, t)
	for len(w.vacant) > maxVacant {
		oldest := w.vacant[0]
		w.vacant[0] = nil
		w.vacant = w.vacant[1:]
		oldest.queued = false
		if len(oldest.items) == 0 && len(oldest.members) == 0 {
			w.floor.raise(oldest.mark)
			w.forget(oldest)
		}
	}
}

func (w *window) forget(t *topic) {
	if w.topics[t.name] != t {
		return // it is of an earlier window
	}
	delete(w.topics, t.name)
	w.tree.remove(t.name)
}

// lost is the newest place at which something may be missing that one of the
// chains would have had.
func (w *window) lost(chains ...*chain) mark {
	newest := w.floor
	for _, c := range chains {
		newest.raise(c.mark)
	}
	return newest
}

// patternChain returns the chain of a pattern, complete after a sequence.
func (w *window) patternChain(p Pattern, seq uint64) *chain {
	c := w.patterns.find(p.text)
	if c == nil {
		c = &chain{pattern: p, from: w.last.Seq}
		w.patterns.add(p.text, c)
		w.version++
	}
	if seq < c.from {
		w.extend(c, seq)
	}
	return c
}

// extend completes a pattern's chain backwards, with just the entries that the
// subscriber who asks for it gets. That costs as much as there are topics that
// it selects, or entries in between, whichever is less.
func (w *window) extend(c *chain, seq uint64) {
	entries := w.between(seq, c.from)
	topics, all := w.matching(c.pattern, len(entries))
	if w.newest.seq > seq {
		// Of what was removed since, and was not in the chain.
		w.tree.selected(c.pattern.text, func(t *topic) bool {
			c.mark.raise(t.mark)
			return true
		})
	}
	var items []item
	cum := int64(0)
	add := func(e *entry) {
		cum += int64(len(e.framed))
		items = append(items, item{e, cum})
	}
	if all {
		w.merge.start(topics, seq)
		for e := w.merge.next(); e != nil && e.seq <= c.from; e = w.merge.next() {
			add(e)
		}
	} else {
		for _, e := range entries {
			if !e.gone && slices.ContainsFunc(e.topics, c.selects) {
				add(e)
			}
		}
	}
	c.from = seq
	if len(items) == 0 {
		return
	}
	// Only differences of cum count, so the old ones are moved up.
	for _, it := range c.items[c.head:] {
		it.cum += cum
		items = append(items, it)
	}
	c.items, c.head = items, 0
	c.cum += cum
}

// between are the entries after one sequence, up to and including another, gone
// or not.
func (w *window) between(after, through uint64) []*entry {
	entries := w.entries[w.head:]
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > after })
	n := sort.Search(len(entries), func(i int) bool { return entries[i].seq > through })
	return entries[i:max(i, n)]
}

// matching are the chains of the topics that a pattern selects, or false if those
// are more than limit.
func (w *window) matching(p Pattern, limit int) (chains []*chain, all bool) {
	all = w.tree.selected(p.text, func(t *topic) bool {
		if len(chains) == limit {
			return false
		}
		chains = append(chains, &t.chain)
		return true
	})
	return chains, all
}

// dropPattern lets go of the chain of a pattern that has no more members.
func (w *window) dropPattern(c *chain) {
	if w.patterns.find(c.pattern.text) != c {
		return // it is of an earlier window
	}
	w.patterns.remove(c.pattern.text)
	w.version++
	// Topics look for their patterns only when there is an event: until then they
	// have this one, which must not keep what the window has let go of.
	c.items, c.head, c.dead = nil, 0, 0
}

// sources are the chains in which everything that a selection matches is, as far
// as it is in the window.
func (w *window) sources(sel *Selection, now time.Time) []*chain {
	var topics []*topic
	for _, name := range sel.topicNames() {
		if t := w.topics[name]; t != nil {
			topics = append(topics, t)
		}
	}
	for _, p := range sel.Patterns {
		w.tree.selected(p.text, func(t *topic) bool {
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

// page appends entries after a sequence to dst, until they have limit bytes or
// through is passed. It reports whether there may be more.
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
		for _, it := range c.items[c.after(after):] {
			switch {
			case it.seq > through:
				return dst, false
			case !it.gone && !add(it.entry):
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

// find returns the newest entry that is not after a sequence, or nil. It may be
// one that is gone, but not all that are gone are there.
func (w *window) find(seq uint64) *entry {
	entries := w.entries[w.head:]
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > seq })
	if i == 0 {
		return nil
	}
	return entries[i-1]
}

// positionAt is the position with a sequence, with its check if that is known.
func (w *window) positionAt(seq uint64) Position {
	for _, p := range [...]Position{w.last, w.base} {
		if p.Seq == seq {
			return p
		}
	}
	if e := w.find(seq); e != nil && e.seq == seq {
		return e.position(w.epoch)
	}
	return Position{Epoch: w.epoch, Seq: seq}
}
