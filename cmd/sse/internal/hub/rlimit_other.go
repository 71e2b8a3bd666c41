//go:build !linux && !darwin

package hub

// maxDescriptors returns 0: on this system, the limit is unknown.
func maxDescriptors() uint64 { return 0 }
