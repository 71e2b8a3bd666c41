package sse

const (
	// inlineWakes limits how many subscribers a publisher itself wakes for one event.
	// The goroutine of wakeDirty wakes the other subscribers.
	inlineWakes = 8

	// wakeBatch is how many subscribers a loop wakes, describes or ends before it
	// releases the lock for a moment.
	wakeBatch = 64
)

// wakeSubscribers wakes the subscribers that have selected an event: the members of the
// event's chains (see chain). The members of a chain with too many members (see
// inlineWakes) are left to wakeDirty. Such a chain is dirty until wakeDirty begins to
// wake its members. The caller holds mu.
func (st *state) wakeSubscribers(e *entry) {
	room := inlineWakes
	for _, chain := range st.window.chainsOf(e) {
		switch n := len(chain.members); {
		case n == 0 || chain.dirty:
		case n <= room:
			room -= n
			for i := range chain.members {
				st.wakeSubscriber(chain.members[i].subscriber)
			}
		default:
			chain.dirty = true
			st.dirtyChains = append(st.dirtyChains, chain)
		}
	}
	if len(st.dirtyChains) > 0 && !st.waking {
		st.waking = true
		go st.wakeDirty() // ends when no chain is dirty
	}
}

// wakeSubscriber wakes a subscriber that is idle. A subscriber that is not idle may be
// blocked in a write, and cannot check its own lag then. So wakeSubscriber checks the lag:
// it ends the subscriber if the subscriber is too far behind and its policy is
// LagDisconnect. The caller holds mu.
func (st *state) wakeSubscriber(s *subscriber) {
	switch {
	case s.idle:
		s.idle = false
		s.transport.wake()
	case s.endCause == nil && s.opts.lagPolicy == LagDisconnect && s.behind(&st.window):
		st.endLocked(s, ErrLagging)
	}
}

// wakeDirty wakes the members of all dirty chains. After every wakeBatch members, it
// releases the lock for a moment. It returns when no chain is dirty. The next publisher
// that makes a chain dirty starts wakeDirty again.
func (st *state) wakeDirty() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(st.dirtyChains) > 0 {
		// The oldest first, so that a chain that becomes dirty again and again does
		// not delay the others.
		chain := st.dirtyChains[0]
		st.dirtyChains[0] = nil
		st.dirtyChains = st.dirtyChains[1:]
		chain.dirty = false
		// From the end to the front, because chain.remove moves the last member to
		// the index that becomes free. A subscriber that joins meanwhile need not be
		// woken: it becomes idle only after it has pulled all events.
		for i, n := len(chain.members)-1, 0; i >= 0; i, n = min(i, len(chain.members))-1, n+1 {
			st.wakeSubscriber(chain.members[i].subscriber)
			if n%wakeBatch == wakeBatch-1 {
				st.mu.Unlock()
				st.mu.Lock()
			}
		}
	}
	st.dirtyChains = nil
	st.waking = false
}

// comment adds a comment, and wakes the subscribers that are idle. After every wakeBatch
// subscribers, it releases the lock for a moment.
func (st *state) comment(wire []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return ErrShutdown
	}
	st.comments.add(wire, st.window.last.Seq)
	// From the end to the front, because leave moves the last subscriber to the
	// index that becomes free. A subscriber that enters meanwhile does not receive
	// this comment.
	for i, n := len(st.subscribers)-1, 0; i >= 0; i, n = min(i, len(st.subscribers))-1, n+1 {
		if s := st.subscribers[i]; s.idle {
			st.wakeSubscriber(s)
		}
		if n%wakeBatch == wakeBatch-1 {
			st.mu.Unlock()
			st.mu.Lock()
		}
	}
	return nil
}
