package segmentlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Verified is the result of [Inspection.Verify].
type Verified struct {
	Events uint64 // that are not removed, and can be read
	Files  int    // with events or keys
}

// Verify reads all events, all indexes and all idempotency keys of the log. It calls
// InspectOptions.OnDamage with each damage that Inspect has not found. The error is not
// nil if ctx is done, or if the log cannot be read at all.
func (i *Inspection) Verify(ctx context.Context) (Verified, error) {
	v := verifier{Log: i.log, ctx: ctx}
	defer v.frames.close()
	i.verifySmall()
	for _, s := range v.list() {
		if err := v.segment(s); err != nil {
			return Verified{}, err
		}
		v.result.Files++
	}
	v.keys.mu.Lock()
	files := slices.Clone(v.keys.files)
	v.keys.mu.Unlock()
	for _, k := range files {
		if err := context.Cause(ctx); err != nil {
			return Verified{}, err
		}
		v.keyFile(k)
		v.result.Files++
	}
	return v.result, nil
}

// verifySmall reports damage of the files that are not needed to read the log.
func (i *Inspection) verifySmall() {
	var key *MissingKeyError
	var state *StateError
	switch l := i.log; {
	case errors.As(i.err, &key):
		l.report(keyName, 0, "the file "+key.Reason)
	case errors.As(i.err, &state):
		l.report(stateName, 0, "the file "+state.Reason)
	case i.life.epoch == 0:
		l.report(lifeName, 0, "the file is missing or damaged: a hub begins a new epoch")
	case i.state != nil && i.life.epoch != i.state.epoch:
		l.report(lifeName, 0, "the file is of another log: a hub begins a new epoch")
	}
	if i.log.mark.was == (marked{}) {
		i.log.report(markName, 0,
			"the file is missing or damaged: a hub cannot notice that the end of the log is missing")
	}
}

// verifier reads a log.
type verifier struct {
	*Log
	ctx    context.Context
	frames frameReader
	result Verified
}

// segment reads a segment.
func (v *verifier) segment(s *segment) error {
	f, sealed := s.index().(*footer)
	if !sealed {
		// The log has read the segment, and reported its damage, when it was opened.
		_, err := v.events(s)
		return err
	}
	whole := v.blocks(s.name, &f.blocks)
	file, err := v.files.acquire(s.name)
	if err != nil {
		v.report(s.name, 0, "the file cannot be read: "+err.Error())
		return nil
	}
	defer v.files.release(file)
	h, intact := s.header, false
	var p [headerSize]byte
	if err := readFull(file, p[:], 0); err == nil {
		var read header
		if intact = read.decode(p[:]); intact {
			h = read
		}
	}
	found, err := scanSegment(file, &h, make([]byte, s.end), ^uint64(0), v.flaws)
	if err != nil {
		v.report(s.name, 0, "the file cannot be read: "+err.Error())
		return nil
	}
	if !whole {
		// The events of groups that the scan has found can be read nevertheless.
		v.lose(s, found)
		s.setIndex(found.index)
		s.removed.Store(widen(s.removed.Load(), found.index.len()))
		if found.torn && found.index.last < s.last {
			v.report(s.name, found.end,
				fmt.Sprintf("the events %d to %d are damaged", found.index.last+1, s.last))
		}
		_, err := v.events(s)
		return err
	}
	bad, err := v.events(s)
	if err != nil {
		return err
	}
	v.compare(s, f, found, bad, intact)
	return nil
}

// widen returns a set with room for n elements, or nil if set is nil.
func widen(set *bitset, n int) *bitset {
	if set == nil {
		return nil
	}
	wide := newBitset(max(n, len(*set)*64))
	copy(wide, *set)
	return &wide
}

