package segmentlog

import (
	"errors"
	"math"
	"slices"
)

// reclaim gives back the space of removed entries. It removes the files of segments and
// of keys that are not needed any more, and rewrites segments of which more than half is
// removed. It begins with what needs no space on the disk. l.trimming is held.
func (l *Log) reclaim() error {
	for _, step := range []func() error{
		l.removeEmpty, l.sealRemoved, l.removeEmpty, l.rewriteSome,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes the segments and key files from which nothing is needed any more.
func (l *Log) removeEmpty() error {
	var empty []string
	l.mu.Lock()
	segments := l.list()
	left := make([]*segment, 0, len(segments))
	for i, s := range segments {
		if s.live.entries > 0 || i == len(segments)-1 {
			left = append(left, s)
		} else {
			empty = append(empty, s.name)
		}
	}
	if len(empty) > 0 {
		l.setSegments(left)
	}
	l.mu.Unlock()
	return l.removeFiles(append(empty, l.keys.drop()...))
}

// removeFiles writes the state, which does not name the files any more, and removes them.
// What it cannot remove, it removes the next time.
func (l *Log) removeFiles(names []string) error {
	l.garbage = append(l.garbage, names...)
	if len(l.garbage) == 0 {
		return nil
	}
	l.stating.Lock()
	defer l.stating.Unlock()
	if err := l.writeState(); err != nil {
		return err
	}
	for len(l.garbage) > 0 {
		if err := l.files.remove(l.garbage[0]); err != nil {
			return err
		}
		l.garbage = l.garbage[1:]
	}
	return nil
}

// minRewrite is the number of bytes that a tail must have so that it is sealed because
// its entries were removed.
const minRewrite = 64 << 10

// sealRemoved asks commit for a new tail if most entries of the tail were removed, so
// that the tail can be rewritten.
func (l *Log) sealRemoved() error {
	l.mu.Lock()
	bytes := l.tail.index().cost()
	needed := bytes >= minRewrite && l.tail.live.bytes < bytes/2
	l.mu.Unlock()
	if !needed {
		return nil
	}
	done := make(chan error, 1)
	select {
	case l.seals <- done:
		return <-done
	case <-l.closing:
		return ErrClosed
	case <-l.failed:
		return l.failure
	}
}

// rewriteSome rewrites segments of which more than half is removed, or an eighth if the
// disk is full. Neighbors become one segment, as long as it is not larger than a segment
// usually is.
func (l *Log) rewriteSome() error {
	for {
		part := uint64(2)
		if l.space.isFull() {
			part = 8
		}
		l.mu.Lock()
		run := l.rewritable(part)
		l.mu.Unlock()
		if run == nil {
			return nil
		}
		if err := l.rewrite(run); err != nil {
			return err
		}
	}
}

// rewritable returns adjacent segments to rewrite, or nil. It is worth it to rewrite a
// segment if its size divided by part is removed. l.mu is held.
func (l *Log) rewritable(part uint64) (run []*segment) {
	segments := l.list()
	size := uint64(0)
	worthIt := func() bool {
		const many = 8 // small segments, which become one
		return len(run) >= many || slices.ContainsFunc(run, func(s *segment) bool {
			return s.isRemovedBy(part)
		})
	}
	for _, s := range segments[:len(segments)-1] {
		if s.live.entries == 0 {
			continue // reclaim removes it
		}
		small := s.isRemovedBy(part) || s.live.bytes < uint64(l.segmentSize)/8
		fits := len(run) == 0 || size+s.live.bytes <= uint64(l.segmentSize) &&
			s.last-run[0].base < math.MaxUint32
		if !fits || !small {
			if worthIt() {
				return run
			}
			run, size = nil, 0
		}
		if small {
			run = append(run, s)
			size += s.live.bytes
		}
	}
	if worthIt() {
		return run
	}
	return nil
}

// isRemovedBy reports whether the removed entries of a segment take more than its size
// divided by part.
func (s *segment) isRemovedBy(part uint64) bool {
	size := s.index().cost()
	return s.live.bytes < size-size/part
}

// rewrite replaces adjacent segments by one that has only what is not removed.
func (l *Log) rewrite(run []*segment) error {
	first, last := run[0], run[len(run)-1]
	s := &segment{turn: first.turn + 1, name: segmentName(first.base, first.turn+1)}
	s.header = header{
		marker: newMarker(), log: l.id, base: first.base, newest: first.newest, sum: first.sum,
		sparse: true,
	}
	w := &rewriter{Log: l, segment: s, idx: newMemIndex(s.base, s.newest, true), off: headerSize}
	if err := l.space.retry(func() error { return w.write(run) }); err != nil {
		return errors.Join(err, l.files.remove(s.name))
	}
	t := &w.trailer
	l.mu.Lock()
	l.setFooter(s, t)
	removed := w.removedMeanwhile()
	s.live = count{t.count - removed.entries, t.bytes - removed.bytes}
	segments := slices.Clone(l.list())
	at := slices.Index(segments, first)
	end := slices.Index(segments, last) + 1
	var names []string
	for _, old := range segments[at:end] { // run, and segments between that have no entries
		names = append(names, old.name)
	}
	l.setSegments(slices.Replace(segments, at, end, s))
	l.mu.Unlock()
	return l.removeFiles(names)
}

// rewriter writes a segment with the live entries of others.
type rewriter struct {
	*Log
	segment *segment
	idx     *memIndex
	trailer trailer
	off     int64
	from    []doomed // where each entry was
}

// write writes the file.
func (w *rewriter) write(run []*segment) error {
	s, last := w.segment, run[len(run)-1]
	file, err := w.files.draft(s.name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(s.header.encode(), 0)
	w.idx, w.off, w.from = newMemIndex(s.base, s.newest, true), headerSize, nil
	var frames frameReader
	defer frames.close()
	for _, old := range run {
		if err == nil {
			err = w.copyEntries(file, &frames, old)
		}
	}
	if err == nil {
		w.trailer = trailer{
			marker: s.marker, base: s.base, last: last.last, newest: last.time,
			end: uint64(w.off), sparse: 1,
		}
		_, err = file.WriteAt(appendFooter(nil, &w.trailer, w.idx), w.off)
	}
	if err := w.files.publish(s.name, file, err); err != nil {
		return err
	}
	return w.files.fs.SyncDir(w.dir)
}

// maxCopy is about the size of a group in a rewritten segment.
const maxCopy = 256 << 10

// copyEntries copies the entries of a segment that are not removed.
func (w *rewriter) copyEntries(file interface {
	WriteAt(p []byte, off int64) (int, error)
}, frames *frameReader, old *segment) error {
	var set bitset
	if err := w.withIndex(old, func(idx index) (err error) {
		set, err = newSelector(nil).in(old, idx)
		return err
	}); err != nil {
		return err
	}
	buf := make([]byte, groupSize, maxCopy)
	g := groupHeader{}
	flush := func() error {
		if g.count == 0 {
			return nil
		}
		g.size = uint32(len(buf) - groupSize)
		g.put(buf, w.segment.marker)
		_, err := file.WriteAt(buf, w.off)
		w.off += int64(len(buf))
		buf, g = buf[:groupSize], groupHeader{}
		return err
	}
	var h head
	for i := set.next(0); i >= 0; i = set.next(i + 1) {
		payload, sum, seq, err := w.frame(frames, old, i)
		if err != nil {
			return err
		}
		if payload == nil {
			continue
		}
		if err := h.parse(view(payload)); err != nil {
			return err
		}
		if g.count == 0 {
			g.first = seq
		}
		start := len(buf)
		buf, _ = beginFrame(buf)
		buf = append(buf, payload...)
		endFrame(buf, start)
		place := loc{uint32(w.off) + uint32(start), uint32(len(buf) - start)}
		w.idx.add(&h, place, sum)
		w.from = append(w.from, doomed{segment: old, ordinal: i, cost: costOf(place)})
		if g.count++; len(buf) >= maxCopy {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// removedMeanwhile marks the entries as removed that were damaged while the others were
// copied. l.mu is held.
func (w *rewriter) removedMeanwhile() (removed count) {
	for i, d := range w.from {
		if d.segment.isRemoved(d.ordinal) {
			w.segment.remove(i, d.cost)
			removed.entries++
			removed.bytes += d.cost
		}
	}
	w.segment.live = count{}
	return removed
}
