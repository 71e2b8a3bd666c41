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
)

// losses are the loss marks: for each topic the newest entry that was removed,
// and for all topics the merged one, which stands for those that were too many.
//
// A mark is set before the entry can be missed: whoever does not find an entry,
// and looks here afterwards, is told.
//
// Invariants: len(marks) ≤ limit; every place in marks, and merged, ≤ newest.
type losses struct {
	limit int

	mu     sync.RWMutex // guards the following
	marks  map[string]place
	merged place
	newest place
}

// load reads the marks of the store.
func (l *losses) load(db *pebble.DB, merged place) error {
	l.marks, l.merged, l.newest = map[string]place{}, merged, merged
	iter, err := db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{lossKey}, UpperBound: []byte{lossKey + 1},
	})
	if err != nil {
		return err
	}
	for iter.First(); iter.Valid(); iter.Next() {
		value := iter.Value()
		if len(value) != 12 {
			iter.Close()
			return fmt.Errorf("%w: loss mark %q", errState, iter.Key())
		}
		p := place{binary.BigEndian.Uint64(value), binary.BigEndian.Uint32(value[8:])}
		l.marks[string(iter.Key()[1:])] = p
		l.newest = newer(l.newest, p)
	}
	return iter.Close()
}

func newer(a, b place) place {
	if b.seq > a.seq {
		return b
	}
	return a
}

// of is the newest entry after a number that was removed and that sel matches,
// as far as is known; or the zero place.
func (l *losses) of(sel *sse.Selection, after uint64) place {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.newest.seq <= after {
		return place{}
	}
	lost := l.merged
	if len(sel.Patterns) == 0 {
		for _, topic := range selected(sel) {
			lost = newer(lost, l.marks[topic])
		}
	} else {
		for topic, p := range l.marks {
			if p.seq > lost.seq && p.seq > after && sel.Match([]string{topic}) {
				lost = p
			}
		}
	}
	if lost.seq <= after {
		return place{}
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
func (l *losses) add(batch *pebble.Batch, removed map[string]place) (place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, p := range removed {
		p = newer(l.marks[topic], p)
		l.marks[strings.Clone(topic)] = p
		l.newest = newer(l.newest, p)
	}
	merged, err := l.mergeLocked(batch)
	if err != nil {
		return place{}, err
	}
	var key, value []byte
	for topic := range removed {
		p, ok := l.marks[topic]
		if !ok {
			continue // merged
		}
		key = textKey(key, lossKey, topic)
		value = binary.BigEndian.AppendUint64(value[:0], p.seq)
		value = binary.BigEndian.AppendUint32(value, p.check)
		if err := batch.Set(key, value, nil); err != nil {
			return place{}, err
		}
	}
	return merged, nil
}

// mergeLocked merges the older half of the marks if there are too many: only a
// subscriber who has been away for so long is told of a loss that need not be
// its own.
func (l *losses) mergeLocked(batch *pebble.Batch) (place, error) {
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
			return place{}, err
		}
	}
	return l.merged, nil
}
