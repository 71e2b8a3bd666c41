package memnet

import (
	"bytes"
	"sync"
	"time"
)

// flow is one direction of a connection. All of it is guarded by the link's mu.
//
// Invariants: 0 ≤ buf.Len() ≤ size; accepted - taken = buf.Len().
type flow struct {
	link    *link
	changed sync.Cond // broadcast when anything changes that a call may wait for
	size    int
	buf     bytes.Buffer

	ended     bool // the writing end has closed: after the bytes comes EOF
	abandoned bool // the reading end has closed: writing is in vain
	writing   bool // a Write is under way, others wait for it
	starved   bool // a TryWrite has found too little room

	readBy, writeBy deadline

	accepted, taken int64 // bytes, since the beginning
}

func newFlow(l *link, size int) *flow {
	f := &flow{link: l, size: size}
	f.changed.L = &l.mu
	l.flows = append(l.flows, f)
	return f
}

// put moves as much of p into the buffer as fits, and returns how much.
func (f *flow) put(p []byte) int {
	n := min(len(p), f.size-f.buf.Len())
	if n > 0 {
		f.buf.Write(p[:n])
		f.accepted += int64(n)
		f.changed.Broadcast()
	}
	return n
}

// take moves bytes out of the buffer, which is not empty, into p.
func (f *flow) take(p []byte) int {
	n, _ := f.buf.Read(p)
	f.taken += int64(n)
	f.changed.Broadcast()
	return n
}

// deadline is a point in time from which on calls fail.
type deadline struct {
	expired bool
	timer   *time.Timer // sets expired; nil if no deadline lies ahead
}

// setLocked moves the deadline of f to t, and wakes who waits on f if t is past.
func (d *deadline) setLocked(t time.Time, f *flow) {
	d.stop()
	d.expired = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		f.changed.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		f.link.mu.Lock()
		defer f.link.mu.Unlock()
		// Stop does not wait for a function that has begun: the deadline may
		// have been moved while this one waited for the lock.
		if d.timer == timer {
			d.expired = true
			f.changed.Broadcast()
		}
	})
	d.timer = timer
}

// stop forgets the timer, and leaves expired as it is.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
