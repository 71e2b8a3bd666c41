package segmentlog

import (
	"slices"
	"strings"
	"sync"
)

// index finds the entries of a segment. An ordinal counts the entries of a segment,
// from 0. An index of a segment that is complete does not change any more. The methods
// are safe for concurrent use, also while entries are added.
type index interface {
	// len returns the number of entries.
	len() int
	// cost returns the sum of the costs of the entries.
	cost() uint64
	// loc returns the place of an entry in the file.
	loc(i int) (loc, error)
	// seq returns the number of an entry.
	seq(i int) (uint64, error)
	// find returns the ordinal of the first entry whose number is not lower than seq.
	find(seq uint64) (int, error)
	// postings returns the ordinals of a topic's entries.
	postings(topic string) (postings, error)
	// topics calls each for every topic that begins with prefix.
	topics(prefix string, each eachTopic) error
	// named returns the ordinals of entries that may have an ID with this hash.
	named(hash uint32) ([]int, error)
	// timed returns an ordinal before which all entries of the segment are older than
	// a time.
	timed(nano int64) (int, error)
}

// eachTopic is called with a topic and a function that returns its postings. It returns
// false to end the calls.
type eachTopic func(topic string, load func() (postings, error)) (more bool, err error)

// loc is the place of a frame in a file. The size includes the frame's header.
type loc struct{ off, size uint32 }

// timeEvery is the number of entries between two times that an index stores.
const timeEvery = 256

// postings are the ordinals of a topic's entries, in order: a slice, or n varints with
// the differences.
type postings struct {
	list []uint32
	data []byte
	n    int
}

func (p *postings) len() int { return len(p.list) + p.n }

// each calls f for the ordinals.
func (p *postings) each(f func(ord int)) {
	for _, ord := range p.list {
		f(int(ord))
	}
	ord, data := 0, p.data
	for range p.n {
		delta, size := uvarint32(data)
		data = data[size:]
		ord += int(delta)
		f(ord)
	}
}

// addTo adds the ordinals to a set. It leaves out those for which the set is too small:
// entries that were added after the set was made.
func (p *postings) addTo(set bitset) {
	for _, ord := range p.list {
		if int(ord)/64 >= len(set) {
			return
		}
		set.add(int(ord))
	}
	ord, data := 0, p.data
	for range p.n {
		delta, size := uvarint32(data)
		data = data[size:]
		if ord += int(delta); ord/64 >= len(set) {
			return // cannot happen in a block with a correct checksum
		}
		set.add(ord)
	}
}

func uvarint32(p []byte) (n uint32, size int) {
	for i, b := range p {
		n |= uint32(b&0x7F) << (7 * i)
		if b < 0x80 {
			return n, i + 1
		}
	}
	return n, len(p)
}

// memIndex is the index, in memory, of a segment that has no footer.
type memIndex struct {
	base uint64

	mu      sync.RWMutex // guards the following
	last    uint64       // the highest number, or base-1
	seqs    []uint32     // differences from base; nil if all are there
	locs    []loc
	lists   map[string]*topicList
	order   []*topicList // in the order of their first entries
	ids     []idRef
	times   []int64 // the newest time, after every timeEvery entries
	newest  int64   // the newest time of all entries up to the last
	bytes   uint64  // sum of the costs of the entries
	lastSum uint32
}

// topicList is a topic and the ordinals of its entries.
type topicList struct {
	topic string
	ords  []uint32 // guarded by memIndex.mu
}

// idRef is an entry that has an ID.
type idRef struct{ hash, ord uint32 }

// hashID returns the hash of an ID under which indexes find the ID.
func hashID(id string) uint32 { return checksum([]byte(id)) }

func newMemIndex(base uint64, newest int64, sparse bool) *memIndex {
	m := &memIndex{base: base, last: base - 1, newest: newest, lists: map[string]*topicList{}}
	if sparse {
		m.seqs = []uint32{}
	}
	return m
}

// costOf is about the space that an entry takes on the disk.
func costOf(l loc) uint64 { return uint64(l.size) + 16 }

// add adds an entry. m.mu is held, or nobody else has the index yet.
func (m *memIndex) add(h *head, l loc, sum uint32) {
	ord := uint32(len(m.locs))
	if m.seqs != nil {
		m.seqs = append(m.seqs, uint32(h.seq-m.base))
	}
	m.locs = append(m.locs, l)
	m.last, m.lastSum = h.seq, sum
	m.newest = max(m.newest, h.nano)
	m.bytes += costOf(l)
	for _, topic := range distinct(h.topics) {
		list := m.lists[topic]
		if list == nil {
			list = &topicList{topic: strings.Clone(topic)} // it may be a part of a large text
			m.lists[list.topic] = list
			m.order = append(m.order, list)
		}
		list.ords = append(list.ords, ord)
	}
	if h.id != "" {
		m.ids = append(m.ids, idRef{hashID(h.id), ord})
	}
	if (ord+1)%timeEvery == 0 {
		m.times = append(m.times, m.newest)
	}
}

func (m *memIndex) len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.locs)
}

func (m *memIndex) cost() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes
}

// loc returns the zero loc, which is that of a damaged entry, if i is after the last
// entry: the index may have replaced a damaged footer that had more entries.
func (m *memIndex) loc(i int) (loc, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if i >= len(m.locs) {
		return loc{}, nil
	}
	return m.locs[i], nil
}

// seq returns the number of the last entry if i is after the last entry of a sparse
// segment.
func (m *memIndex) seq(i int) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.seqs == nil:
		return m.base + uint64(i), nil
	case i >= len(m.seqs):
		return m.last, nil
	}
	return m.base + uint64(m.seqs[i]), nil
}

func (m *memIndex) find(seq uint64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case seq <= m.base:
		return 0, nil
	case seq > m.last:
		return len(m.locs), nil
	case m.seqs == nil:
		return int(seq - m.base), nil
	}
	i, _ := slices.BinarySearch(m.seqs, uint32(seq-m.base))
	return i, nil
}

func (m *memIndex) postings(topic string) (postings, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if list := m.lists[topic]; list != nil {
		return postings{list: list.ords}, nil
	}
	return postings{}, nil
}

func (m *memIndex) topics(prefix string, each eachTopic) error {
	m.mu.RLock()
	order := m.order
	m.mu.RUnlock()
	var list *topicList
	load := func() (postings, error) {
		m.mu.RLock()
		defer m.mu.RUnlock()
		return postings{list: list.ords}, nil
	}
	for _, list = range order {
		if !strings.HasPrefix(list.topic, prefix) {
			continue
		}
		if more, err := each(list.topic, load); !more || err != nil {
			return err
		}
	}
	return nil
}

func (m *memIndex) named(hash uint32) ([]int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ords []int
	for _, ref := range m.ids {
		if ref.hash == hash {
			ords = append(ords, int(ref.ord))
		}
	}
	return ords, nil
}

func (m *memIndex) timed(nano int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, _ := slices.BinarySearch(m.times, nano)
	return i * timeEvery, nil
}
