package sse

import (
	"container/heap"
	"slices"
	"time"
)

// expiries ends each stream exactly when it expires. The timer wheel (wheel.go)
// is too coarse for that. state.mu guards it.
type expiries struct {
	st    *state
	queue expiryQueue
	timer *time.Timer
}

// add adds a subscriber, if it expires.
func (e *expiries) add(s *subscriber, now time.Time) {
	if s.expires() != 0 {
		heap.Push(&e.queue, s)
		e.setTimer(now)
	}
}

// remove undoes add, unless endExpired has done so.
func (e *expiries) remove(s *subscriber) {
	if s.expires() == 0 || s.info.expiryIndex == 0 {
		return
	}
	heap.Remove(&e.queue, s.info.expiryIndex-1)
	if len(e.queue) == 0 {
		e.timer.Stop()
	}
}

// setTimer sets the timer for the subscriber that expires first.
func (e *expiries) setTimer(now time.Time) {
	if len(e.queue) > 0 {
		e.timer.Reset(time.Duration(e.queue[0].expires() - now.UnixNano()))
	}
}

// end runs when the timer fires.
func (e *expiries) end() {
	e.st.mu.Lock()
	defer e.st.mu.Unlock()
	now := time.Now()
	e.endExpired(now)
	e.setTimer(now)
}

// endExpired ends the subscribers that have expired, but at most wakeBatch of them, so
// that the lock is not held for long. If more have expired, setTimer then makes the timer
// fire again at once.
func (e *expiries) endExpired(now time.Time) {
	for range wakeBatch {
		if len(e.queue) == 0 || !e.queue[0].expired(now) {
			break
		}
		e.st.endLocked(heap.Pop(&e.queue).(*subscriber), ErrExpired)
	}
}

// expiryQueue is a heap of the subscribers that expire, the first on top.
type expiryQueue []*subscriber

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].info.expires < q[j].info.expires }

func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].info.expiryIndex, q[j].info.expiryIndex = i+1, j+1
}

// Push is for package heap.
func (q *expiryQueue) Push(s any) {
	*q = append(*q, s.(*subscriber))
	s.(*subscriber).info.expiryIndex = len(*q)
}

// Pop is for package heap.
func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	*q = slices.Delete(*q, last, last+1)
	s.info.expiryIndex = 0
	return s
}
