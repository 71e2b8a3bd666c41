package segmentlog

import (
	"errors"
	"fmt"
	"sync"
)

// damage has the damaged entries that readers have found. The goroutine trim marks them
// as removed.
type damage struct {
	mu      sync.Mutex // guards the following
	entries []damagedEntry
}

type damagedEntry struct {
	segment *segment
	ordinal int
	cost    uint64
}

// loseEntry notes that an entry cannot be read. From now on, it counts as removed.
func (l *Log) loseEntry(s *segment, i int, seq uint64, place loc) {
	l.losses.addForAll(lossMark{placeOf(seq), s.newestTime()})
	l.damage.mu.Lock()
	l.damage.entries = append(l.damage.entries, damagedEntry{s, i, costOf(place)})
	l.damage.mu.Unlock()
	l.report(s.name, int64(place.off), "an event cannot be read")
	l.lookSoon()
}

func placeOf(seq uint64) place { return place{seq: seq} }

// newestTime returns the newest time of the entries up to the end of the segment.
func (s *segment) newestTime() int64 {
	if m, ok := s.index().(*memIndex); ok {
		m.mu.RLock()
		defer m.mu.RUnlock()
		return m.newest
	}
	return s.time
}

// removeDamaged marks the entries that readers have found as removed.
func (l *Log) removeDamaged() error {
	l.damage.mu.Lock()
	entries := l.damage.entries
	l.damage.entries = nil
	l.damage.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		if e.segment.remove(e.ordinal, e.cost) {
			l.live.entries--
			l.live.bytes -= e.cost
			l.changedState = true
		}
	}
	return nil
}

// rebuild replaces the damaged footer of a segment by an index in memory.
func (l *Log) rebuild(s *segment, cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := s.index().(*footer); !ok {
		return nil // another goroutine has done it
	}
	file, err := l.files.acquire(s.name)
	if err != nil {
		return err
	}
	defer l.files.release(file)
	found, err := scanSegment(file, &s.header, make([]byte, s.end), ^uint64(0), l.flaws)
	if err != nil {
		return err
	}
	l.report(s.name, s.end, "its index is damaged, and is in memory now: "+cause.Error())
	l.lose(s, found)
	if found.torn { // the header of the last group is damaged, too
		l.losses.addForAll(lossMark{placeOf(s.last), s.time})
		l.report(s.name, found.end,
			fmt.Sprintf("the events %d to %d are damaged", found.index.last+1, s.last))
	}
	s.setIndex(found.index)
	return nil
}

// lose notes the damage that a scan has found.
func (l *Log) lose(s *segment, found *scanned) {
	for _, lost := range found.lost {
		if lost.from > lost.to {
			l.report(s.name, lost.off, "an idempotency key is damaged: a request that is "+
				"repeated with it is published again")
			continue
		}
		to := lost.to
		if s.sparse {
			to = max(to, s.last) // the rest of the segment is lost
		}
		l.losses.addForAll(lossMark{place{seq: to}, max(s.time, found.index.newest)})
		l.report(s.name, lost.off, fmt.Sprintf("the events %d to %d are damaged", lost.from, to))
	}
}

// withIndex calls f with the index of a segment. If the index is damaged, withIndex
// replaces it and calls f again.
func (l *Log) withIndex(s *segment, f func(index) error) error {
	err := f(s.index())
	if !errors.Is(err, errIndex) {
		return err
	}
	if err := l.rebuild(s, err); err != nil {
		return err
	}
	return f(s.index())
}
