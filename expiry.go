package sse

import (
	"container/heap"
	"time"
)

// expiries ends each stream exactly when it expires. The timer wheel (wheel.go)
// is too coarse for that. state.mu guards it.
type expiries struct {
	st      *state
	queue   expiryQueue
	timer   *time.Timer
	timerAt int64 // when the timer fires, in nanoseconds since 1970, or 0
}

// add adds a subscriber, if it expires.
func (e *expiries) add(s *subscriber, now time.Time) {
	if s.expires() != 0 {
		heap.Push(&e.queue, s)
		e.setTimer(now)
	}
}

// remove undoes add, unless end has done so.
func (e *expiries) remove(s *subscriber) {
	if s.expires() != 0 && s.info.expiryIndex >= 0 {
		heap.Remove(&e.queue, s.info.expiryIndex)
	}
	if len(e.queue) == 0 && e.timer != nil {
		e.timer.Stop()
		e.timerAt = 0
	}
}

// setTimer sets the timer for the subscriber that expires first.
func (e *expiries) setTimer(now time.Time) {
	if len(e.queue) == 0 {
		return
	}
	at := e.queue[0].expires()
	if e.timerAt != 0 && e.timerAt <= at {
		return
	}
	e.timerAt = at
	wait := max(0, time.Duration(at-now.UnixNano()))
	if e.timer == nil {
		e.timer = time.AfterFunc(wait, e.end)
	} else {
		e.timer.Reset(wait)
	}
}

// end ends every subscriber that has expired. After each wakeBatch of them it
// releases the lock for a moment.
func (e *expiries) end() {
	e.st.mu.Lock()
	defer e.st.mu.Unlock()
	e.timerAt = 0
	now := time.Now()
	for n := 1; len(e.queue) > 0 && e.queue[0].expired(now); n++ {
		s := heap.Pop(&e.queue).(*subscriber)
		e.st.endLocked(s, ErrExpired)
		if n%wakeBatch == 0 {
			e.st.mu.Unlock()
			e.st.mu.Lock()
		}
	}
	e.setTimer(now)
}

// expiryQueue is a heap of the subscribers that expire, the first on top.
type expiryQueue []*subscriber

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].info.expires < q[j].info.expires }

func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].info.expiryIndex, q[j].info.expiryIndex = i, j
}

// Push is for package heap.
func (q *expiryQueue) Push(s any) {
	s.(*subscriber).info.expiryIndex = len(*q)
	*q = append(*q, s.(*subscriber))
}

// Pop is for package heap.
func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	s.info.expiryIndex = -1
	return s
}
