package sse

import "sync"

// logAppends counts the running calls of EventLog.Append. It also holds the
// publishers that wait until their entries are visible, that is, until the window
// (the broker's memory of recent events) has the entries. state.mu guards all
// fields except running.
type logAppends struct {
	running      sync.WaitGroup             // calls of Append; none begins after closed
	waiters      map[Position]chan struct{} // see wait; the keys have a zero Check
	lastReleased uint64                     // sequence of the last call of release
}

// wait returns a channel that is closed when the position p is visible, or when no
// publisher need wait for p any more.
func (a *logAppends) wait(p Position) <-chan struct{} {
	p.Check = 0
	visible := a.waiters[p]
	if visible == nil {
		visible = make(chan struct{})
		a.waiters[p] = visible
	}
	return visible
}

// release unblocks the publishers that wait for p, a position that is visible now.
// Other publishers may wait for an entry that will never be visible: the log has
// removed the entry before it was visible, or has begun a new epoch. So release
// also unblocks all publishers that wait for an earlier sequence or for another
// epoch. To save time, it searches waiters for such publishers only if p.Seq is not
// lastReleased+1, or is a multiple of 1024.
func (a *logAppends) release(p Position) {
	if visible := a.waiters[p]; visible != nil {
		close(visible)
		delete(a.waiters, p)
	}
	if p.Seq%1024 != 0 && p.Seq == a.lastReleased+1 {
		a.lastReleased = p.Seq
		return
	}
	a.lastReleased = p.Seq
	for waiting, visible := range a.waiters {
		if waiting.Epoch != p.Epoch || waiting.Seq < p.Seq {
			close(visible)
			delete(a.waiters, waiting)
		}
	}
}

// releaseAll unblocks all publishers that wait.
func (a *logAppends) releaseAll() {
	for p, visible := range a.waiters {
		close(visible)
		delete(a.waiters, p)
	}
}
