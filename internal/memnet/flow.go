package memnet

import (
	"bytes"
	"sync"
	"time"
)

// flow is one direction of a connection. link.mu guards all fields, except link and size,
// which never change.
//
// Invariants: 0 ≤ buf.Len() ≤ size; accepted - taken = buf.Len().
type flow struct {
	link    *link
	changed sync.Cond // broadcast when a Read, Write or Await may be able to continue
	size    int       // greatest length of buf, in bytes
	buf     bytes.Buffer

	ended     bool // the writing end is closed: EOF follows the buffered bytes
	abandoned bool // the reading end is closed: writes fail
	writing   bool // a Write is running, and others wait for it
	starved   bool // a TryWrite has not written all bytes, and no later Await has reported room

	readBy, writeBy deadline

	accepted, taken int64 // total bytes that were put into buf, and taken from it
}

func newFlow(l *link, size int) *flow {
	f := &flow{link: l, size: size}
	f.changed.L = &l.mu
	l.flows = append(l.flows, f)
	return f
}

// put copies as much of p into the buffer as fits, and returns the number of
// bytes.
func (f *flow) put(p []byte) int {
	n := min(len(p), f.size-f.buf.Len())
	if n > 0 {
		f.buf.Write(p[:n])
		f.accepted += int64(n)
		f.changed.Broadcast()
	}
	return n
}

// take moves bytes from the buffer into p and returns the number of bytes. The
// buffer must not be empty.
func (f *flow) take(p []byte) int {
	n, _ := f.buf.Read(p)
	f.taken += int64(n)
	f.changed.Broadcast()
	return n
}

// deadline makes calls fail from a certain time on.
type deadline struct {
	expired bool
	timer   *time.Timer // sets expired; nil if no deadline is in the future
}

// setLocked sets the deadline of f to t. If t is in the past, it wakes the
// calls that wait on f.
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
		// The deadline may have changed while this function waited for the lock,
		// because Timer.Stop does not wait for a function that is running.
		if d.timer == timer {
			d.expired = true
			f.changed.Broadcast()
		}
	})
	d.timer = timer
}

// stop stops and removes the timer. It does not change expired.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
