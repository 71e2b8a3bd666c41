package sse

import "sync"

// logAppends counts the calls of the log's Append, and holds the publishers
// that wait until their entries are visible. state.mu guards all fields except
// running.
type logAppends struct {
	running      sync.WaitGroup             // calls of Append; none begins once the broker is closed
	waiters      map[Position]chan struct{} // by position without Check; closed when visible
	lastReleased uint64                     // the last sequence that was released
}

// wait returns a channel that is closed when a position is visible.
func (a *logAppends) wait(p Position) <-chan struct{} {
	p.Check = 0
	visible := a.waiters[p]
	if visible == nil {
		visible = make(chan struct{})
		a.waiters[p] = visible
	}
	return visible
}

// release unblocks the publishers that wait for p. Before p, the log may have
// left out entries that it has removed already, and all entries of another
// epoch. So release also unblocks the publishers that wait for such an entry.
// It looks for them if p is not the next sequence, and otherwise only once in
// 1024 sequences.
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

// releaseAll unblocks all publishers.
func (a *logAppends) releaseAll() {
	for p, visible := range a.waiters {
		close(visible)
		delete(a.waiters, p)
	}
}
