package segmentlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"time"
	"unsafe"

	"github.com/sse-go/sse"
)

// The parts of a segment's file. Numbers are little-endian.
//
//	header   magic 8, marker 8, log 8, base 8, time 8, sum 4, flags 4, checksum 4
//	group    marker 8, size 4, count 4, number 8, checksum 4, then frames of size bytes
//	frame    size 4, checksum 4, payload
//	footer   see footer.go
//
// The marker is 8 random bytes of the segment. If a group is damaged, the log finds the
// next group by its marker. A client cannot know the marker, so no event can look like a
// group. A group is the result of one write, which was acknowledged as a whole.
const (
	segmentMagic = "sseseg1\n"
	headerSize   = 52
	groupSize    = 28
	frameSize    = 8
)

// The flags of a segment.
const flagSparse = 1 // the segment has not every number between its first and its last

// The kinds of frames: the first byte of the payload.
const (
	entryFrame = 1
	keyFrame   = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// header is the beginning of a segment's file.
type header struct {
	marker uint64 // random
	log    uint64 // identifies the log
	base   uint64 // no entry of the segment has a lower number
	newest int64  // the newest time of all entries before base
	sum    uint32 // sum of the entry before base, or zero
	sparse bool
}

func (h *header) encode() []byte {
	p := append(make([]byte, 0, headerSize), segmentMagic...)
	p = binary.LittleEndian.AppendUint64(p, h.marker)
	p = binary.LittleEndian.AppendUint64(p, h.log)
	p = binary.LittleEndian.AppendUint64(p, h.base)
	p = binary.LittleEndian.AppendUint64(p, uint64(h.newest))
	p = binary.LittleEndian.AppendUint32(p, h.sum)
	flags := uint32(0)
	if h.sparse {
		flags = flagSparse
	}
	p = binary.LittleEndian.AppendUint32(p, flags)
	return binary.LittleEndian.AppendUint32(p, checksum(p))
}

// decode reports whether p is a header. It does not accept a header of a newer format.
func (h *header) decode(p []byte) bool {
	if len(p) < headerSize || string(p[:8]) != segmentMagic ||
		checksum(p[:48]) != binary.LittleEndian.Uint32(p[48:]) {
		return false
	}
	*h = header{
		marker: binary.LittleEndian.Uint64(p[8:]), log: binary.LittleEndian.Uint64(p[16:]),
		base: binary.LittleEndian.Uint64(p[24:]), newest: int64(binary.LittleEndian.Uint64(p[32:])),
		sum: binary.LittleEndian.Uint32(p[40:]), sparse: binary.LittleEndian.Uint32(p[44:]) == flagSparse,
	}
	return true
}

// groupHeader is the header of a group.
type groupHeader struct {
	size  uint32 // of the frames after the header
	count uint32 // number of entries
	first uint64 // number of the first entry
}

// put writes the header of a group.
func (g *groupHeader) put(p []byte, marker uint64) {
	binary.LittleEndian.PutUint64(p, marker)
	binary.LittleEndian.PutUint32(p[8:], g.size)
	binary.LittleEndian.PutUint32(p[12:], g.count)
	binary.LittleEndian.PutUint64(p[16:], g.first)
	binary.LittleEndian.PutUint32(p[24:], checksum(p[:24]))
}

// decode reports whether p begins with the header of a group of the segment.
func (g *groupHeader) decode(p []byte, marker uint64) bool {
	if len(p) < groupSize || binary.LittleEndian.Uint64(p) != marker ||
		checksum(p[:24]) != binary.LittleEndian.Uint32(p[24:]) {
		return false
	}
	*g = groupHeader{
		size: binary.LittleEndian.Uint32(p[8:]), count: binary.LittleEndian.Uint32(p[12:]),
		first: binary.LittleEndian.Uint64(p[16:]),
	}
	return true
}

// beginFrame appends room for the header of a frame. endFrame fills it in when the
// payload, which begins at start+frameSize, is complete. It returns the sum.
func beginFrame(dst []byte) (out []byte, start int) {
	return append(dst, make([]byte, frameSize)...), len(dst)
}

func endFrame(p []byte, start int) (sum uint32) {
	payload := p[start+frameSize:]
	sum = checksum(payload)
	binary.LittleEndian.PutUint32(p[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(p[start+4:], sum)
	return sum
}

var errDamaged = errors.New("sse: an entry of the log is damaged")

// checkFrame returns the payload and the sum of the frame with which p begins.
func checkFrame(p []byte) (payload []byte, sum uint32, ok bool) {
	if len(p) < frameSize {
		return nil, 0, false
	}
	size := binary.LittleEndian.Uint32(p)
	if uint64(size) > uint64(len(p)-frameSize) {
		return nil, 0, false
	}
	payload, sum = p[frameSize:frameSize+int(size)], binary.LittleEndian.Uint32(p[4:])
	return payload, sum, checksum(payload) == sum
}

// appendBody appends an entry without its number. Lengths and retry are varints:
//
//	time     number of  length topic …  length id  length type  retry  data
//	8 bytes  topics
//
// The payload of its frame is the kind, the number as a varint, and the body.
func appendBody(dst []byte, e *sse.Entry) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Time.UnixNano()))
	dst = binary.AppendUvarint(dst, uint64(len(e.Topics)))
	for _, topic := range e.Topics {
		dst = appendText(dst, topic)
	}
	dst = appendText(dst, e.Event.ID)
	dst = appendText(dst, e.Event.Type)
	dst = binary.AppendVarint(dst, int64(e.Event.Retry))
	return append(dst, e.Event.Data...)
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendFrame appends the frame of an entry. It returns the sum.
func appendFrame(dst []byte, seq uint64, body []byte) ([]byte, uint32) {
	dst, start := beginFrame(dst)
	dst = binary.AppendUvarint(append(dst, entryFrame), seq)
	dst = append(dst, body...)
	return dst, endFrame(dst, start)
}

// reader takes a payload apart. All texts are parts of one string.
type reader struct {
	text string
	bad  bool
}

func (r *reader) fail() {
	r.bad, r.text = true, ""
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
	r.fail()
	return 0
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.text)) {
		r.fail()
		return ""
	}
	taken := r.text[:n]
	r.text = r.text[n:]
	return taken
}

