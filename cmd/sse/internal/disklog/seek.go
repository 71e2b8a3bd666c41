package disklog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// earliest finds the first entry that is selected, or zero.
func (f *seeker) earliest() (uint64, error) {
	// So many topics are asked for their first entry. If there are more, it is
	// likely to be found soon without.
	const worth = 1024
	from := f.l.first.Load()
	p := &pager{l: f.l, ctx: f.ctx, sel: f.sel, upto: f.end.seq}
	if from > p.upto {
		return 0, nil
	}
	topics, ok := []candidate(nil), false
	var err error
	if !isAll(f.sel) {
		if topics, ok, err = f.l.candidates(f.sel, from, worth); err != nil {
			return 0, err
		}
	}
	if ok && len(topics) <= worth {
		err = p.merge(topics, from)
	} else {
		err = p.scan(from)
	}
	if err != nil || len(p.entries) == 0 {
		return 0, err
	}
	return p.entries[0].Position.Seq, nil
}

// newest finds the first of the n newest entries that are selected. If there are
// fewer, it is the first of all; if there are none, zero.
func (f *seeker) newest(n int) (uint64, error) {
	if isAll(f.sel) {
		return f.newestOfAll(n)
	}
	const any = 1 << 62
	topics, _, err := f.l.candidates(f.sel, f.l.first.Load(), any)
	if err != nil {
		return 0, err
	}
	// The topics with the newest entries first, so that the others need not be
	// asked: what they have is older than the n entries that were found.
	slices.SortFunc(topics, func(a, b candidate) int { return cmp.Compare(b.last, a.last) })
	iter, err := f.l.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{topicKey}, UpperBound: []byte{topicKey + 1},
	})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	var seqs []uint64 // has the newest n
	oldest := uint64(0)
	stored := f.end.seq - f.l.first.Load() + 1
	enough := int(min(uint64(n), stored)) + 32
	for _, c := range topics {
		if err := context.Cause(f.ctx); err != nil {
			return 0, err
		}
		if c.last <= oldest {
			break
		}
		seqs = appendNewest(seqs, iter, c.topic, oldest, f.end.seq, n)
		if len(seqs)/2 > enough { // sort seldom, so that sorting costs little per entry
			if seqs = newestOf(seqs, n); len(seqs) == n {
				oldest = seqs[n-1]
			}
		}
	}
	seqs = newestOf(seqs, n)
	if len(seqs) == 0 {
		return 0, iter.Error()
	}
	return seqs[len(seqs)-1], iter.Error()
}

// newestOf returns the newest n of the numbers, newest first and each once.
func newestOf(seqs []uint64, n int) []uint64 {
	slices.SortFunc(seqs, func(a, b uint64) int { return cmp.Compare(b, a) })
	seqs = slices.Compact(seqs)
	return seqs[:min(n, len(seqs))]
}

// appendNewest appends the numbers of a topic's n newest entries, but for those
// up to oldest.
func appendNewest(
	seqs []uint64, iter *pebble.Iterator, topic string, oldest, upto uint64, n int,
) []uint64 {
	key := memberKey(nil, topic, upto+1)
	prefix := key[:len(key)-8]
	for valid := iter.SeekLT(key); valid && n > 0; valid = iter.Prev() {
		found := iter.Key()
		if len(found) != len(key) || !bytes.HasPrefix(found, prefix) || seqOf(found) <= oldest {
			break
		}
		seqs = append(seqs, seqOf(found))
		n--
	}
	return seqs
}

// newestOfAll is newest for a selection of everything.
func (f *seeker) newestOfAll(n int) (uint64, error) {
	iter, err := f.l.entries(f.l.first.Load(), f.end.seq)
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	seq := uint64(0)
	for valid := iter.Last(); valid && n > 0; valid = iter.Prev() {
		seq = seqOf(iter.Key())
		if n--; n%1024 == 0 && f.ctx.Err() != nil {
			return 0, context.Cause(f.ctx)
		}
	}
	return seq, iter.Error()
}

// binaryTime is a time in the value of a time key.
func binaryTime(nano int64) [8]byte {
	var value [8]byte
	binary.BigEndian.PutUint64(value[:], uint64(nano))
	return value
}

// since finds the first selected entry that is not older than t, or zero. The
// times of entries may go back and forth, but the newest time of all up to one
// does not: by that the place is found, but for some entries, which are looked
// at. Of what was removed, only the time of the newest is known: if that is not
// older than t, something was lost, and the place is before it.
func (f *seeker) since(t time.Time) (uint64, error) {
	nano := t.UnixNano()
	from, err := f.allBefore(nano)
	if err != nil {
		return 0, err
	}
	found, err := f.sinceFrom(max(from, f.l.first.Load()), nano)
	if err != nil {
		return 0, err
	}
	lost := f.l.losses.of(f.sel, from-1)
	if lost.seq != 0 && lost.nano >= nano && (found == 0 || lost.seq < found) {
		return lost.seq, nil
	}
	return found, nil
}

// sinceFrom looks at the selected entries from a number on.
func (f *seeker) sinceFrom(from uint64, nano int64) (uint64, error) {
	const limit = 64 << 10
	for from <= f.end.seq {
		p := pager{l: f.l, ctx: f.ctx, sel: f.sel, upto: f.end.seq, limit: limit}
		if err := p.read(from); err != nil {
			return 0, err
		}
		for i := range p.entries {
			if p.entries[i].Time.UnixNano() >= nano {
				return p.entries[i].Position.Seq, nil
			}
		}
		if !p.full {
			break
		}
		from = p.entries[len(p.entries)-1].Position.Seq + 1
	}
	return 0, nil
}

// allBefore is a number before which all entries are older than a time.
func (f *seeker) allBefore(nano int64) (uint64, error) {
	iter, err := f.l.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{timeKey}, UpperBound: []byte{timeKey + 1},
	})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	// All up to low are older, and not all up to high are.
	low, high := uint64(0), f.end.seq+1
	for high-low > 1 {
		middle := low + (high-low)/2
		if !iter.SeekLT(numberKey(nil, timeKey, middle+1)) || seqOf(iter.Key()) <= low {
			// No time key between low and middle: those after it decide.
			if !iter.SeekGE(numberKey(nil, timeKey, middle+1)) || seqOf(iter.Key()) >= high {
				break
			}
		}
		seq := seqOf(iter.Key())
		if int64(binary.BigEndian.Uint64(iter.Value())) < nano {
			low = seq
		} else {
			high = seq
		}
	}
	return low + 1, iter.Error()
}
