package disklog

import (
	"bytes"
	"container/heap"
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// merge reads the entries of some topics, in order, by their indexes.
func (p *pager) merge(topics []candidate, from uint64) error {
	members, err := p.l.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{topicKey}, UpperBound: []byte{topicKey + 1},
	})
	if err != nil {
		return err
	}
	defer members.Close()
	entries, err := p.l.entries(from, p.upto)
	if err != nil {
		return err
	}
	defer entries.Close()
	m := merger{members: members, upto: p.upto}
	for _, c := range topics {
		if err := m.open(c.topic, from); err != nil {
			return err
		}
	}
	heap.Init(&m.lists)
	f := finder{iter: entries}
	for n := 1; ; n++ {
		if n%256 == 0 && p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		seq, err := m.next()
		if err != nil || seq == 0 {
			return err
		}
		value, err := f.find(seq)
		if err != nil {
			return err
		}
		if value == nil {
			continue // removed meanwhile
		}
		if more, err := p.add(seq, value); err != nil || !more {
			return err
		}
	}
}

// merger merges the numbers of the entries of topics.
type merger struct {
	members *pebble.Iterator // over the indexes of all topics
	upto    uint64
	lists   lists
	key     []byte
}

// list is the numbers of one topic, as far as they have been read.
type list struct {
	topic string
	seqs  []uint64 // not empty
	room  []uint64 // for the next seqs
	next  uint64   // where to read on; zero if there is no more
	chunk int      // how many are read at once
}

const (
	firstChunk = 4
	lastChunk  = 256
)

func (m *merger) open(topic string, from uint64) error {
	l := &list{topic: topic, next: from, chunk: firstChunk}
	if err := m.fill(l); err != nil {
		return err
	}
	if len(l.seqs) > 0 {
		m.lists = append(m.lists, l)
	}
	return nil
}

// fill reads on.
func (m *merger) fill(l *list) error {
	l.seqs = l.room[:0]
	m.key = memberKey(m.key, l.topic, l.next)
	prefix := m.key[:len(m.key)-8]
	l.next = 0
	for valid := m.members.SeekGE(m.key); valid; valid = m.members.Next() {
		key := m.members.Key()
		if len(key) != len(m.key) || !bytes.HasPrefix(key, prefix) || seqOf(key) > m.upto {
			break
		}
		l.seqs = append(l.seqs, seqOf(key))
		if len(l.seqs) == l.chunk {
			l.next = seqOf(key) + 1
			break
		}
	}
	l.room = l.seqs
	l.chunk = min(2*l.chunk, lastChunk)
	return m.members.Error()
}

// next returns the next number, or zero. One that several topics have comes once.
func (m *merger) next() (uint64, error) {
	if len(m.lists) == 0 {
		return 0, nil
	}
	seq := m.lists[0].seqs[0]
	for len(m.lists) > 0 && m.lists[0].seqs[0] == seq {
		l := m.lists[0]
		l.seqs = l.seqs[1:]
		if len(l.seqs) == 0 && l.next != 0 {
			if err := m.fill(l); err != nil {
				return 0, err
			}
		}
		if len(l.seqs) == 0 {
			heap.Pop(&m.lists)
		} else {
			heap.Fix(&m.lists, 0)
		}
	}
	return seq, nil
}

// lists is a heap, by the next number.
type lists []*list

func (h lists) Len() int           { return len(h) }
func (h lists) Less(i, j int) bool { return h[i].seqs[0] < h[j].seqs[0] }
func (h lists) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *lists) Push(x any) { *h = append(*h, x.(*list)) }

// Pop implements [heap.Interface].
func (h *lists) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// finder finds entries by ascending numbers.
type finder struct {
	iter *pebble.Iterator
	key  []byte
}

// find returns the record of a number, or nil. It steps over a few entries, and
// seeks over more.
func (f *finder) find(seq uint64) ([]byte, error) {
	const steps = 8
	for range steps {
		if !f.iter.Valid() || seqOf(f.iter.Key()) >= seq || seq-seqOf(f.iter.Key()) > steps {
			break
		}
		f.iter.Next()
	}
	if !f.iter.Valid() || seqOf(f.iter.Key()) < seq {
		f.key = numberKey(f.key, entryKey, seq)
		f.iter.SeekGE(f.key)
	}
	if !f.iter.Valid() || seqOf(f.iter.Key()) != seq {
		return nil, f.iter.Error()
	}
	return f.iter.ValueAndErr()
}
