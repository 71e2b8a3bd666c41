package segmentlog

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// The footer of a segment is its index, in blocks (blocks.go), and a trailer, which is
// at the end of the file. These are the sections of the index:
//
//	locs      for each entry: offset 4, size 4
//	seqs      for each entry of a sparse segment: number minus base 4
//	times     the newest time after every timeEvery entries: 8 each
//	ids       for each entry with an ID, by hash: hash 4, ordinal 4
//	topics    for each topic, by name: where its name begins, in names 4
//	names     for each topic: length, name, and of its postings: begin, size, number
//	postings  for each topic: differences of ordinals, as varints
const trailerMagic = "ssefoot1"

// trailer describes the footer and the segment.
type trailer struct {
	marker  uint64 // of the segment
	base    uint64
	last    uint64 // the highest number that the segment stands for
	count   uint64 // number of entries
	bytes   uint64 // sum of the costs of the entries
	newest  int64  // the newest time of all entries up to last
	lastSum uint64 // sum of the entry with the number last, or zero
	keys    uint64 // number of idempotency keys
	end     uint64 // where the groups end and the blocks begin
	size    uint64 // of the index
	sparse  uint64 // 1 if sparse

	seqs, times, ids, topics, names, postings uint64 // where the sections begin; locs is at 0
}

const (
	trailerNumbers = 17
	trailerSize    = 8 + 8*trailerNumbers + 4
)

func (t *trailer) numbers() [trailerNumbers]uint64 {
	return [...]uint64{t.marker, t.base, t.last, t.count, t.bytes, uint64(t.newest), t.lastSum,
		t.keys, t.end, t.size, t.sparse, t.seqs, t.times, t.ids, t.topics, t.names, t.postings}
}

func (t *trailer) encode(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, trailerMagic...)
	for _, n := range t.numbers() {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
}

// decode reports whether p is a trailer.
func (t *trailer) decode(p []byte) bool {
	if len(p) != trailerSize || string(p[:8]) != trailerMagic ||
		checksum(p[:trailerSize-4]) != binary.LittleEndian.Uint32(p[trailerSize-4:]) {
		return false
	}
	var n [trailerNumbers]uint64
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(p[8+8*i:])
	}
	*t = trailer{n[0], n[1], n[2], n[3], n[4], int64(n[5]), n[6], n[7], n[8], n[9], n[10],
		n[11], n[12], n[13], n[14], n[15], n[16]}
	return true
}

// readTrailer returns the trailer of a file, or nil if the file has none.
func readTrailer(file vfs.File, marker uint64) (*trailer, error) {
	size, err := file.Size()
	if err != nil || size < headerSize+trailerSize {
		return nil, err
	}
	var p [trailerSize]byte
	if err := readFull(file, p[:], size-trailerSize); err != nil {
		return nil, err
	}
	var t trailer
	if !t.decode(p[:]) || t.marker != marker ||
		int64(t.end)+blocksSize(int64(t.size))+trailerSize != size {
		return nil, nil
	}
	return &t, nil
}

// appendFooter appends the footer of a segment with this index. It sets the fields of
// t that depend on the index. m does not change any more.
func appendFooter(dst []byte, t *trailer, m *memIndex) []byte {
	t.count, t.bytes = uint64(len(m.locs)), m.bytes
	var p []byte
	for _, l := range m.locs {
		p = binary.LittleEndian.AppendUint32(p, l.off)
		p = binary.LittleEndian.AppendUint32(p, l.size)
	}
	t.seqs = uint64(len(p))
	for _, delta := range m.seqs {
		p = binary.LittleEndian.AppendUint32(p, delta)
	}
	t.times = uint64(len(p))
	for _, nano := range m.times {
		p = binary.LittleEndian.AppendUint64(p, uint64(nano))
	}
	t.ids = uint64(len(p))
	ids := slices.Clone(m.ids)
	slices.SortFunc(ids, func(a, b idRef) int {
		if a.hash != b.hash {
			return int(int64(a.hash) - int64(b.hash))
		}
		return int(int64(a.ord) - int64(b.ord))
	})
	for _, ref := range ids {
		p = binary.LittleEndian.AppendUint32(p, ref.hash)
		p = binary.LittleEndian.AppendUint32(p, ref.ord)
	}
	p = appendTopics(p, t, m)
	t.size = uint64(len(p))
	return t.encode(appendBlocks(dst, p))
}

func appendTopics(p []byte, t *trailer, m *memIndex) []byte {
	lists := slices.Clone(m.order)
	slices.SortFunc(lists, func(a, b *topicList) int { return strings.Compare(a.topic, b.topic) })
	var names, data []byte
	t.topics = uint64(len(p))
	for _, list := range lists {
		p = binary.LittleEndian.AppendUint32(p, uint32(len(names)))
		begin, last := len(data), uint32(0)
		for _, ord := range list.ords {
			data = binary.AppendUvarint(data, uint64(ord-last))
			last = ord
		}
		names = appendText(names, list.topic)
		names = binary.AppendUvarint(names, uint64(begin))
		names = binary.AppendUvarint(names, uint64(len(data)-begin))
		names = binary.AppendUvarint(names, uint64(len(list.ords)))
	}
	t.names = uint64(len(p))
	p = append(p, names...)
	t.postings = uint64(len(p))
	return append(p, data...)
}

