package faultfs

import "math/rand/v2"

// state says whether a power failure can lose a change.
type state int

const (
	dirty  state = iota // the change is not stable yet
	stable              // a sync has made the change stable
	lost                // a sync has failed: no later sync makes the change stable
)

// journal is the changes of a file or directory since its stable content, in order.
//
// Invariant: it does not start with a stable change.
type journal[T any] []record[T]

type record[T any] struct {
	change T
	state  state
}

func (j *journal[T]) add(change T) { *j = append(*j, record[T]{change: change}) }

// sync makes the dirty changes stable. It removes the changes that now belong to the
// stable content, and calls apply with each of them.
func (j *journal[T]) sync(apply func(T, luck)) {
	j.end(stable)
	n := 0
	for n < len(*j) && (*j)[n].state == stable {
		apply((*j)[n].change, certain)
		n++
	}
	*j = (*j)[n:]
	if len(*j) == 0 {
		*j = nil // releases the memory
	}
}

// lose makes the dirty changes lost.
func (j *journal[T]) lose() { j.end(lost) }

func (j *journal[T]) end(s state) {
	for i := range *j {
		if r := &(*j)[i]; r.state == dirty {
			r.state = s
		}
	}
}

// replay calls apply with each change: with l if the change may be incomplete after a
// power failure.
func (j journal[T]) replay(l luck, apply func(T, luck)) {
	for _, r := range j {
		if r.state == stable {
			apply(r.change, certain)
		} else {
			apply(r.change, l)
		}
	}
}

// luck decides how much of the changes a power failure spares.
type luck struct {
	chance float64    // probability that a part of a change persists
	rng    *rand.Rand // may be nil if chance is 0 or 1
	bytes  bool       // a part can be as short as one byte
}

var certain = luck{chance: 1}

// persists reports whether a part of a change persists.
func (l luck) persists() bool {
	return l.chance == 1 || l.chance > 0 && l.rng.Float64() < l.chance
}

// between returns the size of a file after a change from one size to another.
func (l luck) between(from, to int64) int64 {
	switch {
	case l.chance == 0:
		return from
	case l.chance == 1:
		return to
	}
	switch l.rng.IntN(3) {
	case 0:
		return from
	case 1:
		return to
	}
	unit := int64(sector)
	if l.bytes {
		unit = 1
	}
	first, last := min(from, to)/unit+1, max(from, to)/unit
	if first > last {
		return to
	}
	return unit * (first + l.rng.Int64N(last-first+1))
}

// part returns the length of the next part of a write that can persist alone. The
// rest of the write has n bytes at offset.
func (l luck) part(offset int64, n int) int {
	if l.bytes && l.rng != nil {
		return 1 + l.rng.IntN(min(n, sector))
	}
	return min(n, int(sector-offset%sector))
}
