//go:build !linux

package hub

// systemMemory returns 0, which means that the memory of the machine is unknown.
func systemMemory() int64 { return 0 }
