package sse

import "time"

// wheel finds the subscribers for which something is due, with one timer for all
// of them.
//
//	slots   │ s s │ s │   │ s s s │ …      each lasts one tick
//	                    ▲
//	                    turnedTicks
//
// A subscriber is in at most one slot. When the time of the slot has come, the
// subscriber is checked, and inserted where something is due next. Writing to a
// subscriber does not move it.
//
// Invariants: a subscriber in slots[i] has wheelSlot i, and wheelIndex is its
// index there.
type wheel struct {
	slots       [wheelSlots][]*subscriber
	tick        time.Duration
	startedAt   time.Time
	turnedTicks int64 // ticks since startedAt that were handled
	count       int   // subscribers in all slots
	timer       *time.Timer
	timerAt     time.Time // when the timer fires, or zero
}

const wheelSlots = 64

// init sets the length of a tick: a sixteenth of an interval, but at least a
// millisecond and at most a second.
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

// add inserts a subscriber in the slot of the time due, or in the last slot that
// the wheel reaches.
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

// catchUp turns an empty wheel to now, because no timer turns it.
func (w *wheel) catchUp(now time.Time) {
	if w.count == 0 {
		w.turnedTicks = max(w.turnedTicks, int64(now.Sub(w.startedAt)/w.tick))
	}
}
