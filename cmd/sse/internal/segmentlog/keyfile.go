package segmentlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// A key file has the idempotency keys of a sealed segment. It begins with two sections
// in blocks (blocks.go). The rest is read when the log is opened.
//
//	refs     for each key, by hash: hash 8, offset of its record in the index 4
//	records  see appendKey: size, record
//	meta     number of keys, owners with their spans, Bloom filter
//	end      magic 8, size of the index 8, size of meta 8, checksum of meta and end 4
const (
	keySuffix   = ".keys"
	keyMagic    = "ssekeys1"
	keyEndSize  = 8 + 8 + 8 + 4
	keyRefSize  = 12
	bloomBits   = 10 // for each key
	bloomHashes = 7
)

func keyFileName(base uint64) string { return fmt.Sprintf("%020d%s", base, keySuffix) }

// keyFile is an open key file.
type keyFile struct {
	name  string
	n     int // number of keys
	spans spans
	bloom []byte
	blocks
}

// encodeKeyFile returns the content of a file with these keys.
func encodeKeyFile(records map[keyHash]*keyRecord, s spans) []byte {
	sorted := slices.SortedFunc(maps.Values(records), func(a, b *keyRecord) int {
		return bytes.Compare(a.hash[:], b.hash[:])
	})
	bloom := make([]byte, (len(sorted)*bloomBits+7)/8+1)
	var data, refs []byte
	for _, record := range sorted {
		refs = append(refs, record.hash[:8]...)
		off := len(sorted)*keyRefSize + len(data)
		refs = binary.LittleEndian.AppendUint32(refs, uint32(off))
		data = appendText(data, string(appendKey(nil, record)))
		for i := range bloomHashes {
			bit := bloomBit(&record.hash, i, bloom)
			bloom[bit/8] |= 1 << (bit % 8)
		}
	}
	index := slices.Concat(refs, data)
	meta := binary.AppendUvarint(nil, uint64(len(sorted)))
	meta = binary.AppendUvarint(meta, uint64(len(s)))
	for _, owner := range slices.Sorted(maps.Keys(s)) {
		o := s[owner]
		meta = appendText(meta, owner)
		meta = binary.AppendUvarint(meta, o.first)
		meta = binary.AppendUvarint(meta, o.last)
		meta = binary.LittleEndian.AppendUint64(meta, uint64(o.oldest))
		meta = binary.LittleEndian.AppendUint64(meta, uint64(o.newest))
	}
	meta = append(meta, bloom...)
	p := appendBlocks(nil, index)
	begin := len(p)
	p = append(append(p, meta...), keyMagic...)
	p = binary.LittleEndian.AppendUint64(p, uint64(len(index)))
	p = binary.LittleEndian.AppendUint64(p, uint64(len(meta)))
	return binary.LittleEndian.AppendUint32(p, checksum(p[begin:]))
}

// bloomBit returns the number of the i-th bit of a hash in a Bloom filter.
func bloomBit(hash *keyHash, i int, bloom []byte) uint64 {
	a := binary.LittleEndian.Uint64(hash[:])
	b := binary.LittleEndian.Uint64(hash[8:]) | 1
	return (a + uint64(i)*b) % uint64(len(bloom)*8)
}

// openKeyFile opens a key file. The error wraps errIndex if the file is damaged.
func (l *Log) openKeyFile(name string) (*keyFile, error) {
	read, err := l.files.readKeyFile(name)
	if err != nil {
		return nil, err
	}
	return l.useKeyFile(read), nil
}

// useKeyFile returns a key file whose index the log reads.
func (l *Log) useKeyFile(read *keyFile) *keyFile {
	k := *read
	k.files, k.cache = l.files, l.cache
	return &k
}

// readKeyFile reads the meta section of a file.
func (f *files) readKeyFile(name string) (*keyFile, error) {
	file, err := f.fs.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	var end [keyEndSize]byte
	if size < keyEndSize {
		return nil, fmt.Errorf("%w: %s", errIndex, name)
	}
	if err := readFull(file, end[:], size-keyEndSize); err != nil {
		return nil, err
	}
	index := int64(binary.LittleEndian.Uint64(end[8:]))
	meta := int64(binary.LittleEndian.Uint64(end[16:]))
	if string(end[:8]) != keyMagic || index < 0 || meta < 0 || index > size || meta > size ||
		blocksSize(index)+meta+keyEndSize != size {
		return nil, fmt.Errorf("%w: %s", errIndex, name)
	}
	p := make([]byte, meta+keyEndSize)
	err = readFull(file, p, size-int64(len(p)))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if checksum(p[:len(p)-4]) != binary.LittleEndian.Uint32(p[len(p)-4:]) {
		return nil, fmt.Errorf("%w: %s", errIndex, name)
	}
	k := &keyFile{name: name, spans: spans{}, blocks: blocks{name: name, size: index}}
	r := reader{text: string(p[:meta])}
	k.n = int(r.uvarint())
	for range r.uvarint() {
		owner := r.sized()
		k.spans[owner] = &span{r.uvarint(), r.uvarint(), int64(r.uint64()), int64(r.uint64())}
		if r.bad {
			break
		}
	}
	k.bloom = []byte(r.text)
	if r.bad || len(k.bloom) == 0 {
		return nil, fmt.Errorf("%w: %s", errIndex, name)
	}
	return k, nil
}

// find returns the record of a key, or nil.
func (k *keyFile) find(hash keyHash) (*keyRecord, error) {
	for i := range bloomHashes {
		if bit := bloomBit(&hash, i, k.bloom); k.bloom[bit/8]&(1<<(bit%8)) == 0 {
			return nil, nil
		}
	}
	i, err := search(k.n, func(i int) (bool, error) {
		p, err := k.read(int64(i)*keyRefSize, 8)
		return err == nil && bytes.Compare(p, hash[:8]) < 0, err
	})
	for ; i < k.n && err == nil; i++ {
		var p []byte
		p, err = k.read(int64(i)*keyRefSize, keyRefSize)
		if err != nil || !bytes.Equal(p[:8], hash[:8]) {
			break
		}
		record, err := k.record(int64(binary.LittleEndian.Uint32(p[8:])))
		if err != nil || record.hash == hash {
			return record, err
		}
	}
	return nil, err
}

// record returns the record at an offset of the index.
func (k *keyFile) record(off int64) (*keyRecord, error) {
	p, err := k.read(off, int(min(binary.MaxVarintLen64, k.size-off)))
	if err != nil {
		return nil, err
	}
	r := reader{text: string(p)}
	n := r.uvarint()
	if r.bad || n > uint64(k.size) {
		return nil, fmt.Errorf("%w: %s", errIndex, k.name)
	}
	p, err = k.read(off+int64(len(p)-len(r.text)), int(n))
	if err != nil {
		return nil, err
	}
	return parseKey(string(p))
}

// ref returns the beginning of the hash of the i-th key, and where its record begins.
func (k *keyFile) ref(i int) (hash [8]byte, off int64, err error) {
	p, err := k.read(int64(i)*keyRefSize, keyRefSize)
	if err != nil {
		return hash, 0, err
	}
	return [8]byte(p), int64(binary.LittleEndian.Uint32(p[8:])), nil
}
