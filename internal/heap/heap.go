// Package heap measures how much memory the code under test uses.
package heap

import "runtime"

// InUse collects garbage and returns the bytes of the objects that are still
// reachable. Memory that other goroutines allocate during the collection counts
// as in use.
//
// It collects twice, because an object in a [sync.Pool] survives the first
// collection.
func InUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Allocated returns the number of objects that f allocates and their total size in
// bytes. Objects that are garbage when f returns count too, and so do objects that
// other goroutines allocate while f runs.
func Allocated(f func()) (objects, bytes uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
}
