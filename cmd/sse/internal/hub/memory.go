package hub

import (
	"math"
	"runtime/debug"
)

// defaultMaxInflight returns the default of Config.MaxInflight, in bytes. Memory is how
// many bytes of memory the process may use, or zero if that is unknown. maxEvent is
// Config.MaxEvent.
func defaultMaxInflight(memory int64, maxEvent int) int64 {
	const least = 64 << 20
	return max(least, memory/8, 4*int64(maxEvent))
}

// memoryLimit returns how many bytes of memory this process may use. That is the
// smallest of GOMEMLIMIT, the limit of its container, and the memory of the machine. If
// none of them is known, it returns 0.
func memoryLimit() int64 {
	limit := debug.SetMemoryLimit(-1) // only returns the limit
	if n := systemMemory(); n > 0 {
		limit = min(limit, n)
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}
