package hub

import (
	"math"
	"runtime/debug"
)

// defaultMaxInflight returns the default of Config.MaxInflight for a process that
// may use this many bytes of memory. Zero bytes mean that the number is unknown.
func defaultMaxInflight(memory int64, maxEvent int) int64 {
	const least = 64 << 20
	return max(least, memory/8, 4*int64(maxEvent))
}

// memoryLimit returns how many bytes of memory this process may use, or 0 if that
// is unknown: GOMEMLIMIT, the limit of its container, or the memory of the machine,
// whichever is least.
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
