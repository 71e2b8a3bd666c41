//go:build !linux && !darwin

package hub

// maxDescriptors returns 0, which means that the limit is unknown.
func maxDescriptors() uint64 { return 0 }
