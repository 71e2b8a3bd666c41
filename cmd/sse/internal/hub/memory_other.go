//go:build !linux

package hub

// systemMemory returns 0: on this system, the memory is unknown.
func systemMemory() int64 { return 0 }
