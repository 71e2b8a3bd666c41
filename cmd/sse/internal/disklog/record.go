package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"time"
	"unsafe"

	"github.com/sse-go/sse"
)

// The value of an entry's key. Lengths, the time and retry are varints:
//
//	version  sum      time  number of  length topic …  length id  length type  retry  data
//	1 byte   4 bytes        topics
//
// The sum is sumOf the entry. The entry's position can be calculated from it
// without the rest of the record. It shows that a record was damaged on the way to
// the disk and back; the storage library finds other damage. No client receives
// it: without the key of the log, it would reveal the entry.
const recordVersion = 1

var errDamaged = errors.New("sse: an entry of the log is damaged")

// sumOf returns a checksum of an entry except its position.
func sumOf(e *sse.Entry) uint32 {
	sum := uint32(1)
	for _, topic := range e.Topics {
		sum = addText(sum, topic)
	}
	for _, text := range [...]string{e.Event.ID, e.Event.Type, e.Event.Data} {
		sum = addText(sum, text)
	}
	return addNumber(addNumber(sum, int64(e.Event.Retry)), e.Time.UnixNano())
}

// addText adds a text and its length, because "ab", "c" and "a", "bc" must differ.
func addText(sum uint32, text string) uint32 {
	sum = addNumber(sum, int64(len(text)))
	return crc32.Update(sum, castagnoli, unsafe.Slice(unsafe.StringData(text), len(text)))
}

func addNumber(sum uint32, n int64) uint32 {
	const odd = 0x9E3779B1 // so that numbers which differ in their lower half stay different
	return bits.RotateLeft32(sum, 13) ^ (uint32(n)+uint32(n>>32)*31)*odd
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeEntry returns the value for an entry with this sum.
func encodeEntry(e *sse.Entry, sum uint32) []byte {
	size := 1 + 4 + 5*binary.MaxVarintLen64 + len(e.Event.ID) + len(e.Event.Type) + len(e.Event.Data)
	for _, topic := range e.Topics {
		size += binary.MaxVarintLen32 + len(topic)
	}
	v := append(make([]byte, 0, size), recordVersion)
	v = binary.LittleEndian.AppendUint32(v, sum)
	v = binary.AppendVarint(v, e.Time.UnixNano())
	v = binary.AppendUvarint(v, uint64(len(e.Topics)))
	for _, topic := range e.Topics {
		v = appendText(v, topic)
	}
	v = appendText(v, e.Event.ID)
	v = appendText(v, e.Event.Type)
	v = binary.AppendVarint(v, int64(e.Event.Retry))
	return append(v, e.Event.Data...)
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// head is the part of a record that indexes and retention need.
type head struct {
	sum    uint32
	nano   int64
	topics []string
	id     string
}

// reader takes a record apart. All texts are parts of one string.
type reader struct {
	text string
	bad  bool
}

func (r *reader) uvarint() uint64 {
	n, shift := uint64(0), 0
	for i := 0; i < len(r.text) && i < binary.MaxVarintLen64; i++ {
		b := r.text[i]
		n |= uint64(b&0x7F) << shift
		if b < 0x80 {
			r.text = r.text[i+1:]
			return n
		}
		shift += 7
	}
	r.bad, r.text = true, ""
	return 0
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.text)) {
		r.bad, r.text = true, ""
		return ""
	}
	taken := r.text[:n]
	r.text = r.text[n:]
	return taken
}

func (r *reader) sized() string { return r.take(r.uvarint()) }

// headOf reads a record up to its id. The topics and the id are parts of text.
func headOf(text string) (head, reader, error) {
	if len(text) < 5 || text[0] != recordVersion {
		return head{}, reader{}, errDamaged
	}
	r := reader{text: text[5:]}
	h := head{sum: binary.LittleEndian.Uint32([]byte(text[1:5])), nano: r.varint()}
	n := r.uvarint()
	if n > uint64(len(r.text)) {
		return head{}, reader{}, errDamaged
	}
	h.topics = make([]string, n)
	for i := range h.topics {
		h.topics[i] = r.sized()
	}
	h.id = r.sized()
	if r.bad {
		return head{}, reader{}, errDamaged
	}
	return h, r, nil
}

// viewHead is headOf without a copy: the texts are good for as long as the value
// is, which is until an iterator moves.
func viewHead(value []byte) (head, error) {
	h, _, err := headOf(unsafe.String(unsafe.SliceData(value), len(value)))
	return h, err
}

// distinct leaves out topics that an event names again.
func distinct(topics []string) []string {
	for i := 1; i < len(topics); i++ {
		if slices.Contains(topics[:i], topics[i]) {
			sorted := slices.Sorted(slices.Values(topics))
			return slices.Compact(sorted)
		}
	}
	return topics
}

// decodeEntry is the inverse of encodeEntry. It copies the value.
func (l *Log) decodeEntry(seq uint64, value []byte) (sse.Entry, error) {
	h, r, err := headOf(string(value))
	if err != nil {
		return sse.Entry{}, fmt.Errorf("%w: number %d", err, seq)
	}
	kind := r.sized()
	retry := r.varint()
	e := sse.Entry{
		Position: l.position(place{seq, h.sum}),
		Time:     time.Unix(0, h.nano),
		Topics:   h.topics,
		Event:    sse.Event{ID: h.id, Type: kind, Data: r.text, Retry: time.Duration(retry)},
	}
	if r.bad || sumOf(&e) != h.sum {
		return sse.Entry{}, fmt.Errorf("%w: number %d", errDamaged, seq)
	}
	return e, nil
}

// sizeOf is what counts for a page's limit.
func sizeOf(e *sse.Entry) int {
	n := len(e.Event.ID) + len(e.Event.Type) + len(e.Event.Data)
	for _, topic := range e.Topics {
		n += len(topic)
	}
	return n
}

// costOf is about what an entry takes on the disk: the record, its key, and its
// places in the indexes. It is what retention counts as bytes, and depends on
// nothing but what can be read from the record.
func costOf(record int, topics []string, id string) int64 {
	const (
		perEntry = 24 // the key, and what the store adds to it
		perTopic = 24
		perID    = 40
	)
	cost := record + perEntry
	for _, topic := range topics {
		cost += len(topic) + perTopic
	}
	if id != "" {
		cost += perID
	}
	return int64(cost)
}
