package sse

// link is a subscriber's membership in a chain (the entries and the subscribers of one
// topic or pattern).
type link struct {
	*chain
	memberIndex int // in chain.members
}

// links returns the subscriber's memberships in chains: none before join and after
// leave.
func (s *subscriber) links() []link {
	switch {
	case s.manyLinks != nil:
		return *s.manyLinks
	case s.oneLink[0].chain == nil:
		return nil
	}
	return s.oneLink[:]
}

// member is a subscriber in a chain. linkIndex is the index of the chain in the
// links of the subscriber.
type member struct {
	*subscriber
	linkIndex int
}

// add makes a subscriber a member of the chain.
func (c *chain) add(s *subscriber, linkIndex int) {
	s.links()[linkIndex].memberIndex = len(c.members)
	c.members = append(c.members, member{s, linkIndex})
}

// remove undoes add. The last member moves to the index that becomes free. So if
// members may be removed during a loop over the members, the loop must go from the end
// to the front. Otherwise it would miss the moved member.
func (c *chain) remove(s *subscriber, linkIndex int) {
	i, last := s.links()[linkIndex].memberIndex, len(c.members)-1
	moved := c.members[last]
	c.members[i] = moved
	moved.links()[moved.linkIndex].memberIndex = i
	c.members[last] = member{}
	if c.members = c.members[:last]; last == 0 {
		c.members = nil
	} else if cap(c.members) > 4*last && last > 64 {
		c.members = append(make([]member, 0, 2*last), c.members...)
	}
}

// join links the subscriber to the chains of its selection.
func (s *subscriber) join(w *window, topics []string, patterns []Pattern) {
	if n := len(topics) + len(patterns); n > 1 {
		many := make([]link, 0, n)
		s.manyLinks = &many
	}
	for _, name := range topics {
		s.addLink(link{chain: &w.topicState(name).chain})
	}
	if len(patterns) == 0 {
		return
	}
	chains := make([]*chain, len(patterns))
	for i, p := range patterns {
		chains[i] = w.patternChain(p)
	}
	w.extendBack(chains, s.cursor.Seq)
	for _, c := range chains {
		s.addLink(link{chain: c})
	}
}

// addLink adds a membership, unless the subscriber has it already.
func (s *subscriber) addLink(l link) {
	// If the subscriber is already in the chain, it is the last member, because no
	// other subscriber can join while the lock is held.
	if n := len(l.members); n > 0 && l.members[n-1].subscriber == s {
		return
	}
	if s.manyLinks == nil {
		s.oneLink[0] = l
	} else {
		*s.manyLinks = append(*s.manyLinks, l)
	}
	l.add(s, len(s.links())-1)
}

// leave undoes join.
func (s *subscriber) leave(w *window) {
	for i := range s.links() {
		l := &s.links()[i]
		l.remove(s, i)
		switch {
		case l.topic != nil:
			w.removeIfUnused(l.topic)
		case len(l.members) == 0:
			w.removePattern(l.chain)
		}
	}
	s.oneLink[0], s.manyLinks = link{}, nil
}

// selects reports whether the subscriber has selected a topic. It may be called
// without the lock.
func (s *subscriber) selects(t *topicState) bool {
	for i := range s.links() {
		l := &s.links()[i]
		if l.topic == t || l.topic == nil && l.pattern.Match(t.name) {
			return true
		}
	}
	return false
}

// topicOf returns the first of an entry's topics that the subscriber has selected.
func (s *subscriber) topicOf(e *entry) string {
	selects := s.selects
	if len(s.links())*len(e.topics) > matchDirectly {
		sel := s.selection()
		m := newTopicMatch(&sel)
		selects = func(t *topicState) bool { return m.topic(t.name) }
	}
	for _, t := range e.topics {
		if selects(t) {
			return t.name
		}
	}
	return defaultTopic
}

// chains returns the chains of the subscriber's links, in the slice window.selected.
// The slice is valid until the next call that uses window.selected.
func (s *subscriber) chains(w *window) []*chain {
	chains := w.selected[:0]
	for i := range s.links() {
		chains = append(chains, s.links()[i].chain)
	}
	w.selected = chains
	return chains
}

// selection returns the topics and patterns of the subscriber.
func (s *subscriber) selection() Selection {
	var sel Selection
	for i := range s.links() {
		switch l := &s.links()[i]; {
		case l.topic == nil:
			sel.Patterns = append(sel.Patterns, l.pattern)
		case l.topic.name != defaultTopic:
			sel.Topics = append(sel.Topics, l.topic.name)
		}
	}
	return sel
}

// passesFilter reports whether the subscriber's filter, if it has one, accepts an
// entry.
func (s *subscriber) passesFilter(e *entry, epoch uint64) bool {
	if s.opts.filter == nil {
		return true
	}
	x := e.public(epoch)
	return s.opts.filter(&x)
}
