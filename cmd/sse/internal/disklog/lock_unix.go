//go:build unix

package disklog

import "syscall"

// isLockedBySystem knows the errors of fcntl. They come without a path; that of a
// file which must not be opened has one.
func isLockedBySystem(err error) bool { return err == syscall.EAGAIN || err == syscall.EACCES }
