package sse

import (
	"fmt"
	"time"
)

// timers sends heartbeats, and ends streams that have expired or whose peer accepts no
// bytes. Something is due for a subscriber at two times: when it needs a heartbeat, and
// when its blocked write has made no progress for writeTimeout. The wheel finds the
// subscribers for which something is due. expiries ends streams that expire, because
// the wheel is not exact. state.mu guards all fields.
type timers struct {
	wheel
	expiries     expiries
	st           *state
	heartbeat    time.Duration // interval of heartbeats; no heartbeats if 0
	writeTimeout time.Duration // no limit if 0
}

func (t *timers) init(st *state, now time.Time, heartbeat, writeTimeout time.Duration) {
	t.st, t.heartbeat, t.writeTimeout = st, max(heartbeat, 0), max(writeTimeout, 0)
	t.expiries.st, t.expiries.timer = st, newTimer(t.expiries.end)
	t.wheel.init(now, t.heartbeat)
	t.timer = newTimer(t.advance)
}

// newTimer returns a timer that is not set. When it fires, f runs in its own goroutine.
func newTimer(f func()) *time.Timer {
	timer := time.AfterFunc(time.Hour, f)
	timer.Stop()
	return timer
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

// schedule adds a subscriber to the wheel, and sets the timer.
func (t *timers) schedule(s *subscriber, now time.Time) {
	t.catchUp(now)
	t.insert(s)
	t.setTimer(now)
}

// reschedule moves a subscriber in the wheel, because its write is blocked: the end of
// that write may be due before the next heartbeat.
func (t *timers) reschedule(s *subscriber, now time.Time) {
	t.remove(s)
	t.schedule(s, now)
}

// insert adds a subscriber to the slot of the time at which something is next due. If
// there are neither heartbeats nor a blocked write with a limit, the subscriber is not
// in the wheel.
func (t *timers) insert(s *subscriber) {
	due := time.Time{}
	if t.heartbeat != 0 {
		due = time.Unix(0, s.lastActivity).Add(t.heartbeat)
	}
	if since := s.transport.stalledSince(); since != 0 && t.writeTimeout != 0 {
		if end := time.Unix(0, since).Add(t.writeTimeout); due.IsZero() || end.Before(due) {
			due = end
		}
	}
	if !due.IsZero() {
		t.add(s, due)
	}
}

// setTimer makes the timer fire at the time of the next slot that is not empty.
func (t *timers) setTimer(now time.Time) {
	if t.count > 0 {
		t.timer.Reset(t.next().Sub(now))
	}
}

// advance runs when the timer fires.
func (t *timers) advance() {
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	now := time.Now()
	t.turn(now)
	t.setTimer(now)
}

// turn handles the subscribers in all slots whose time has come. There may be several
// such slots, because the timer may fire late.
func (t *timers) turn(now time.Time) {
	for until := int64(now.Sub(t.startedAt) / t.tick); t.turnedTicks < until; {
		t.turnedTicks++
		slot := t.slots[t.turnedTicks%wheelSlots]
		t.slots[t.turnedTicks%wheelSlots] = nil
		t.count -= len(slot)
		for _, s := range slot {
			s.wheelSlot = 0
			t.handle(s, now)
		}
	}
}

// handle ends a subscriber that has expired or is stalled. For other subscribers, it
// starts a heartbeat if a heartbeat is due, and inserts the subscriber for the next time
// at which something is due.
func (t *timers) handle(s *subscriber, now time.Time) {
	at := now.UnixNano()
	if s.expired(now) { // the timer of expiries is late, because the clock was set
		t.st.endLocked(s, ErrExpired)
		return
	}
	if since := s.transport.stalledSince(); since != 0 && t.writeTimeout != 0 &&
		at-since >= int64(t.writeTimeout) {
		t.st.endLocked(s, fmt.Errorf("%w: it accepted no bytes for %v", ErrPeerGone, t.writeTimeout))
		return
	}
	if t.heartbeat != 0 && at-s.lastActivity >= int64(t.heartbeat) {
		if s.idle {
			s.heartbeatDue, s.idle = true, false
			s.transport.wake()
		} else {
			// The events that are being delivered replace the heartbeat, unless the
			// filter may reject all of them.
			s.heartbeatDue = s.opts.filter != nil
		}
		s.lastActivity = at // even if no heartbeat was sent: the next is due one interval later
	}
	t.insert(s)
}