func (r *reader) sized() string { return r.take(r.uvarint()) }

func (r *reader) uint64() uint64 {
	text := r.take(8)
	if r.bad {
		return 0
	}
	return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(text), 8))
}

// head is the part of an entry that indexes and retention need.
type head struct {
	seq    uint64
	nano   int64
	topics []string // may name a topic twice
	id     string
	rest   reader
}

// parse reads the payload of an entry up to the ID. The texts are parts of the payload.
// parse reuses h.topics.
func (h *head) parse(text string) error {
	r := reader{text: text}
	if kind := r.take(1); r.bad || kind[0] != entryFrame {
		return errDamaged
	}
	h.seq, h.nano = r.uvarint(), int64(r.uint64())
	n := r.uvarint()
	if n > uint64(len(r.text)) {
		return errDamaged
	}
	h.topics = h.topics[:0]
	for range n {
		h.topics = append(h.topics, r.sized())
	}
	h.id = r.sized()
	h.rest = r
	if r.bad {
		return errDamaged
	}
	return nil
}

// view returns a string that shares the memory of p. It is valid until p changes.
func view(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// decodeEntry returns the entry of a payload, without the position. It copies the
// payload.
func decodeEntry(payload []byte) (sse.Entry, error) {
	var h head
	if err := h.parse(string(payload)); err != nil {
		return sse.Entry{}, err
	}
	r := h.rest
	e := sse.Entry{
		Position: sse.Position{Seq: h.seq}, Time: time.Unix(0, h.nano), Topics: h.topics,
		Event: sse.Event{ID: h.id, Type: r.sized(), Retry: time.Duration(r.varint())},
	}
	e.Event.Data = r.text
	if r.bad {
		return sse.Entry{}, errDamaged
	}
	return e, nil
}

// distinct returns the topics without those that an entry names again.
func distinct(topics []string) []string {
	for i := 1; i < len(topics); i++ {
		if slices.Contains(topics[:i], topics[i]) {
			sorted := slices.Sorted(slices.Values(topics))
			return slices.Compact(sorted)
		}
	}
	return topics
}

// sizeOf is the size of an entry that counts for the limit of a page.
func sizeOf(e *sse.Entry) int {
	n := len(e.Event.ID) + len(e.Event.Type) + len(e.Event.Data)
	for _, topic := range e.Topics {
		n += len(topic)
	}
	return n
}
