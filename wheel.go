package sse

import (
	"fmt"
	"time"
)

// wheel knows when something is due for subscribers: one timer for all of them.
//
//	slots   │ s s │ s │   │ s s s │ …      each is a tick long
//	                    ▲
//	                    turned
//
// A subscriber is in one slot. When its slot comes it is looked at, and put where
// it is due next: writing to it costs nothing here.
//
// Invariants: a subscriber in slots[i] has slot i, and slotAt is its index there.
type wheel struct {
	slots  [wheelSlots][]*subscriber
	tick   time.Duration
	began  time.Time
	turned int64 // ticks since began that were dealt with
	count  int
	timer  *time.Timer
	ring   time.Time // when the timer fires, or zero
}

const wheelSlots = 64

// init sets how exact the wheel is: a sixteenth of the interval that matters, at
// most a second.
func (w *wheel) init(now time.Time, interval time.Duration) {
	w.began = now
	w.tick = time.Second
	if interval > 0 {
		w.tick = min(max(interval/16, time.Millisecond), time.Second)
	}
}

// ticks is the number of the tick that ends at t or after it.
func (w *wheel) ticks(t time.Time) int64 {
	return int64((t.Sub(w.began) + w.tick - 1) / w.tick)
}

// add puts a subscriber where it is due, or as far ahead as the wheel reaches.
func (w *wheel) add(s *subscriber, due time.Time) {
	at := min(max(w.ticks(due), w.turned+1), w.turned+wheelSlots)
	s.slot = int32(at % wheelSlots)
	slot := &w.slots[s.slot]
	s.slotAt = int32(len(*slot))
	*slot = append(*slot, s)
	w.count++
}

func (w *wheel) remove(s *subscriber) {
	if s.slot < 0 {
		return
	}
	slot := w.slots[s.slot]
	last := len(slot) - 1
	slot[s.slotAt] = slot[last]
	slot[s.slotAt].slotAt = s.slotAt
	slot[last] = nil
	w.slots[s.slot] = slot[:last]
	s.slot = -1
	if w.count--; w.count == 0 && w.timer != nil {
		w.timer.Stop()
		w.ring = time.Time{}
	}
}

// next is the time at which the next slot with anybody in it comes.
func (w *wheel) next() time.Time {
	for i := int64(1); i <= wheelSlots; i++ {
		if len(w.slots[(w.turned+i)%wheelSlots]) > 0 {
			return w.began.Add(time.Duration(w.turned+i) * w.tick)
		}
	}
	return time.Time{}
}

// schedule puts a subscriber where something is due for it. Called with mu held.
func (c *core) schedule(s *subscriber, now time.Time) {
	c.wheel.catchUp(now)
	c.place(s)
	c.wind(now)
}

func (c *core) place(s *subscriber) {
	due := time.Time{}
	if c.interval > 0 {
		due = time.Unix(0, s.active).Add(c.interval)
	}
	if expires := s.expires(); expires != 0 {
		if end := time.Unix(0, expires); due.IsZero() || end.Before(due) {
			due = end
		}
	}
	if since := s.wait.overdue(); since != 0 && c.stream.WriteTimeout > 0 {
		if end := time.Unix(0, since).Add(c.stream.WriteTimeout); due.IsZero() || end.Before(due) {
			due = end
		}
	}
	if s.slot = -1; due.IsZero() {
		return
	}
	c.wheel.add(s, due)
}

// reschedule is schedule for one that is due earlier than it was.
func (c *core) reschedule(s *subscriber, now time.Time) {
	c.wheel.remove(s)
	c.schedule(s, now)
}

// catchUp moves an empty wheel on: nobody has turned it.
func (w *wheel) catchUp(now time.Time) {
	if w.count == 0 {
		w.turned = max(w.turned, int64(now.Sub(w.began)/w.tick))
	}
}

// wind sets the timer for what is due next.
func (c *core) wind(now time.Time) {
	w := &c.wheel
	if w.count == 0 {
		return
	}
	next := w.next()
	if !w.ring.IsZero() && !next.Before(w.ring) {
		return
	}
	w.ring = next
	wait := max(next.Sub(now), 0)
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, c.turn)
	} else {
		w.timer.Reset(wait)
	}
}

// turn deals with every slot whose time has come.
func (c *core) turn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.wheel
	w.ring = time.Time{}
	now := time.Now()
	for until := int64(now.Sub(w.began) / w.tick); w.turned < until && w.count > 0; {
		w.turned++
		slot := w.slots[w.turned%wheelSlots]
		w.slots[w.turned%wheelSlots] = nil
		w.count -= len(slot)
		for _, s := range slot {
			s.slot = -1
			c.due(s, now)
		}
	}
	w.catchUp(now)
	c.wind(now)
}

// due does for a subscriber what is due, and schedules what comes next.
func (c *core) due(s *subscriber, now time.Time) {
	at := now.UnixNano()
	if expires := s.expires(); expires != 0 && at >= expires {
		c.endLocked(s, ErrExpired)
		return
	}
	if since := s.wait.overdue(); since != 0 && c.stream.WriteTimeout > 0 &&
		at-since >= int64(c.stream.WriteTimeout) {
		c.endLocked(s, fmt.Errorf("%w: it took nothing for %v", ErrPeerGone, c.stream.WriteTimeout))
		return
	}
	if c.interval > 0 && at-s.active >= int64(c.interval) {
		switch {
		case s.end != nil:
		case s.idle:
			s.beat, s.idle = true, false
			s.wait.wake()
		default:
			s.beat = s.terms.filter != nil // perhaps nothing comes of what it is at
		}
		s.active = at // the next is due after another interval, sent or not
	}
	c.place(s)
}
