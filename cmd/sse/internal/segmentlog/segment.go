package segmentlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync/atomic"
)

// segment is a file with consecutive entries of the log. Entries are added only to the
// last segment of a log, the tail. When the tail is large enough, it is sealed: it gets a
// footer.
type segment struct {
	header
	name string // of the file
	turn uint32 // how often the segment was rewritten

	// idx is a *memIndex if the segment is the tail, or if its footer is damaged, and
	// otherwise a *footer.
	idx atomic.Pointer[index]

	// last is the highest number that the segment stands for, if it is not the tail.
	last uint64
	time int64 // the newest time of all entries up to last, if it is not the tail
	end  int64 // where the groups end, if it is not the tail

	// removed has the entries that were removed. A set that is stored here is long
	// enough for all entries that were in the segment. Log.mu is held by a goroutine
	// that adds elements.
	removed atomic.Pointer[bitset]

	live count // entries that are not removed; guarded by Log.mu
}

// count is a number of entries, and the sum of their costs.
type count struct{ entries, bytes uint64 }

const segmentSuffix = ".events"

// segmentName returns the name of a segment's file.
func segmentName(base uint64, turn uint32) string {
	return fmt.Sprintf("%020d-%d%s", base, turn, segmentSuffix)
}

// parseSegmentName is the inverse of segmentName.
func parseSegmentName(name string) (base uint64, turn uint32, ok bool) {
	stem, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, 0, false
	}
	number, generation, ok := strings.Cut(stem, "-")
	if !ok {
		return 0, 0, false
	}
	base, err := strconv.ParseUint(number, 10, 64)
	n, err2 := strconv.ParseUint(generation, 10, 32)
	ok = err == nil && err2 == nil && segmentName(base, uint32(n)) == name
	return base, uint32(n), ok
}

// index returns the index of the segment.
func (s *segment) index() index { return *s.idx.Load() }

func (s *segment) setIndex(i index) { s.idx.Store(&i) }

// isRemoved reports whether an entry was removed.
func (s *segment) isRemoved(i int) bool {
	removed := s.removed.Load()
	return removed != nil && removed.has(i)
}

// remove marks an entry as removed, and reports whether it was not. Log.mu is held.
func (s *segment) remove(i int, cost uint64) bool {
	if s.isRemoved(i) {
		return false
	}
	removed := s.removed.Load()
	if removed == nil || i/64 >= len(*removed) {
		larger := newBitset(max(s.index().len(), i+1))
		if removed != nil {
			copy(larger, *removed)
		}
		removed = &larger
		removed.addShared(i)
		s.removed.Store(removed)
	} else {
		removed.addShared(i)
	}
	s.live.entries--
	s.live.bytes -= cost
	return true
}

// setRemoved adds the removed entries that the state names. Numbers of entries that are
// lost may be used again, in a new epoch.
func (s *segment) setRemoved(known bitset) {
	n := s.index().len()
	for i := known.next(0); i >= 0 && i < n; i = known.next(i + 1) {
		s.remove(i, 0) // recount counts the live entries
	}
}

// newMarker returns a random marker.
func newMarker() uint64 {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never returns an error
	return binary.LittleEndian.Uint64(random[:])
}

// segmentEnds are the parts of a segment's file that are read to open the segment.
type segmentEnds struct {
	header  header
	valid   bool     // the header is one of the log, and not damaged
	trailer *trailer // nil if there is none
}

// readEnds reads the header and the trailer of a segment of the log with this ID. If known
// is not nil, it is the segment's entry in the state; a header that is damaged is then no
// obstacle.
func (f *files) readEnds(
	name string, id uint64, known *segmentState,
) (ends segmentEnds, err error) {
	file, err := f.fs.Open(f.path(name))
	if err != nil {
		return ends, err
	}
	defer file.Close()
	base, _, _ := parseSegmentName(name)
	var p [headerSize]byte
	err = readFull(file, p[:], 0)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ends, err
	}
	h := &ends.header
	ends.valid = h.decode(p[:]) && h.base == base && h.log == id
	marker := h.marker
	if !ends.valid {
		if known == nil {
			return ends, nil
		}
		marker = known.marker
	}
	ends.trailer, err = readTrailer(file, marker)
	return ends, err
}

// openSegment opens a segment. It returns a segment without an index if the file has no
// trailer, and nil if the file is not a segment of the log.
func (l *loader) openSegment(name string, known *segmentState) (*segment, error) {
	isSealed := known != nil && known.last != 0
	ends, ok := l.sealed.segments[name]
	if !ok || !l.has(name) || !isSealed || known.marker != ends.header.marker {
		var err error
		if ends, err = l.files.readEnds(name, l.id, known); err != nil {
			return nil, err
		}
	}
	base, turn, _ := parseSegmentName(name)
	s := &segment{header: ends.header, name: name, turn: turn}
	if !ends.valid {
		if known == nil {
			return nil, nil
		}
		s.header = header{marker: known.marker, log: l.id, base: base, sparse: known.sparse}
		l.report(name, 0, "its header is damaged")
	}
	t := ends.trailer
	if t != nil && !isSealed {
		// A crash of the machine while the segment was sealed may have left a part of the
		// footer: then it counts as none.
		index := l.blocksOf(name, t)
		index.cache = newBlockCache(0) // the segment may get another footer
		err := index.check()
		if err != nil && !errors.Is(err, errIndex) {
			return nil, err
		}
		if err != nil {
			t = nil
		}
	}
	if t != nil {
		s.sparse = t.sparse != 0
		l.setFooter(s, t)
		s.live = count{t.count, t.bytes}
	}
	return s, nil
}

// setFooter gives a segment the index that is in its footer.
func (l *Log) setFooter(s *segment, t *trailer) {
	s.last, s.time, s.end = t.last, t.newest, int64(t.end)
	s.setIndex(&footer{*t, l.blocksOf(s.name, t)})
}

// blocksOf returns the blocks of a footer.
func (l *Log) blocksOf(name string, t *trailer) blocks {
	return blocks{l.files, l.cache, name, int64(t.end), int64(t.size)}
}

// isMissing reports whether a file does not exist.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
