package main

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"sync/atomic"
)

// The kinds of keys, which are the first bytes of keys. disklog, the storage package
// of the hub, has the same keys.
const (
	entryKind = 'e' // an event, by its number
	stateKind = 's' // the number of the last event and the number of events of a topic
	topicKind = 't' // an index: for each topic, the numbers of its events
)

var kinds = []byte{entryKind, stateKind, topicKind}

// log is a simple event log. It uses every store in the same way.
type log struct {
	store kv
	last  uint64            // number of the newest event
	first uint64            // number of the oldest stored event
	count map[string]uint64 // number of events, by topic
	queue chan *publish
	done  chan struct{} // closed when commit has ended
	syncs atomic.Int64  // number of synced writes
}

// publish is an event that a publisher has sent to the log.
type publish struct {
	topic string
	data  []byte
	done  chan error // receives the result of the write
}

func newLog(store kv) *log {
	l := &log{
		store: store, first: 1, count: map[string]uint64{},
		queue: make(chan *publish, 1024), done: make(chan struct{}),
	}
	go l.commit()
	return l
}

// commit writes the events of the queue in groups. The events that arrive while a
// group is synced are the next group.
func (l *log) commit() {
	defer close(l.done)
	var group []*publish
	for p := range l.queue {
		group = append(group[:0], p)
		for more := true; more && len(group) < 1024; {
			select {
			case p, more = <-l.queue:
				if more {
					group = append(group, p)
				}
			default:
				more = false
			}
		}
		err := l.write(group)
		for _, p := range group {
			p.done <- err
		}
	}
}

func (l *log) write(group []*publish) error {
	var set [][2][]byte
	touched := map[string]bool{}
	for _, p := range group {
		l.last++
		l.count[p.topic]++
		touched[p.topic] = true
		set = append(set, [2][]byte{numberKey(l.last), p.data},
			[2][]byte{memberKey(p.topic, l.last), nil})
	}
	for topic := range touched {
		value := binary.BigEndian.AppendUint64(nil, l.last)
		value = binary.BigEndian.AppendUint64(value, l.count[topic])
		set = append(set, [2][]byte{append([]byte{stateKind}, topic...), value})
	}
	l.syncs.Add(1)
	return l.store.Write(set, nil, true)
}

func (l *log) close() error {
	close(l.queue)
	<-l.done
	return l.store.Close()
}

func numberKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{entryKind}, seq) }

func memberKey(topic string, seq uint64) []byte {
	key := append(append([]byte{topicKind}, topic...), 0)
	return binary.BigEndian.AppendUint64(key, seq)
}

// trim removes the oldest n events. topicOf returns the topic of an event.
func (l *log) trim(n uint64, topicOf func(seq uint64) string) error {
	var remove [][]byte
	for range n {
		remove = append(remove, memberKey(topicOf(l.first), l.first))
		l.first++
	}
	if err := l.store.Write(nil, remove, false); err != nil {
		return err
	}
	return l.store.Drop(numberKey(l.first))
}

// replay reads the events of topics in order, and returns their number.
func (l *log) replay(topics []string) (n int, err error) {
	err = l.store.Read(func(c cursor) error {
		var lists lists
		for _, topic := range topics {
			list := &list{topic: topic, next: 1}
			if list.fill(c); len(list.seqs) > 0 {
				lists = append(lists, list)
			}
		}
		heap.Init(&lists)
		for len(lists) > 0 {
			first := lists[0]
			if key, _ := c.Seek(numberKey(first.seqs[0])); key != nil {
				n++
			}
			if first.seqs = first.seqs[1:]; len(first.seqs) == 0 {
				first.fill(c)
			}
			if len(first.seqs) == 0 {
				heap.Pop(&lists)
			} else {
				heap.Fix(&lists, 0)
			}
		}
		return nil
	})
	return n, err
}

// list has the numbers of some events of a topic, in order.
type list struct {
	topic string
	seqs  []uint64
	next  uint64 // the number at which fill continues
}

// fill reads the next numbers, up to 256, from the index.
func (l *list) fill(c cursor) {
	key := memberKey(l.topic, l.next)
	prefix := key[:len(key)-8]
	l.seqs = l.seqs[:0]
	for k, _ := c.Seek(key); len(l.seqs) < 256 && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		l.seqs = append(l.seqs, binary.BigEndian.Uint64(k[len(k)-8:]))
	}
	if len(l.seqs) > 0 {
		l.next = l.seqs[len(l.seqs)-1] + 1
	}
}

// lists is a heap. The first list has the event with the smallest number.
type lists []*list

func (h lists) Len() int           { return len(h) }
func (h lists) Less(i, j int) bool { return h[i].seqs[0] < h[j].seqs[0] }
func (h lists) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lists) Push(x any)        { *h = append(*h, x.(*list)) }

func (h *lists) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
