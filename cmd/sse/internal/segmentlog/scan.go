package segmentlog

import (
	"bytes"
	"encoding/binary"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// scanned is what the groups of a segment contain.
type scanned struct {
	index *memIndex
	keys  []*keyRecord
	end   int64 // where the last whole group ends
	torn  bool  // there are bytes after end
	lost  []lostRange
}

// lostRange are the numbers of entries that are damaged. The index of a segment that is
// not sparse has them as well, with a zero loc. The index of a sparse segment ends before
// the damage. If from is higher than to, only a key is damaged.
type lostRange struct {
	from, to uint64
	off      int64 // where the damage is in the file
}

// scanner reads the groups of a segment that has no footer.
type scanner struct {
	scanned
	header *header
	acked  uint64 // entries up to this number were acknowledged
	flaws  flaws
	p      []byte // the file
	head   head
	found  []frame // of one group
}

// scanSegment reads all groups in the first len(p) bytes of a segment's file. It uses p
// for them. Because of a crash, the last group may be incomplete or damaged. It is left
// out, as if it had not been written, unless it was acknowledged. Everything else that is
// damaged is in lost.
func scanSegment(file vfs.File, h *header, p []byte, acked uint64, has flaws) (*scanned, error) {
	end := int64(len(p))
	if err := readFull(file, p, 0); err != nil {
		return nil, err
	}
	s := &scanner{header: h, acked: acked, flaws: has, p: p}
	s.index = newMemIndex(h.base, h.newest, h.sparse)
	s.index.lastSum = h.sum
	s.end = min(headerSize, end)
	for s.group() {
	}
	s.torn = s.end < end
	return &s.scanned, nil
}

// next returns the lowest number that the next group can have.
func (s *scanner) next() uint64 { return s.index.last + 1 }

// groupAt reports whether a whole group with new entries begins at an offset.
func (s *scanner) groupAt(off int64) (g groupHeader, ok bool) {
	if off >= int64(len(s.p)) || !g.decode(s.p[off:], s.header.marker) {
		return g, false
	}
	end := off + groupSize + int64(g.size)
	return g, end <= int64(len(s.p)) && g.first >= s.next()
}

// findGroup returns where the next whole group begins, at an offset or after it.
func (s *scanner) findGroup(off int64) (int64, bool) {
	marker := binary.LittleEndian.AppendUint64(nil, s.header.marker)
	for off < int64(len(s.p)) {
		i := bytes.Index(s.p[off:], marker)
		if i < 0 {
			break
		}
		off += int64(i)
		if _, ok := s.groupAt(off); ok {
			return off, true
		}
		off++
	}
	return 0, false
}

// group reads the next group, and reports whether there was one.
func (s *scanner) group() bool {
	off, ok := s.findGroup(s.end)
	if !ok || s.header.sparse && len(s.lost) > 0 {
		return false // without the damaged entries, the ordinals would be wrong
	}
	g, _ := s.groupAt(off)
	end := off + groupSize + int64(g.size)
	frames, damage := s.frames(&g, off+groupSize, end)
	last := g.first + uint64(g.count) - 1
	if damage >= 0 && last > s.acked {
		if _, more := s.findGroup(end); !more {
			return false
		}
	}
	if off > s.end && g.first > s.next() {
		s.lose(g.first-1, s.end)
	}
	before := len(s.lost)
	for i := range frames {
		if s.header.sparse && damage >= 0 && frames[i].off > damage {
			break
		}
		if !s.add(&frames[i]) && damage < 0 {
			damage = frames[i].off
		}
	}
	switch {
	case damage < 0:
	case len(s.lost) == before || s.next() <= last:
		s.lose(last, damage)
		fallthrough
	default:
		s.lost[before].off = damage // add knows only where the next frame begins
	}
	s.end = end
	return true
}

// frame is a frame in a file.
type frame struct {
	off     int64
	payload []byte
	sum     uint32
}

// frames returns the undamaged frames of a group, and where the first damage is, or -1.
// The frames are valid until the next call.
func (s *scanner) frames(g *groupHeader, off, end int64) (frames []frame, damage int64) {
	damage = -1
	frames = s.found[:0]
	entries := uint32(0)
	for off < end {
		payload, sum, ok := checkFrame(s.p[off:end])
		switch {
		case (ok || s.flaws.noSums) && len(payload) > 0:
			frames = append(frames, frame{off, payload, sum})
			if payload[0] == entryFrame {
				entries++
			}
		case damage < 0:
			damage = off
		}
		if payload == nil {
			break // the size is damaged, so the next frame cannot be found
		}
		off += frameSize + int64(len(payload))
	}
	if damage < 0 && entries != g.count {
		damage = end
	}
	s.found = frames
	return frames, damage
}

// add adds what a frame contains, and reports whether it is well-formed.
func (s *scanner) add(f *frame) bool {
	switch f.payload[0] {
	case entryFrame:
		if s.head.parse(view(f.payload)) != nil || s.head.seq < s.next() {
			return false
		}
		if s.head.seq > s.next() && !s.header.sparse {
			s.lose(s.head.seq-1, f.off)
		}
		s.index.add(&s.head, loc{uint32(f.off), uint32(frameSize + len(f.payload))}, f.sum)
		return true
	case keyFrame:
		record, err := parseKeyFrame(f.payload)
		if err == nil {
			s.keys = append(s.keys, record)
		}
		return err == nil
	}
	return true // of a newer minor version
}

// lose notes that the entries up to a number are damaged.
func (s *scanner) lose(to uint64, off int64) {
	from := s.next()
	if s.header.sparse {
		s.lost = append(s.lost, lostRange{min(from, to), to, off})
		return
	}
	s.lost = append(s.lost, lostRange{from, to, off})
	for seq := from; seq <= to; seq++ {
		s.index.add(&head{seq: seq}, loc{}, 0)
	}
}
