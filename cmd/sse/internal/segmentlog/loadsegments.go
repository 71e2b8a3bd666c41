package segmentlog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// loadSegments finds the segments of the log and the end of the log.
func (l *loader) loadSegments() error {
	l.scans = map[*segment]*scanned{}
	chosen := l.choose()
	for i, c := range chosen {
		s, err := l.openSegment(c.name, c.same())
		if err != nil && !isMissing(err) {
			return err
		}
		if s == nil {
			l.loseSegment(c)
			continue
		}
		if n := len(l.found); n > 0 {
			s.newest = max(s.newest, l.found[n-1].time) // its header may be damaged
		}
		if s.idx.Load() == nil {
			if err := l.scan(s, c.known, i == len(chosen)-1); err != nil {
				return err
			}
		}
		if known := c.same(); known != nil {
			s.setRemoved(known.removed)
		}
		if l.isLeftover(s) {
			l.obsolete = append(l.obsolete, c.name)
			continue
		}
		if stop := c.known == nil && l.checkOrder(s); stop {
			for _, later := range chosen[i:] {
				l.obsolete = append(l.obsolete, later.name)
			}
			break
		}
		l.found = append(l.found, s)
	}
	return l.findEnd()
}

// choice is a file that may be a segment of the log.
type choice struct {
	name       string
	base, last uint64        // last is zero if unknown
	known      *segmentState // of the same base; nil if the state names none
}

// same returns the entry of the file in the state. It is nil if the state names an
// earlier turn: then the file does not have the entries that the state names as removed.
func (c *choice) same() *segmentState {
	if c.known == nil || c.known.name() != c.name {
		return nil
	}
	return c.known
}

// choose returns the segments that the state names, and those after it. A segment that
// the state names may have been rewritten since: then its last version counts.
func (l *loader) choose() []choice {
	files := map[uint64]uint32{} // the last turn of each base
	for _, name := range l.names {
		if base, turn, ok := parseSegmentName(name); ok {
			files[base] = max(files[base], turn)
		}
	}
	var chosen []choice
	used := map[string]bool{}
	next := uint64(0)
	if l.known != nil {
		for i := range l.known.segments {
			s := &l.known.segments[i]
			name := s.name()
			if !l.has(name) && files[s.base] > s.turn {
				name = segmentName(s.base, files[s.base])
			}
			chosen = append(chosen, choice{name, s.base, s.last, s})
			used[name], next = true, s.base+1
		}
	}
	for _, base := range slices.Sorted(maps.Keys(files)) {
		name := segmentName(base, files[base])
		if base >= next && !used[name] && l.hasGroups(name) {
			chosen = append(chosen, choice{name: name, base: base})
			used[name] = true
		}
	}
	for _, name := range l.names {
		_, _, ok := parseSegmentName(name)
		if ok && !used[name] || strings.HasSuffix(name, draftSuffix) {
			l.obsolete = append(l.obsolete, name)
		}
	}
	return chosen
}

// hasGroups reports whether a file can have more than the header of a segment. If the
// state does not name the file, the log could not go on after createTail.
func (l *loader) hasGroups(name string) bool {
	file, err := l.files.fs.Open(l.files.path(name))
	if err != nil {
		return true
	}
	defer file.Close()
	size, err := file.Size()
	return err != nil || size > headerSize
}

// loseSegment notes that a segment is missing or cannot be read at all.
func (l *loader) loseSegment(c choice) {
	if c.known == nil {
		l.report(c.name, 0, "it is not a file of this log")
		return
	}
	last := c.last
	if last == 0 {
		last = max(c.base, l.mark.was.acked)
		l.lost = cmp.Or(l.lost, "its last file is missing")
	}
	l.losses.addForAll(lossMark{place{seq: last}, l.now().UnixNano()})
	l.changed = true
	l.report(c.name, 0, "the file is missing or cannot be read")
}

// memory returns size bytes, which are valid until the next call.
func (l *loader) memory(size int64) []byte {
	if size > int64(cap(l.buf)) {
		l.buf = make([]byte, size)
	}
	return l.buf[:size]
}

// scan reads a segment that has no footer.
func (l *loader) scan(s *segment, known *segmentState, isLast bool) error {
	file, err := l.files.acquire(s.name)
	if err != nil {
		return err
	}
	defer l.files.release(file)
	size, err := file.Size()
	if err != nil {
		return err
	}
	acked := l.mark.was.acked
	if !isLast {
		acked = 1<<64 - 1
	}
	found, err := scanSegment(file, &s.header, l.memory(size), acked, l.flaws)
	if err != nil {
		return err
	}
	s.setIndex(found.index)
	s.last, s.time, s.end = found.index.last, found.index.newest, found.end
	l.scans[s] = found
	l.lose(s, found)
	for _, lost := range found.lost {
		for seq := lost.from; !s.sparse && seq <= lost.to; seq++ {
			s.remove(int(seq-s.base), 0)
		}
		l.changed = true
	}
	if isLast && (known == nil || known.last == 0) {
		return nil
	}
	l.report(s.name, s.end, "its index is missing or damaged, and is in memory now")
	if known != nil && known.last > s.last {
		l.losses.addForAll(lossMark{place{seq: known.last}, s.time})
		l.report(s.name, s.end,
			fmt.Sprintf("the events %d to %d are missing", s.last+1, known.last))
		s.last = known.last
	}
	l.changed = true
	return nil
}

// isLeftover reports whether another segment has the numbers of a segment: the log could
// not remove the segment, or the state does not name yet the one that replaces both.
func (l *loader) isLeftover(s *segment) bool {
	n := len(l.found)
	return n > 0 && s.base <= l.found[n-1].last
}

