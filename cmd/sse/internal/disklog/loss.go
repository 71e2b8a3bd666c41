package disklog

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
)

// losses are the loss marks: for each topic the newest entry that was removed,
// and for all topics the merged one, which stands for those that were too many.
//
// A mark is set before the entry can be missed: whoever does not find an entry,
// and looks here afterwards, is told.
//
// Invariants: len(marks) ≤ limit; the numbers in marks, and that of merged, ≤ newest.
type losses struct {
	limit int

	mu     sync.RWMutex // guards the following
	marks  map[string]lossMark
	merged lossMark
	newest uint64
}

// lossMark is the newest entry that was removed of something.
type lossMark struct {
	place
	nano int64 // when it was published
}

// load reads the marks of the store.
func (l *losses) load(db *pebble.DB, merged lossMark) error {
	l.marks, l.merged, l.newest = map[string]lossMark{}, merged, merged.seq
	iter, err := db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{lossKey}, UpperBound: []byte{lossKey + 1},
	})
	if err != nil {
		return err
	}
	for iter.First(); iter.Valid(); iter.Next() {
		var m lossMark
		if err := m.decode(iter.Value()); err != nil {
			iter.Close()
			return fmt.Errorf("%w: loss mark %q", err, iter.Key())
		}
		l.marks[string(iter.Key()[1:])] = m
		l.newest = max(l.newest, m.seq)
	}
	return iter.Close()
}

func (m *lossMark) encode(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst[:0], m.seq)
	dst = binary.BigEndian.AppendUint32(dst, m.sum)
	return binary.BigEndian.AppendUint64(dst, uint64(m.nano))
}

func (m *lossMark) decode(value []byte) error {
	if len(value) != 20 {
		return errState
	}
	m.seq, m.sum = binary.BigEndian.Uint64(value), binary.BigEndian.Uint32(value[8:])
	m.nano = int64(binary.BigEndian.Uint64(value[12:]))
	return nil
}

func newer(a, b lossMark) lossMark {
	if b.seq > a.seq {
		return b
	}
	return a
}

// of is the newest entry after a number that was removed and that sel matches,
// as far as is known; or the zero mark.
func (l *losses) of(sel *sse.Selection, after uint64) lossMark {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.newest <= after {
		return lossMark{}
	}
	lost := l.merged
	if len(sel.Patterns) == 0 {
		for _, topic := range selected(sel) {
			lost = newer(lost, l.marks[topic])
		}
	} else {
		matches := matcher.New(sel)
		for topic, p := range l.marks {
			if p.seq > lost.seq && p.seq > after && matches(topic) {
				lost = p
			}
		}
	}
	if lost.seq <= after {
		return lossMark{}
	}
	return lost
}

// selected are the topics that are selected by name.
func selected(sel *sse.Selection) []string {
	if len(sel.Topics) == 0 && len(sel.Patterns) == 0 {
		return []string{""}
	}
	return sel.Topics
}

// add sets the marks of a batch that removes entries, and puts them into it. It
// returns the merged mark, which the log's state has to have.
func (l *losses) add(batch *pebble.Batch, removed map[string]lossMark) (lossMark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, p := range removed {
		p = newer(l.marks[topic], p)
		l.marks[strings.Clone(topic)] = p
		l.newest = max(l.newest, p.seq)
	}
	merged, err := l.mergeLocked(batch)
	if err != nil {
		return lossMark{}, err
	}
	var key, value []byte
	for topic := range removed {
		p, ok := l.marks[topic]
		if !ok {
			continue // merged
		}
		key = textKey(key, lossKey, topic)
		value = p.encode(value)
		if err := batch.Set(key, value, nil); err != nil {
			return lossMark{}, err
		}
	}
	return merged, nil
}

// mergeLocked merges the older half of the marks if there are too many: only a
// subscriber who has been away for so long is told of a loss that need not be
// its own.
func (l *losses) mergeLocked(batch *pebble.Batch) (lossMark, error) {
	if len(l.marks) <= l.limit {
		return l.merged, nil
	}
	all := make([]uint64, 0, len(l.marks))
	for _, p := range l.marks {
		all = append(all, p.seq)
	}
	slices.SortFunc(all, cmp.Compare[uint64])
	through := all[len(all)-1-l.limit/2]
	for topic, p := range l.marks {
		if p.seq > through {
			continue
		}
		l.merged = newer(l.merged, p)
		delete(l.marks, topic)
		if err := batch.Delete(textKey(nil, lossKey, topic), nil); err != nil {
			return lossMark{}, err
		}
	}
	return l.merged, nil
}