// footer is the index of a segment on the disk.
type footer struct {
	trailer
	blocks
}

func (f *footer) len() int { return int(f.count) }

func (f *footer) cost() uint64 { return f.bytes }

func (f *footer) loc(i int) (loc, error) {
	p, err := f.read(int64(i)*8, 8)
	if err != nil {
		return loc{}, err
	}
	return loc{binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])}, nil
}

func (f *footer) seq(i int) (uint64, error) {
	if f.sparse == 0 {
		return f.base + uint64(i), nil
	}
	delta, err := f.uint32(f.seqs + uint64(i)*4)
	return f.base + uint64(delta), err
}

func (f *footer) uint32(off uint64) (uint32, error) {
	p, err := f.read(int64(off), 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(p), nil
}

// search returns the lowest i below n for which less(i) is false.
func search(n int, less func(i int) (bool, error)) (int, error) {
	low, high := 0, n
	for low < high {
		middle := low + (high-low)/2
		yes, err := less(middle)
		if err != nil {
			return 0, err
		}
		if yes {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

func (f *footer) find(seq uint64) (int, error) {
	switch {
	case seq <= f.base:
		return 0, nil
	case seq > f.last:
		return f.len(), nil
	case f.sparse == 0:
		return min(int(seq-f.base), f.len()), nil
	}
	return search(f.len(), func(i int) (bool, error) {
		other, err := f.seq(i)
		return other < seq, err
	})
}

func (f *footer) timed(nano int64) (int, error) {
	n := int(f.ids-f.times) / 8
	i, err := search(n, func(i int) (bool, error) {
		p, err := f.read(int64(f.times)+int64(i)*8, 8)
		return err == nil && int64(binary.LittleEndian.Uint64(p)) < nano, err
	})
	return i * timeEvery, err
}

func (f *footer) named(hash uint32) ([]int, error) {
	n := int(f.trailer.topics-f.ids) / 8
	at := func(i int) uint64 { return f.ids + uint64(i)*8 }
	i, err := search(n, func(i int) (bool, error) {
		other, err := f.uint32(at(i))
		return other < hash, err
	})
	var ords []int
	for ; i < n && err == nil; i++ {
		var other, ord uint32
		if other, err = f.uint32(at(i)); err != nil || other != hash {
			break
		}
		ord, err = f.uint32(at(i) + 4)
		ords = append(ords, int(ord))
	}
	return ords, err
}

// topicEntry is an element of the section names.
type topicEntry struct {
	topic          string
	begin, size, n uint64 // of the postings
	next           int64  // where the next element begins
}

// nameChunk is the number of bytes of names that are read at once.
const nameChunk = 256

// topicAt returns the topic whose element begins at an offset of the index.
func (f *footer) topicAt(off int64) (topicEntry, error) {
	for n := int64(nameChunk); ; n *= 8 {
		n = min(n, int64(f.trailer.postings)-off)
		p, err := f.read(off, int(n))
		if err != nil {
			return topicEntry{}, err
		}
		r := reader{text: view(p)}
		e := topicEntry{topic: r.sized(), begin: r.uvarint(), size: r.uvarint(), n: r.uvarint()}
		if !r.bad {
			e.next = off + n - int64(len(r.text))
			return e, nil
		}
		if off+n >= int64(f.trailer.postings) || n > math.MaxInt32/8 {
			return topicEntry{}, errIndex
		}
	}
}

// topicCount returns the number of topics.
func (f *footer) topicCount() int { return int(f.names-f.trailer.topics) / 4 }

// findTopic returns the place, among the topics, of the first that is not before name.
func (f *footer) findTopic(name string) (int, error) {
	return search(f.topicCount(), func(i int) (bool, error) {
		e, err := f.nthTopic(i)
		return e.topic < name, err
	})
}

func (f *footer) nthTopic(i int) (topicEntry, error) {
	off, err := f.uint32(f.trailer.topics + uint64(i)*4)
	if err != nil {
		return topicEntry{}, err
	}
	return f.topicAt(int64(f.names) + int64(off))
}

func (f *footer) postings(topic string) (postings, error) {
	i, err := f.findTopic(topic)
	if err != nil || i == f.topicCount() {
		return postings{}, err
	}
	e, err := f.nthTopic(i)
	if err != nil || e.topic != topic {
		return postings{}, err
	}
	return f.listOf(&e)
}

// listOf reads the postings of a topic.
func (f *footer) listOf(e *topicEntry) (postings, error) {
	if e.size > uint64(f.blocks.size) {
		return postings{}, errIndex
	}
	p, err := f.read(int64(f.trailer.postings+e.begin), int(e.size))
	return postings{data: p, n: int(e.n)}, err
}

func (f *footer) topics(prefix string, each eachTopic) error {
	i, err := f.findTopic(prefix)
	if err != nil || i == f.topicCount() {
		return err
	}
	off, err := f.uint32(f.trailer.topics + uint64(i)*4)
	next := int64(f.names) + int64(off)
	var e topicEntry
	load := func() (postings, error) { return f.listOf(&e) }
	for err == nil && next < int64(f.trailer.postings) {
		if e, err = f.topicAt(next); err != nil || !strings.HasPrefix(e.topic, prefix) {
			break
		}
		next = e.next
		var more bool
		if more, err = each(e.topic, load); !more {
			break
		}
	}
	return err
}
