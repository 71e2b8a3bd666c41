package sse

import (
	"fmt"
	"time"
)

// timers sends heartbeats, and ends streams that have expired or whose peer
// accepts nothing. state.mu guards it.
type timers struct {
	wheel
	expiries     expiries
	st           *state
	heartbeat    time.Duration // interval; none if not positive
	writeTimeout time.Duration // none if not positive
}

func (t *timers) init(st *state, now time.Time, heartbeat, writeTimeout time.Duration) {
	t.st, t.heartbeat, t.writeTimeout = st, heartbeat, writeTimeout
	t.expiries.st = st
	t.wheel.init(now, heartbeat)
}

// enter adds a subscriber to the timers.
func (t *timers) enter(s *subscriber, now time.Time) {
	t.schedule(s, now)
	t.expiries.add(s, now)
}

// leave undoes enter.
func (t *timers) leave(s *subscriber) {
	t.remove(s)
	t.expiries.remove(s)
}

// schedule adds a subscriber to the wheel.
func (t *timers) schedule(s *subscriber, now time.Time) {
	t.catchUp(now)
	t.insert(s)
	t.setTimer(now)
}

// reschedule is schedule for a subscriber for which something is due earlier than
// before.
func (t *timers) reschedule(s *subscriber, now time.Time) {
	t.remove(s)
	t.schedule(s, now)
}

// insert adds a subscriber to the slot of the earliest time at which something is
// due for it.
func (t *timers) insert(s *subscriber) {
	due := time.Time{}
	if t.heartbeat > 0 {
		due = time.Unix(0, s.lastActivity).Add(t.heartbeat)
	}
	if since := s.transport.stalledSince(); since != 0 && t.writeTimeout > 0 {
		if end := time.Unix(0, since).Add(t.writeTimeout); due.IsZero() || end.Before(due) {
			due = end
		}
	}
	if s.wheelSlot = -1; due.IsZero() {
		return
	}
	t.add(s, due)
}

// setTimer sets the timer for the next slot that is not empty.
func (t *timers) setTimer(now time.Time) {
	if t.count == 0 {
		return
	}
	next := t.next()
	if !t.timerAt.IsZero() && !next.Before(t.timerAt) {
		return
	}
	t.timerAt = next
	wait := max(next.Sub(now), 0)
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.advance)
	} else {
		t.timer.Reset(wait)
	}
}

// advance handles every slot whose time has come.
func (t *timers) advance() {
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	t.timerAt = time.Time{}
	now := time.Now()
	for until := int64(now.Sub(t.startedAt) / t.tick); t.turnedTicks < until && t.count > 0; {
		t.turnedTicks++
		slot := t.slots[t.turnedTicks%wheelSlots]
		t.slots[t.turnedTicks%wheelSlots] = nil
		t.count -= len(slot)
		for _, s := range slot {
			s.wheelSlot = -1
			t.handle(s, now)
		}
	}
	t.catchUp(now)
	t.setTimer(now)
}

// handle does for a subscriber what is due, and inserts it at its next time.
func (t *timers) handle(s *subscriber, now time.Time) {
	at := now.UnixNano()
	if s.expired(now) { // its timer is late, because the clock was set
		t.st.endLocked(s, ErrExpired)
		return
	}
	if since := s.transport.stalledSince(); since != 0 && t.writeTimeout > 0 &&
		at-since >= int64(t.writeTimeout) {
		t.st.endLocked(s, fmt.Errorf("%w: it accepted no bytes for %v", ErrPeerGone, t.writeTimeout))
		return
	}
	if t.heartbeat > 0 && at-s.lastActivity >= int64(t.heartbeat) {
		switch {
		case s.endCause != nil:
		case s.idle:
			s.heartbeatDue, s.idle = true, false
			s.transport.wake()
		default:
			// The filter may drop every event that is being delivered.
			s.heartbeatDue = s.opts.filter != nil
		}
		s.lastActivity = at // the next heartbeat is due one interval later, sent or not
	}
	t.insert(s)
}
