package segmentlog

import (
	"errors"
	"fmt"
	"math"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

const (
	// queued is the number of requests that may wait for the committer. Append waits
	// if there are more.
	queued = 1024

	// maxGroup is the number of bytes that share a sync. One request may have more.
	maxGroup = 1 << 20

	// maxFile is the maximum size of a segment, because an index has 32 bits for an
	// offset. A segment reaches it only if the log cannot create the next file.
	maxFile = math.MaxUint32
)

// commit is the goroutine that writes entries. It writes group by group: each group has
// all requests that came while the group before was synced.
func (l *Log) commit() {
	defer close(l.stopped)
	var group []*request
	for {
		select {
		case r := <-l.requests:
			group = l.gather(group[:0], r)
		case done := <-l.seals:
			done <- l.space.retry(l.seal)
			continue
		case <-l.closing:
			return
		}
		if len(group) == 0 {
			continue
		}
		if err := l.admit(group); err != nil {
			refuse(group, err)
			continue
		}
		l.commitGroup(group)
		clear(group)
	}
}

// gather takes r and the requests that are waiting, up to a limit.
func (l *Log) gather(group []*request, r *request) []*request {
	bytes := 0
	for {
		if r.state.CompareAndSwap(waiting, taken) {
			group = append(group, r)
			bytes += len(r.bodies)
		}
		if bytes >= maxGroup || len(group) >= queued {
			return group
		}
		select {
		case r = <-l.requests:
		default:
			return group
		}
	}
}

func refuse(group []*request, err error) {
	for _, r := range group {
		r.answer(nil, err)
	}
}

// admit returns an error if nothing can be stored now. It waits while the goroutine trim
// is behind. Meanwhile, it seals the tail if trim needs that.
func (l *Log) admit(group []*request) error {
	for {
		moved := l.lag.moved.wait()
		if err := l.space.admit(bytesOf(group)); err != nil {
			return err
		}
		if l.lag.get() <= l.lag.limit {
			return nil
		}
		select {
		case <-moved:
		case done := <-l.seals:
			done <- l.space.retry(l.seal)
		case <-l.closing:
			return ErrClosed
		case <-l.failed:
			return l.failure
		}
	}
}

func bytesOf(group []*request) int64 {
	bytes := int64(0)
	for _, r := range group {
		bytes += int64(len(r.bodies))
	}
	return bytes
}

// written is a group as it was written.
type written struct {
	buf     []byte
	locs    []loc
	sums    []uint32
	records []*keyRecord
	last    place
}

// commitGroup stores the entries of all requests, or of none, and answers.
func (l *Log) commitGroup(group []*request) {
	w := &l.written
	l.encodeGroup(w, group)
	if len(w.locs) > 0 {
		if err := l.write(w.buf); err != nil {
			refuse(group, fmt.Errorf("sse: the log in %s: %w", l.dir, err))
			return
		}
		l.addGroup(w, group)
	}
	if l.tail.end >= l.segmentSize {
		if err := l.seal(); err != nil {
			l.logger.Error("sse: the log cannot begin a new file", "dir", l.dir, "err", err)
		}
	}
	for _, r := range group {
		r.answer(r.positions(), nil)
	}
	l.wakeTrim(len(w.buf))
}

// encodeGroup encodes the entries and the keys of the requests.
func (l *Log) encodeGroup(w *written, group []*request) {
	const keep = 4 << 20 // a larger buffer is not used again
	if cap(w.buf) > keep {
		w.buf = nil
	}
	w.buf = append(w.buf[:0], make([]byte, groupSize)...)
	w.locs, w.sums, w.records = w.locs[:0], w.sums[:0], w.records[:0]
	w.last = *l.end.Load()
	first := w.last.seq + 1
	ordinals := map[string]uint64(nil)
	for _, r := range group {
		begin := len(w.sums)
		for i := range r.entries {
			off := len(w.buf)
			w.last.seq++
			w.buf, w.last.sum = appendFrame(w.buf, w.last.seq, r.body(i))
			w.sums = append(w.sums, w.last.sum)
			w.locs = append(w.locs,
				loc{uint32(l.tail.end + int64(off)), uint32(len(w.buf) - off)})
		}
		if r.key == nil {
			continue
		}
		if ordinals == nil {
			ordinals = map[string]uint64{}
		}
		r.key.ordinal = max(l.keys.next(r.key.owner), ordinals[r.key.owner]+1)
		ordinals[r.key.owner] = r.key.ordinal
		r.key.epoch, r.key.first = l.epoch, first+uint64(begin)
		r.key.checks = make([]uint32, 0, len(r.entries))
		for i := range r.entries {
			p := l.position(place{r.key.first + uint64(i), w.sums[begin+i]})
			r.key.checks = append(r.key.checks, p.Check)
		}
		var start int
		w.buf, start = beginFrame(w.buf)
		w.buf = appendKey(w.buf, r.key)
		endFrame(w.buf, start)
		w.records = append(w.records, r.key)
	}
	g := groupHeader{size: uint32(len(w.buf) - groupSize), count: uint32(len(w.locs)), first: first}
	g.put(w.buf, l.tail.marker)
}

// write appends a group to the tail.
func (l *Log) write(buf []byte) error {
	if l.tail.end+int64(len(buf)) > maxFile {
		return errors.New("the last file is full, and a new file cannot be created")
	}
	err := l.tail.append(buf, l.flaws.noSync)
	if lost := l.checkPresence(l.tail.name); lost != nil {
		return lost
	}
	if isFull(err) {
		l.space.setFull()
		return errors.Join(l.space.noSpace(), err)
	}
	return err
}

// addGroup lets readers see the entries of a group that was stored.
func (l *Log) addGroup(w *written, group []*request) {
	if len(w.records) > 0 {
		l.keys.remember(w.records)
		for _, owner := range l.keys.early(w.records) {
			l.logger.Warn(l.keys.earlyText(owner))
		}
	}
	l.mark.set(marked{epoch: l.epoch, acked: w.last.seq})
	idx := l.tail.index().(*memIndex)
	n := 0
	l.mu.Lock()
	idx.mu.Lock()
	for _, r := range group {
		for i := range r.entries {
			e := &r.entries[i]
			e.Position = l.position(place{w.last.seq - uint64(len(w.locs)-1-n), w.sums[n]})
			h := head{
				seq: e.Position.Seq, nano: e.Time.UnixNano(), topics: e.Topics, id: e.Event.ID,
			}
			idx.add(&h, w.locs[n], w.sums[n])
			l.addLive(&h, w.locs[n])
			n++
		}
	}
	idx.mu.Unlock()
	end := w.last
	l.end.Store(&end)
	l.mu.Unlock()
	l.recent.add(group)
	l.changed.broadcast()
}

// addLive counts a new entry. l.mu is held.
func (l *Log) addLive(h *head, place loc) {
	cost := costOf(place)
	l.tail.live.entries++
	l.tail.live.bytes += cost
	l.live.entries++
	l.live.bytes += cost
	l.counts.add(h, cost)
}

// positions returns the positions of the entries.
func (r *request) positions() []sse.Position {
	positions := make([]sse.Position, len(r.entries))
	for i := range r.entries {
		positions[i] = r.entries[i].Position
	}
	return positions
}

// seal gives the tail a footer, and creates a new tail.
func (l *Log) seal() error {
	idx := l.tail.index().(*memIndex)
	if idx.len() == 0 {
		return nil
	}
	keyFile, err := l.sealKeys()
	if err != nil {
		return err
	}
	t := trailer{
		marker: l.tail.marker, base: l.tail.base, last: idx.last, newest: idx.newest,
		lastSum: uint64(idx.lastSum), keys: uint64(len(l.keys.tail)), end: uint64(l.tail.end),
	}
	end := l.tail.end
	if err := l.tail.append(appendFooter(nil, &t, idx), false); err != nil {
		return err
	}
	// From here on, the tail is sealed. It stays the tail until there is a new one.
	undo := func(err error) error {
		l.tail.end, l.tail.dirty = end, true
		return errors.Join(err, l.tail.cut())
	}
	next, err := l.createTail(idx.last+1, idx.newest, idx.lastSum)
	if err != nil {
		return undo(err)
	}
	if keyFile != nil {
		l.keys.sealed(keyFile)
	}
	old := l.tail
	l.mu.Lock()
	l.setFooter(old.segment, &t)
	l.setSegments(append(l.list(), next.segment))
	l.tail = next
	l.mu.Unlock()
	err = old.file.Close()
	l.stating.Lock()
	defer l.stating.Unlock()
	return errors.Join(err, l.writeState())
}

// sealKeys writes the keys of the tail to a key file.
func (l *Log) sealKeys() (*keyFile, error) {
	if len(l.keys.tail) == 0 {
		return nil, nil
	}
	name := keyFileName(l.tail.base)
	p := encodeKeyFile(l.keys.tail, l.keys.spans)
	if err := l.files.replace(name, p); err != nil {
		return nil, err
	}
	return l.openKeyFile(name)
}

// createTail creates a segment that begins with a number.
func (l *Log) createTail(base uint64, newest int64, sum uint32) (*tail, error) {
	s := &segment{name: segmentName(base, 0)}
	s.header = header{marker: newMarker(), log: l.id, base: base, newest: newest, sum: sum}
	var file vfs.File
	err := l.files.replace(s.name, s.header.encode())
	if err == nil {
		file, err = l.files.fs.OpenReadWrite(l.files.path(s.name))
	}
	if err != nil {
		return nil, errors.Join(err, l.files.remove(s.name))
	}
	s.setIndex(newMemIndex(base, newest, false))
	return &tail{segment: s, file: file, end: headerSize}, nil
}
