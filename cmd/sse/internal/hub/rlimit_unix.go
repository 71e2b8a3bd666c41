//go:build linux || darwin

package hub

import "syscall"

// maxDescriptors returns how many descriptors this process may have, or 0 if the limit
// is unknown. It is the hard limit, because package os raises the soft limit to the
// hard limit when the process starts.
func maxDescriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}
