package control

import "math/bits"

// Histogram counts times in buckets whose width is 1/32 of their value at most,
// so that a quantile is exact to 3 %. The zero value is empty.
//
// Bucket i holds, for values v < 32, v itself; above, the five bits after the
// leading one select among the 32 buckets of each power of two.
type Histogram struct {
	Counts []uint64 `json:"counts,omitempty"` // up to the highest that is not 0
	Max    int64    `json:"max,omitempty"`
}

const subBits = 5

func bucket(v int64) int {
	if v < 1<<subBits {
		return int(max(v, 0))
	}
	shift := bits.Len64(uint64(v)) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - 1<<subBits
}

// upper is the highest value of bucket i.
func upper(i int) int64 {
	if i < 1<<subBits {
		return int64(i)
	}
	shift := i>>subBits - 1
	return (int64(i&(1<<subBits-1)+1<<subBits)+1)<<shift - 1
}

// Add counts one value.
func (h *Histogram) Add(v int64) {
	i := bucket(v)
	for i >= len(h.Counts) {
		h.Counts = append(h.Counts, make([]uint64, 1<<subBits)...)
	}
	h.Counts[i]++
	h.Max = max(h.Max, v)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other Histogram) {
	if missing := len(other.Counts) - len(h.Counts); missing > 0 {
		h.Counts = append(h.Counts, make([]uint64, missing)...)
	}
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Max = max(h.Max, other.Max)
}

// Reset forgets all values, and keeps the memory.
func (h *Histogram) Reset() {
	clear(h.Counts)
	h.Max = 0
}

// Total is how many values there are.
func (h *Histogram) Total() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile is the value that a share q of all does not exceed, 0 if there are
// none.
func (h *Histogram) Quantile(q float64) int64 {
	total := h.Total()
	if total == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(total)), uint64(0)
	for i, n := range h.Counts {
		if seen += n; n > 0 && seen >= max(rank, 1) {
			return min(upper(i), h.Max)
		}
	}
	return h.Max
}
