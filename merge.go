package sse

// merger iterates over the entries of several chains, in the order of their sequence
// numbers. A chain has the entries of one topic or pattern (see chain). The merger
// skips removed entries, and returns an entry only once even if several chains have it.
type merger struct {
	cursors   []mergeCursor // a heap: cursors[0] is at the entry to return next
	backwards bool          // iterates from the newest entry to the oldest
}

// mergeCursor is the place that a merger has reached in one chain.
type mergeCursor struct {
	chain *chain
	index int // index in chain.items of an entry that was not removed
}

func (c mergeCursor) seq() uint64 { return c.chain.items[c.index].seq }

// start prepares the merger to iterate forward, from the first entry whose sequence
// number is greater than seq.
func (m *merger) start(chains []*chain, seq uint64) {
	m.cursors, m.backwards = m.cursors[:0], false
	for _, c := range chains {
		m.push(mergeCursor{c, c.indexAfter(seq)})
	}
	m.heapify()
}

// startBack prepares the merger to iterate backward over the entries before seq.
func (m *merger) startBack(chains []*chain, seq uint64) {
	m.cursors, m.backwards = m.cursors[:0], true
	for _, c := range chains {
		m.push(mergeCursor{c, c.indexAfter(seq-1) - 1})
	}
	m.heapify()
}

// push adds a cursor, unless no entry is left in its chain. It leaves the heap
// unordered until heapify is called.
func (m *merger) push(c mergeCursor) {
	if c, ok := m.skipRemoved(c); ok {
		m.cursors = append(m.cursors, c)
	}
}

func (m *merger) heapify() {
	for i := len(m.cursors)/2 - 1; i >= 0; i-- {
		m.siftDown(i)
	}
}

// skipRemoved moves a cursor past removed entries, in the direction of the merger. It
// reports false if no entry is left in that direction.
func (m *merger) skipRemoved(c mergeCursor) (mergeCursor, bool) {
	for c.index >= c.chain.first && c.index < len(c.chain.items) && c.chain.items[c.index].removed {
		c.index = m.step(c.index)
	}
	return c, c.index >= c.chain.first && c.index < len(c.chain.items)
}

// step returns the index that follows i in the direction of the merger.
func (m *merger) step(i int) int {
	if m.backwards {
		return i - 1
	}
	return i + 1
}

// next returns the next entry, or nil if there are no more.
func (m *merger) next() *entry {
	if len(m.cursors) == 0 {
		return nil
	}
	e := m.cursors[0].chain.items[m.cursors[0].index].entry
	for len(m.cursors) > 0 && m.cursors[0].seq() == e.seq {
		m.advance()
	}
	return e
}

// advance moves the first cursor to the next entry of its chain, or removes the cursor
// if the chain has no more entries.
func (m *merger) advance() {
	c := m.cursors[0]
	c.index = m.step(c.index)
	if c, ok := m.skipRemoved(c); ok {
		m.cursors[0] = c
	} else {
		last := len(m.cursors) - 1
		m.cursors[0] = m.cursors[last]
		m.cursors = m.cursors[:last]
	}
	m.siftDown(0)
}

func (m *merger) siftDown(i int) {
	for {
		first, left := i, 2*i+1
		for child := left; child < min(left+2, len(m.cursors)); child++ {
			if m.less(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		m.cursors[i], m.cursors[first] = m.cursors[first], m.cursors[i]
		i = first
	}
}

// less reports whether the entry of cursor i comes before the entry of cursor k.
func (m *merger) less(i, k int) bool {
	if m.backwards {
		i, k = k, i
	}
	return m.cursors[i].seq() < m.cursors[k].seq()
}
