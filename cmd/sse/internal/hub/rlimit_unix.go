//go:build linux || darwin

package hub

import "syscall"

// maxDescriptors returns how many descriptors this process may have, or 0 if
// there is no limit. Package os has raised the limit to its hard limit when the
// process started.
func maxDescriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}
