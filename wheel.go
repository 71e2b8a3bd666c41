package sse

import (
	"slices"
	"time"
)

// wheel finds the subscribers for which something is due (a heartbeat, or the end of a
// blocked write: see timers), with one timer for all subscribers. The slots are a ring:
// each lasts one tick, and the slot of tick n is slots[n%wheelSlots].
//
//	slots   │     │   │ s s │ s │   │ s s s │ …
//	                ▲
//	                turnedTicks: the slots up to this tick were handled
//
// A subscriber is in at most one slot. When the time of the slot has come, timers.handle
// does what is due. Unless the subscriber ends, handle then inserts the subscriber into
// the slot in which something is due next. A write postpones the next heartbeat, but
// does not move the subscriber to a later slot. In that case handle finds nothing due.
//
// Invariants: a subscriber s in slots[i] has s.wheelSlot == i+1, and s.wheelIndex is its
// index in slots[i]. Other subscribers have s.wheelSlot == 0.
type wheel struct {
	slots       [wheelSlots][]*subscriber
	tick        time.Duration
	startedAt   time.Time
	turnedTicks int64 // ticks since startedAt that were handled
	count       int   // subscribers in all slots
	timer       *time.Timer
}

const wheelSlots = 64

// init sets the length of a tick: a sixteenth of the heartbeat interval, but at least a
// millisecond and at most a second. Without heartbeats, a tick is a second.
func (w *wheel) init(now time.Time, interval time.Duration) {
	w.startedAt = now
	w.tick = time.Second
	if interval > 0 {
		w.tick = min(max(interval/16, time.Millisecond), time.Second)
	}
}

// tickAt returns the number of the first tick that does not end before t.
func (w *wheel) tickAt(t time.Time) int64 {
	return int64((t.Sub(w.startedAt) + w.tick - 1) / w.tick)
}

// add inserts a subscriber into the slot of the time due. A time that is further away
// than wheelSlots ticks has no slot yet. In that case add uses the slot that comes last,
// and timers.handle inserts the subscriber again when the time of that slot has come.
func (w *wheel) add(s *subscriber, due time.Time) {
	at := min(max(w.tickAt(due), w.turnedTicks+1), w.turnedTicks+wheelSlots)
	slot := &w.slots[at%wheelSlots]
	s.wheelSlot, s.wheelIndex = int32(at%wheelSlots)+1, int32(len(*slot))
	*slot = append(*slot, s)
	w.count++
}

// remove removes a subscriber, if it is in the wheel.
func (w *wheel) remove(s *subscriber) {
	if s.wheelSlot == 0 {
		return
	}
	slot := &w.slots[s.wheelSlot-1]
	last := len(*slot) - 1
	(*slot)[s.wheelIndex] = (*slot)[last]
	(*slot)[s.wheelIndex].wheelIndex = s.wheelIndex
	*slot = slices.Delete(*slot, last, last+1)
	s.wheelSlot = 0
	if w.count--; w.count == 0 {
		w.timer.Stop()
	}
}

// next returns the time of the next slot that is not empty. The wheel must not be empty.
func (w *wheel) next() time.Time {
	at := w.turnedTicks + 1
	for len(w.slots[at%wheelSlots]) == 0 {
		at++
	}
	return w.startedAt.Add(time.Duration(at) * w.tick)
}

// catchUp sets turnedTicks of an empty wheel to the current tick. While a wheel is empty,
// no timer is set, so timers.advance does not do this.
func (w *wheel) catchUp(now time.Time) {
	if w.count == 0 {
		w.turnedTicks = max(w.turnedTicks, int64(now.Sub(w.startedAt)/w.tick))
	}
}
