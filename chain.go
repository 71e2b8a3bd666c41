package sse

import "sort"

// mark is the newest place at which something was lost.
type mark struct {
	seq   uint64
	check uint32
	time  int64
}

// raise makes m the newer one of itself and n.
func (m *mark) raise(n mark) {
	if n.seq > m.seq {
		*m = n
	}
}

// item is an entry in a chain.
type item struct {
	*entry
	cum int64 // bytes of the chain up to and including this one
}

// chain is the entries of the window that one topic or pattern selects, in
// order, and who has subscribed to it.
//
//	items   │ gone │ e₁ │ e₂ │ gone │ e₃ │
//	        0      head              len(items)
//
// Invariants: 0 ≤ head ≤ len(items); the sequences grow strictly; items[head],
// if there is one, is not gone. What is gone further behind is passed over, and
// counted in dead.
type chain struct {
	items []item
	head  int
	dead  int
	cum   int64 // bytes of all entries that there ever were
	mark  mark  // of the newest that is gone for good; of a pattern, if it is after from

	topic   *topic  // whose it is, or nil
	pattern Pattern // or this
	from    uint64  // of a pattern: the sequence after which items is complete
	members []member
	dirty   bool // members are to be woken
}

// member is a subscriber in a chain. link is the place of the chain among the
// links of the subscriber.
type member struct {
	*subscriber
	link int
}

// selects reports whether the pattern of a chain selects a topic.
func (c *chain) selects(t *topic) bool { return c.pattern.Match(t.name) }

func (c *chain) push(e *entry) {
	c.cum += int64(len(e.framed))
	c.items = append(c.items, item{e, c.cum})
}

// last is the newest entry, or nil.
func (c *chain) last() *entry {
	for i := len(c.items) - 1; i >= c.head; i-- {
		if e := c.items[i].entry; !e.gone {
			return e
		}
	}
	return nil
}

// after is the index of the first item after a sequence. Those who ask are
// mostly near the end.
func (c *chain) after(seq uint64) int {
	n := len(c.items)
	step := 1
	for n-step >= c.head && c.items[n-step].seq > seq {
		n -= step
		step *= 2
	}
	// It is in items[low:n].
	low := max(c.head, n-step+1)
	if low >= n {
		return n
	}
	return low + sort.Search(n-low, func(i int) bool { return c.items[low+i].seq > seq })
}

// behind is how far behind the end a sequence is, in events and bytes. What is
// gone without having been at the front still counts.
func (c *chain) behind(seq uint64) (events int, bytes int64) {
	i := c.after(seq)
	if i == len(c.items) {
		return 0, 0
	}
	first := &c.items[i]
	return len(c.items) - i, c.cum - first.cum + int64(len(first.framed))
}

// size is how many bytes there are in it. As in behind, what is gone still counts.
func (c *chain) size() int64 {
	if c.head == len(c.items) {
		return 0
	}
	first := &c.items[c.head]
	return c.cum - first.cum + int64(len(first.framed))
}

// buried is called when one of the entries has gone.
func (c *chain) buried() {
	c.dead++
	for c.head < len(c.items) && c.items[c.head].gone {
		c.items[c.head] = item{}
		c.head++
		c.dead--
	}
	switch {
	case c.head == len(c.items):
		c.items, c.head = nil, 0
	case c.head > 32 && c.head > len(c.items)/2:
		c.compact()
	case c.dead > 32 && c.dead > len(c.items)/2:
		c.compact()
	}
}

func (c *chain) compact() {
	kept := 0
	for _, it := range c.items[c.head:] {
		if !it.gone {
			c.items[kept] = it
			kept++
		}
	}
	clear(c.items[kept:])
	c.items, c.head, c.dead = c.items[:kept], 0, 0
	if cap(c.items) > 4*kept && cap(c.items) > 64 {
		c.items = append(make([]item, 0, 2*kept), c.items...)
	}
}

// add makes a subscriber a member.
func (c *chain) add(s *subscriber, link int) {
	s.links()[link].index = len(c.members)
	c.members = append(c.members, member{s, link})
}

// remove undoes add. The last member takes the place, so that whoever goes
// through the members from the end to the front meets everybody.
func (c *chain) remove(s *subscriber, link int) {
	i, last := s.links()[link].index, len(c.members)-1
	moved := c.members[last]
	c.members[i] = moved
	moved.links()[moved.link].index = i
	c.members[last] = member{}
	if c.members = c.members[:last]; last == 0 {
		c.members = nil
	} else if cap(c.members) > 4*last && last > 64 {
		c.members = append(make([]member, 0, 2*last), c.members...)
	}
}

// merge goes through several chains at once, in order. An entry that is in more
// than one comes once.
type merge struct {
	heads []head // a heap, what comes next first
	back  bool   // from the end to the front
}

type head struct {
	c *chain
	i int // in c.items, of an entry that is not gone
}

func (h head) seq() uint64 { return h.c.items[h.i].seq }

// start begins after a sequence.
func (m *merge) start(chains []*chain, seq uint64) {
	m.heads, m.back = m.heads[:0], false
	for _, c := range chains {
		m.push(head{c, c.after(seq)})
	}
	m.order()
}

// startBack begins at the end.
func (m *merge) startBack(chains []*chain) {
	m.heads, m.back = m.heads[:0], true
	for _, c := range chains {
		m.push(head{c, len(c.items) - 1})
	}
	m.order()
}

func (m *merge) push(h head) {
	if h, ok := m.alive(h); ok {
		m.heads = append(m.heads, h)
	}
}

func (m *merge) order() {
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// alive moves on to an entry that is not gone.
func (m *merge) alive(h head) (head, bool) {
	for h.i >= h.c.head && h.i < len(h.c.items) && h.c.items[h.i].gone {
		h.i = m.after(h.i)
	}
	return h, h.i >= h.c.head && h.i < len(h.c.items)
}

func (m *merge) after(i int) int {
	if m.back {
		return i - 1
	}
	return i + 1
}

// next returns the next entry, or nil.
func (m *merge) next() *entry {
	if len(m.heads) == 0 {
		return nil
	}
	e := m.heads[0].c.items[m.heads[0].i].entry
	for len(m.heads) > 0 && m.heads[0].seq() == e.seq {
		m.advance()
	}
	return e
}

func (m *merge) advance() {
	h := m.heads[0]
	h.i = m.after(h.i)
	if h, ok := m.alive(h); ok {
		m.heads[0] = h
	} else {
		last := len(m.heads) - 1
		m.heads[0] = m.heads[last]
		m.heads = m.heads[:last]
	}
	m.down(0)
}

func (m *merge) down(i int) {
	for {
		first, left := i, 2*i+1
		for child := left; child < min(left+2, len(m.heads)); child++ {
			if m.less(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		m.heads[i], m.heads[first] = m.heads[first], m.heads[i]
		i = first
	}
}

func (m *merge) less(i, k int) bool {
	if m.back {
		i, k = k, i
	}
	return m.heads[i].seq() < m.heads[k].seq()
}