// checkOrder reports whether the log ends before a segment that the state does not name.
// (Before a segment that it names, others may have been removed.) In a copy that was made
// while the log was written to, the end of a segment may be missing although there is a
// later one.
func (l *loader) checkOrder(s *segment) (stop bool) {
	if len(l.found) == 0 {
		return false
	}
	before := l.found[len(l.found)-1]
	if before.last+1 >= s.base {
		return false
	}
	if l.isCopy {
		return true
	}
	l.losses.addForAll(lossMark{place{seq: s.base - 1}, s.newest})
	l.changed = true
	l.report(before.name, before.end,
		fmt.Sprintf("the events %d to %d are missing", before.last+1, s.base-1))
	return false
}

// findEnd finds the newest entry.
func (l *loader) findEnd() error {
	var end place
	if n := len(l.found); n > 0 {
		last := l.found[n-1]
		end = place{last.last, 0}
		l.last, l.lastEnd = last.name, last.end
		switch idx := last.index().(type) {
		case *memIndex:
			end.sum = idx.lastSum
		case *footer:
			end.sum = uint32(idx.lastSum)
		}
	}
	l.stored = end.seq
	l.end.Store(&end)
	return nil
}

// report logs damage, or calls Options.OnDamage.
func (l *Log) report(name string, off int64, what string) {
	if l.onDamage != nil {
		l.onDamage(Damage{name, off, what})
		return
	}
	l.logger.Error("sse: a file of the log is damaged", "file", l.files.path(name),
		"offset", off, "damage", what)
}

// adopt makes what was found the log. It opens the tail for writing, cuts off what was
// not written completely, and removes files that do not belong to the log any more.
func (l *loader) adopt() error {
	if l.known != nil {
		l.losses.addForAll(l.known.merged)
		l.losses.add(l.known.marks)
		if l.known.rules == rulesHash(l.rules) {
			l.sweeps = maps.Clone(l.known.sweeps)
		}
	}
	if err := l.settle(); err != nil {
		return err
	}
	if err := l.removeObsolete(); err != nil {
		return err
	}
	for _, s := range l.found {
		if err := l.recount(s); err != nil {
			return err
		}
		l.live.entries += s.live.entries
		l.live.bytes += s.live.bytes
	}
	if err := l.openTail(); err != nil {
		return err
	}
	l.setSegments(l.found)
	return nil
}

// settle makes stable what a process that was killed has written and not synced.
func (l *loader) settle() error {
	for _, s := range l.found {
		if !l.isAfterState(s.base) {
			continue
		}
		file, err := l.files.fs.OpenReadWrite(l.files.path(s.name))
		if err != nil {
			return err
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return err
		}
	}
	return l.files.fs.SyncDir(l.dir)
}

// removeObsolete removes segments, so that they are not there again after a crash.
func (l *loader) removeObsolete() error {
	if len(l.obsolete) == 0 {
		return nil
	}
	for _, name := range l.obsolete {
		if err := l.files.remove(name); err != nil {
			return err
		}
	}
	return l.files.fs.SyncDir(l.dir)
}

// recount counts the entries of a segment that are not removed.
func (l *loader) recount(s *segment) error {
	if l.known != nil {
		i := slices.IndexFunc(l.known.segments, func(k segmentState) bool {
			return k.base == s.base && k.turn == s.turn && k.last != 0
		})
		if _, sealed := s.index().(*footer); i >= 0 && sealed {
			s.live = l.known.segments[i].live
			return nil
		}
	}
	switch idx := s.index().(type) {
	case *memIndex:
		s.live = count{uint64(len(idx.locs)), idx.bytes}
	case *footer:
		s.live = count{idx.count, idx.bytes}
	}
	removed := s.removed.Load()
	if removed == nil {
		return nil
	}
	for i := removed.next(0); i >= 0 && i < s.index().len(); i = removed.next(i + 1) {
		place, err := s.index().loc(i)
		if err != nil {
			return err
		}
		s.live.entries--
		s.live.bytes -= costOf(place)
	}
	return nil
}

// openTail opens the last segment for writing, or creates a new one.
func (l *loader) openTail() error {
	if n := len(l.found); n > 0 {
		last := l.found[n-1]
		scan := l.scans[last]
		if scan != nil && scan.end >= headerSize && !last.sparse && last.last == scan.index.last {
			return l.continueTail(last, scan)
		}
		if last.index().len() == 0 {
			l.found = l.found[:n-1] // only its header is missing
		}
	}
	end := l.end.Load()
	newest := int64(0)
	if n := len(l.found); n > 0 {
		newest = l.found[n-1].time
	}
	if l.known != nil {
		end.seq = max(end.seq, l.known.segments[len(l.known.segments)-1].base-1)
	}
	if l.mark.was.epoch == l.epoch || l.isNew {
		end.seq = max(end.seq, l.mark.was.acked)
	}
	next, err := l.createTail(end.seq+1, newest, end.sum)
	if err != nil {
		return err
	}
	l.changed = true
	l.tail, l.found = next, append(l.found, next.segment)
	return nil
}

// continueTail opens the last segment, which has no footer, for writing.
func (l *loader) continueTail(s *segment, scan *scanned) error {
	file, err := l.files.fs.OpenReadWrite(l.files.path(s.name))
	if err != nil {
		return err
	}
	s.last, s.time, s.end = 0, 0, 0 // these change now
	l.tail = &tail{segment: s, file: file, end: scan.end, dirty: scan.torn}
	l.keys.remember(scan.keys)
	if err := l.tail.cut(); err != nil {
		return errors.Join(err, file.Close())
	}
	return nil
}
