package segmentlog

import (
	"context"
	"errors"
	"io"
	"sort"

	"github.com/sse-go/sse"
)

// Read implements [sse.EventLog]. It reads the index of each segment that may have
// entries after r.After. It reads only the entries that it returns.
func (l *Log) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	if err := l.enter(); err != nil {
		return sse.Page{}, err
	}
	defer l.exit()
	end := l.position(*l.end.Load())
	if r.Through != (sse.Position{}) && r.Through.Seq < end.Seq {
		end = r.Through
	}
	page := sse.Page{Next: end}
	if r.After.Seq > end.Seq {
		page.Next = r.After
	} else if r.After.Seq < end.Seq {
		p := pager{Log: l, ctx: ctx, sel: newSelector(&r.Selection), through: end.Seq, limit: r.Limit}
		if err := p.read(r.After.Seq + 1); err != nil {
			return sse.Page{}, err
		}
		page.Entries = p.entries
		if p.full {
			page.Next = p.entries[len(p.entries)-1].Position
		}
	}
	// The check for losses comes last, so that it includes entries that were removed
	// during this call.
	if lost := l.losses.of(&r.Selection, r.After.Seq); lost.seq != 0 {
		page.Lost = l.position(lost.place)
	}
	return page, nil
}

// pager reads one page.
type pager struct {
	*Log
	ctx     context.Context
	sel     *selector
	through uint64 // the last number to read
	limit   int

	entries []sse.Entry
	size    int
	full    bool // the limit is reached, and there may be more
	frames  frameReader
}

// read reads the entries from a number on.
func (p *pager) read(from uint64) error {
	defer p.frames.close()
	return p.walk(from, p.through, func(s *segment) (bool, error) {
		set, first, err := p.selected(s, from)
		if err != nil || set == nil {
			return true, err
		}
		for i := set.next(first); i >= 0; i = set.next(i + 1) {
			more, err := p.entry(s, i, &from)
			if !more || err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// errStale is the error if a segment was rewritten or removed since the list of segments
// was read.
var errStale = errors.New("sse: the segments of the log have changed")

// walk calls f for the segments that contain the numbers between from and through, in
// order, until f returns false. If a segment has vanished, walk calls f with the
// segment that now has its entries. So f must remember which entries it has processed.
func (l *Log) walk(from, through uint64, f func(s *segment) (more bool, err error)) error {
	for attempt := 0; ; attempt++ {
		segments := l.list()
		i := sort.Search(len(segments), func(i int) bool { return segments[i].base > from }) - 1
		var stale error
		for i = max(i, 0); i < len(segments) && segments[i].base <= through; i++ {
			more, err := f(segments[i])
			if isMissing(err) || errors.Is(err, errStale) {
				stale = err
				from = max(from, segments[i].base)
				break
			}
			if !more || err != nil {
				return err
			}
		}
		if stale == nil {
			return nil
		}
		if attempt == maxStale {
			return stale
		}
	}
}

// maxStale is how often walk tries again. If a segment is still on the list after so
// many attempts, but its file is missing, another program has removed the file.
const maxStale = 100

// selected returns the selected entries of a segment, and the ordinal of the first
// entry whose number may be from or greater.
func (p *pager) selected(s *segment, from uint64) (set bitset, first int, err error) {
	err = p.withIndex(s, func(idx index) (err error) {
		if first, err = idx.find(from); err == nil {
			set, err = p.sel.in(s, idx)
		}
		return err
	})
	return set, first, err
}

// entry reads an entry and adds it to the page. It sets from to the number after the
// number of the entry.
func (p *pager) entry(s *segment, i int, from *uint64) (more bool, err error) {
	if len(p.entries)%256 == 255 && p.ctx.Err() != nil {
		return false, context.Cause(p.ctx)
	}
	payload, sum, seq, err := p.frame(&p.frames, s, i)
	if err != nil {
		return false, err
	}
	if seq > p.through {
		return false, nil
	}
	*from = seq + 1
	if payload == nil {
		return true, nil
	}
	e, err := decodeEntry(payload)
	if err != nil {
		return false, err
	}
	e.Position = p.position(place{seq, sum})
	p.entries = append(p.entries, e)
	p.size += sizeOf(&e)
	p.full = p.size >= p.limit
	return !p.full, nil
}

// frame reads the frame of an entry. If it is damaged, the entry counts as removed from
// now on, and the payload is nil.
func (l *Log) frame(r *frameReader, s *segment, i int) (
	payload []byte, sum uint32, seq uint64, err error) {
	var place loc
	err = l.withIndex(s, func(idx index) (err error) {
		if place, err = idx.loc(i); err == nil {
			seq, err = idx.seq(i)
		}
		return err
	})
	if err != nil {
		return nil, 0, 0, err
	}
	payload, sum, err = r.read(l.files, s.name, place)
	if errors.Is(err, errDamaged) {
		l.loseEntry(s, i, seq, place)
		return nil, 0, seq, nil
	}
	return payload, sum, seq, err
}

// frameReader reads frames of a file. While it reads consecutive frames, it reads
// larger and larger parts of the file with one call.
type frameReader struct {
	files *files
	file  *openFile
	buf   []byte
	off   int64 // of buf in the file
	ahead int
}

const (
	minAhead = 4 << 10
	maxAhead = 256 << 10
)

// read returns the payload of a frame. It is valid until the next call.
func (r *frameReader) read(files *files, name string, place loc) ([]byte, uint32, error) {
	if r.file == nil || r.file.name != name {
		r.close()
		file, err := files.acquire(name)
		if err != nil {
			return nil, 0, err
		}
		r.files, r.file, r.buf, r.ahead = files, file, r.buf[:0], 0
	}
	off, size := int64(place.off), int(place.size)
	if off < r.off || off+int64(size) > r.off+int64(len(r.buf)) {
		if err := r.fill(off, size); err != nil {
			return nil, 0, err
		}
	}
	payload, sum, ok := checkFrame(r.buf[off-r.off:][:size])
	if !ok || len(payload)+frameSize != size {
		return nil, 0, errDamaged
	}
	return payload, sum, nil
}

// fill reads a frame. If the reader has just read the frame before it, fill reads more of
// the file in advance.
func (r *frameReader) fill(off int64, size int) error {
	end := r.off + int64(len(r.buf))
	if near := off >= r.off && off < end+minAhead; near && len(r.buf) > 0 {
		r.ahead = min(max(2*r.ahead, minAhead), maxAhead)
	} else {
		r.ahead = 0
	}
	n := max(size, r.ahead)
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	r.buf, r.off = r.buf[:n], off
	got, err := r.file.ReadAt(r.buf, off)
	if got < size {
		r.buf = r.buf[:0]
		if err == nil || errors.Is(err, io.EOF) {
			return errDamaged
		}
		return err
	}
	r.buf = r.buf[:got]
	return nil
}

func (r *frameReader) close() {
	if r.file != nil {
		r.files.release(r.file)
		r.file = nil
	}
}
