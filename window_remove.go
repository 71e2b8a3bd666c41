package sse

import (
	"cmp"
	"slices"
	"time"
)

// trim removes the entries that exceed the limits for all topics: the oldest entries, or
// the oldest heavy entries if overhead or usedTopics is above its limit. Otherwise a few
// heavy entries would displace thousands of others that a subscriber may not have
// received yet. The newest entry stays.
func (w *window) trim(now time.Time) {
	oldest := int64(0)
	if w.limits.Age > 0 {
		oldest = now.Add(-w.limits.Age).UnixNano()
	}
	for w.first < len(w.entries) {
		e := w.entries[w.first]
		switch {
		case e.time < oldest:
		case w.live == 1:
			return
		case w.limits.Events >= 0 && w.live > w.limits.Events,
			w.limits.Bytes >= 0 && w.bytes > w.limits.Bytes:
		default:
			if e = w.excess(e); e == nil {
				return
			}
		}
		w.remove(e)
	}
}

// excess returns the entry to remove next because of the limits of overhead and
// usedTopics, or nil. oldest is the oldest entry.
func (w *window) excess(oldest *entry) *entry {
	overhead, topics := w.overhead, w.usedTopics
	fits := func() bool {
		return topics <= maxAllTopics && (w.limits.Bytes < 0 || overhead <= w.maxOverhead())
	}
	switch {
	case fits():
		return nil
	case len(w.heavy) == 0:
		return oldest
	case w.heavy[0].seq != w.last.Seq:
		return w.heavy[0]
	}
	// The newest entry is the only heavy one, and stays. To remove other entries would not
	// compensate for it.
	overhead -= w.weight(w.heavy[0])
	topics -= len(w.heavy[0].topics)
	if fits() {
		return nil
	}
	return oldest
}

// maxOverhead returns the limit of overhead if Bytes is limited.
func (w *window) maxOverhead() int64 { return max(w.limits.Bytes, minOverhead) }

// weight returns about how much overhead an entry causes, if no other entry has its
// topics.
func (w *window) weight(e *entry) int64 {
	n := e.overhead()
	for _, t := range e.topics {
		n += t.memory
	}
	return n
}

// isHeavy reports whether an entry is heavy: whether defaultMaxLag entries of its weight
// exceed the limit of overhead or usedTopics. So heavy entries cannot displace an entry
// that is not heavy, as long as a subscriber may receive that entry without exceeding the
// default of Selection.MaxLag.
func (w *window) isHeavy(e *entry) bool {
	return len(e.topics) > maxAllTopics/defaultMaxLag ||
		w.limits.Bytes >= 0 && w.weight(e) > w.maxOverhead()/defaultMaxLag
}

// remove removes an entry: the oldest entry, an entry that no topic retains, or an
// entry for Broker.Forget.
func (w *window) remove(e *entry) {
	e.removed = true
	w.live--
	w.bytes -= int64(len(e.framed))
	w.overhead -= e.overhead()
	if e.ownID {
		w.removeID(e)
	}
	if i, ok := slices.BinarySearchFunc(w.heavy, e.seq, func(e *entry, seq uint64) int {
		return cmp.Compare(e.seq, seq)
	}); ok && i == 0 { // the usual case, even with many heavy entries
		w.heavy[0] = nil
		w.heavy = w.heavy[1:]
	} else if ok {
		w.heavy = slices.Delete(w.heavy, i, i+1)
	}
	var stone *entry
	if w.entries[w.first] != e {
		stone = w.tombstone(e)
	}
	for _, c := range w.chainsOf(e) {
		if stone != nil {
			c.replace(stone)
		}
		c.noteRemoved()
		w.overhead -= c.itemOverhead()
		if !w.lossless {
			w.markLost(c, e)
		}
	}
	for _, t := range e.topics {
		if e.seq > t.retainedAfter {
			t.release(e)
			w.aging.update(t)
		}
		w.discharge(t)
		w.removeIfUnused(t)
	}
	for w.first < len(w.entries) && w.entries[w.first].removed {
		if e := w.entries[w.first]; w.lossless {
			w.baseTime = max(w.baseTime, e.time)
			if e.seq > w.base.Seq {
				w.base = e.position(w.epoch)
			}
		}
		w.entries[w.first] = nil
		w.first++
	}
	if removed := len(w.entries) - w.live; removed > 1024 && removed > len(w.entries)/2 {
		w.entries = slices.DeleteFunc(w.entries, func(e *entry) bool { return e == nil || e.removed })
		w.first = 0
	}
}

// tombstone replaces an entry that is removed from the middle of the window by an entry
// without an event and topics. The field entries and the chains need the sequence until
// they are compacted, but must not retain the memory of e for so long.
func (w *window) tombstone(e *entry) *entry {
	stone := &entry{seq: e.seq, time: e.time, check: e.check, removed: true}
	w.entriesBetween(e.seq-1, e.seq)[0] = stone
	return stone
}
