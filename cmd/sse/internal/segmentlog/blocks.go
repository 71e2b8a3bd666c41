package segmentlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// An index on the disk is stored in blocks, so that a reader that needs a few bytes of
// it can check them. A block has the following parts. The last block of an index is
// shorter.
//
//	blockData bytes of the index, checksum 4, number of the block 4
const (
	blockData = 4088
	blockSize = blockData + 8
)

// errIndex is the error if an index on the disk is damaged.
var errIndex = errors.New("sse: an index of the log is damaged")

// appendBlocks appends an index in blocks.
func appendBlocks(dst, data []byte) []byte {
	for number := uint32(0); len(data) > 0; number++ {
		n := min(len(data), blockData)
		dst = append(dst, data[:n]...)
		dst = binary.LittleEndian.AppendUint32(dst, blockSum(data[:n], number))
		dst = binary.LittleEndian.AppendUint32(dst, number)
		data = data[n:]
	}
	return dst
}

func blockSum(data []byte, number uint32) uint32 { return checksum(data) ^ number*0x9E3779B1 }

// blocksSize returns the size of an index of n bytes in blocks.
func blocksSize(n int64) int64 { return n + (n+blockData-1)/blockData*8 }

// blocks reads an index in blocks.
type blocks struct {
	files *files
	cache *blockCache
	name  string // of the file
	off   int64  // where the blocks begin in the file
	size  int64  // of the index
}

// read returns n bytes of the index. The bytes must not be changed.
func (b *blocks) read(off int64, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if off < 0 || n < 0 || off+int64(n) > b.size {
		return nil, fmt.Errorf("%w: %s", errIndex, b.name)
	}
	first, last := off/blockData, (off+int64(n)-1)/blockData
	start := int(off - first*blockData)
	if first == last {
		block, err := b.block(first, first)
		if err != nil {
			return nil, err
		}
		return block[start : start+n], nil
	}
	p := make([]byte, 0, n+blockData)
	for i := first; i <= last; i++ {
		block, err := b.block(i, last)
		if err != nil {
			return nil, err
		}
		if i == first {
			block = block[start:]
		}
		p = append(p, block...)
	}
	return p[:n], nil
}

// check reads all blocks. The error wraps errIndex if one is damaged.
func (b *blocks) check() error {
	for off := int64(0); off < b.size; off += ahead * blockData {
		if _, err := b.read(off, int(min(b.size-off, ahead*blockData))); err != nil {
			return err
		}
	}
	return nil
}

// ahead is the number of blocks that are read from the file at once, if they are needed.
const ahead = 16

// block returns the data of a block. The blocks up to last will be needed next.
func (b *blocks) block(i, last int64) ([]byte, error) {
	if data := b.cache.get(b.name, i); data != nil {
		return data, nil
	}
	n := min(last-i+1, ahead)
	size := min(blocksSize(b.size)-i*blockSize, n*blockSize)
	p := make([]byte, size)
	err := b.files.readAt(b.name, p, b.off+i*blockSize)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: %s is too short", errIndex, b.name)
	}
	if err != nil {
		return nil, err
	}
	var first []byte
	for number := i; len(p) > 8; number++ {
		m := min(len(p), blockSize) - 8
		data := p[:m:m]
		if blockSum(data, uint32(number)) != binary.LittleEndian.Uint32(p[m:]) ||
			binary.LittleEndian.Uint32(p[m+4:]) != uint32(number) {
			return nil, fmt.Errorf("%w: %s at byte %d", errIndex, b.name, b.off+number*blockSize)
		}
		b.cache.put(b.name, number, data)
		if number == i {
			first = data
		}
		p = p[m+8:]
	}
	return first, nil
}

// blockCache has the blocks that were read last. It has two generations: when the
// young one is full, it becomes the old one, and the blocks of the old one are
// forgotten if nobody has read them since.
type blockCache struct {
	limit int // bytes of a generation

	mu         sync.Mutex // guards the following
	young, old map[blockName][]byte
	bytes      int // of young
}

type blockName struct {
	file   string
	number int64
}

func newBlockCache(size int64) *blockCache {
	return &blockCache{limit: int(size / 2), young: map[blockName][]byte{}}
}

func (c *blockCache) get(file string, number int64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := blockName{file, number}
	if data, ok := c.young[name]; ok {
		return data
	}
	data, ok := c.old[name]
	if ok {
		c.putLocked(name, data)
	}
	return data
}

func (c *blockCache) put(file string, number int64, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(blockName{file, number}, data)
}

// putLocked does what put does. c.mu is held.
func (c *blockCache) putLocked(name blockName, data []byte) {
	if c.bytes+len(data) > c.limit {
		c.young, c.old, c.bytes = make(map[blockName][]byte, len(c.young)), c.young, 0
	}
	c.young[name] = data
	c.bytes += len(data)
}

// readFull reads len(p) bytes. A file that is too short is damaged.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