// compare reports the damage that a scan has found in a segment whose index can be read. The
// index finds events even if the header of their group is damaged.
func (v *verifier) compare(s *segment, f *footer, found *scanned, bad []lostRange, intact bool) {
	lost := found.lost
	if found.torn && len(lost) == 0 {
		lost = append(lost, lostRange{found.index.last + 1, s.last, found.end})
	}
	for _, r := range lost {
		switch {
		case slices.ContainsFunc(bad, func(b lostRange) bool {
			return b.from <= max(r.to, s.last) && b.to >= r.from || f.sparse != 0
		}):
		case r.from > r.to:
			v.lose(s, &scanned{index: found.index, lost: []lostRange{r}})
		default:
			v.report(s.name, r.off, "the header of a group is damaged; its events can be read")
		}
	}
	if len(lost) > 0 || len(bad) > 0 || !intact {
		return
	}
	t := trailer{
		marker: f.marker, base: f.base, last: f.last, newest: f.newest, lastSum: f.lastSum,
		keys: f.keys, end: f.end, sparse: f.sparse,
	}
	want := appendFooter(nil, &t, found.index)
	p := make([]byte, len(want))
	same := t == f.trailer && v.files.readAt(s.name, p, s.end) == nil && bytes.Equal(p, want)
	if f.sparse == 0 {
		same = same && f.last == found.index.last && f.newest == found.index.newest &&
			f.lastSum == uint64(found.index.lastSum)
	}
	if !same {
		v.report(s.name, s.end, "its index is not the index of its events")
	}
}

// events reads the events of a segment, and reports those that are damaged. If the log
// has reported the damage before, the index has no place for them.
func (v *verifier) events(s *segment) (bad []lostRange, err error) {
	idx := s.index()
	_, sealed := idx.(*footer)
	for n := range idx.len() {
		if n%1024 == 0 {
			if err := context.Cause(v.ctx); err != nil {
				return nil, err
			}
		}
		place, err := idx.loc(n)
		var seq uint64
		if err == nil {
			seq, err = idx.seq(n)
		}
		if err != nil {
			return nil, err
		}
		if place != (loc{}) {
			var payload []byte
			if payload, _, err = v.frames.read(v.files, s.name, place); err == nil {
				_, err = decodeEntry(payload)
			}
		}
		switch last := len(bad) - 1; {
		case err == nil && place != (loc{}):
			if !s.isRemoved(n) {
				v.result.Events++
			}
		case !sealed && place == (loc{}):
		case last >= 0 && bad[last].to == seq-1:
			bad[last].to = seq
		default:
			bad = append(bad, lostRange{seq, seq, int64(place.off)})
		}
	}
	for _, b := range bad {
		v.report(s.name, b.off, fmt.Sprintf("the events %d to %d are damaged", b.from, b.to))
	}
	return bad, nil
}

// blocks reads all blocks of an index, and reports whether none is damaged.
func (v *verifier) blocks(name string, b *blocks) (whole bool) {
	whole = true
	for i := int64(0); i*blockData < b.size; i++ {
		_, err := b.block(i, i)
		if err == nil {
			continue
		}
		what := "a block of its index is damaged"
		if !errors.Is(err, errIndex) {
			what = "its index cannot be read: " + err.Error()
		}
		v.report(name, b.off+i*blockSize, what)
		whole = false
	}
	return whole
}

// keyFile reads all keys of a file.
func (v *verifier) keyFile(k *keyFile) {
	if !v.blocks(k.name, &k.blocks) {
		return
	}
	for i := range k.n {
		if err := k.check(i); err != nil {
			v.report(k.name, 0, fmt.Sprintf("the key number %d is damaged", i+1))
			return
		}
	}
}

// check returns an error if find would not find the i-th key.
func (k *keyFile) check(i int) error {
	hash, off, err := k.ref(i)
	if err != nil {
		return err
	}
	record, err := k.record(off)
	if err != nil {
		return err
	}
	found, err := k.find(record.hash)
	if err == nil && (found == nil || found.hash != record.hash || [8]byte(record.hash[:8]) != hash) {
		err = errDamaged
	}
	return err
}
