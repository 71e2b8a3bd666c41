package sse

import "time"

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
// Invariants: a subscriber s in slots[i] has s.wheelSlot == i, and s.wheelIndex is its
// index in slots[i].
type wheel struct {
	slots       [wheelSlots][]*subscriber
	tick        time.Duration
	startedAt   time.Time
	turnedTicks int64 // ticks since startedAt that were handled
	count       int   // subscribers in all slots
	timer       *time.Timer
	timerAt     time.Time // when the timer fires; zero if it is not set
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
	s.wheelSlot = int32(at % wheelSlots)
	slot := &w.slots[s.wheelSlot]
	s.wheelIndex = int32(len(*slot))
	*slot = append(*slot, s)
	w.count++
}

// remove removes a subscriber, if it is in the wheel.
func (w *wheel) remove(s *subscriber) {
	if s.wheelSlot < 0 {
		return
	}
	slot := w.slots[s.wheelSlot]
	last := len(slot) - 1
	slot[s.wheelIndex] = slot[last]
	slot[s.wheelIndex].wheelIndex = s.wheelIndex
	slot[last] = nil
	w.slots[s.wheelSlot] = slot[:last]
	s.wheelSlot = -1
	if w.count--; w.count == 0 && w.timer != nil {
		w.timer.Stop()
		w.timerAt = time.Time{}
	}
}

// next returns the time of the next slot that is not empty, or zero.
func (w *wheel) next() time.Time {
	for i := int64(1); i <= wheelSlots; i++ {
		if len(w.slots[(w.turnedTicks+i)%wheelSlots]) > 0 {
			return w.startedAt.Add(time.Duration(w.turnedTicks+i) * w.tick)
		}
	}
	return time.Time{}
}

// catchUp sets turnedTicks of an empty wheel to the current tick. While a wheel is empty
// no timer is set, so timers.advance does not do this.
func (w *wheel) catchUp(now time.Time) {
	if w.count == 0 {
		w.turnedTicks = max(w.turnedTicks, int64(now.Sub(w.startedAt)/w.tick))
	}
}
