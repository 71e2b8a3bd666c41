package segmentlog

import (
	"math/bits"
	"sync/atomic"
)

// bitset is a set of ordinals. Its length is the capacity, in words of 64 bits.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

// has reports whether i is in the set. It may run while addShared adds elements.
func (b bitset) has(i int) bool {
	return i/64 < len(b) && atomic.LoadUint64(&b[i/64])&(1<<(i%64)) != 0
}

// addShared adds i while other goroutines read the set.
func (b bitset) addShared(i int) { atomic.OrUint64(&b[i/64], 1<<(i%64)) }

// next returns the first element that is not lower than i, or -1.
func (b bitset) next(i int) int {
	if i < 0 {
		i = 0
	}
	for w := i / 64; w < len(b); w++ {
		word := b[w]
		if w == i/64 {
			word &= ^uint64(0) << (i % 64)
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// prev returns the last element that is not higher than i, or -1.
func (b bitset) prev(i int) int {
	i = min(i, len(b)*64-1)
	for w := i / 64; i >= 0 && w >= 0; w-- {
		word := b[w]
		if w == i/64 {
			word &= ^uint64(0) >> (63 - i%64)
		}
		if word != 0 {
			return w*64 + 63 - bits.LeadingZeros64(word)
		}
	}
	return -1
}

// count returns the number of elements.
func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// remove removes the elements of other.
func (b bitset) remove(other bitset) {
	for w := range min(len(b), len(other)) {
		b[w] &^= atomic.LoadUint64(&other[w])
	}
}
