package control

import "math/bits"

// Histogram counts values in buckets. The width of a bucket is at most 1/32 of its
// values, so the error of a quantile is at most about 3 %. The zero Histogram is
// empty.
//
// A value v < 32 has bucket v. From 32 on, the values between two powers of two have
// 32 buckets. The five bits after the leading 1 of a value select its bucket.
type Histogram struct {
	Counts []uint64 `json:"counts,omitempty"` // by bucket
	Max    int64    `json:"max,omitempty"`
}

const subBits = 5

// bucket returns the index of the bucket of v.
func bucket(v int64) int {
	if v < 1<<subBits {
		return int(max(v, 0))
	}
	shift := bits.Len64(uint64(v)) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - 1<<subBits
}

// upper returns the highest value of bucket i.
func upper(i int) int64 {
	if i < 1<<subBits {
		return int64(i)
	}
	shift := i>>subBits - 1
	return (int64(i&(1<<subBits-1)+1<<subBits)+1)<<shift - 1
}

// Add counts the value v. A negative value counts as 0.
func (h *Histogram) Add(v int64) {
	i := bucket(v)
	for i >= len(h.Counts) {
		h.Counts = append(h.Counts, make([]uint64, 1<<subBits)...)
	}
	h.Counts[i]++
	h.Max = max(h.Max, v)
}

// Merge adds the counts of other.
func (h *Histogram) Merge(other Histogram) {
	if missing := len(other.Counts) - len(h.Counts); missing > 0 {
		h.Counts = append(h.Counts, make([]uint64, missing)...)
	}
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Max = max(h.Max, other.Max)
}

// Reset removes all values. It retains the memory for new values.
func (h *Histogram) Reset() {
	clear(h.Counts)
	h.Max = 0
}

// Total returns the number of values.
func (h *Histogram) Total() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile returns a value that a share q of all values does not exceed. For example,
// q is 0.5 for the median. If there are no values, Quantile returns 0.
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
