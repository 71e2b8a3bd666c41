//go:build unix

package vfs

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// IsLocked reports whether this process or another one holds the lock of a file. It
// neither creates nor locks the file. If it cannot find out, it returns false.
func IsLocked(name string) bool {
	locksMu.Lock()
	defer locksMu.Unlock()
	info, err := os.Stat(name)
	if err != nil {
		return false
	}
	if lockedLocked(info) {
		return true // if this process opened and closed the file, it would lose the lock
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // the file was not written
	spec := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_GETLK, &spec)
	return err == nil && spec.Type != unix.F_UNLCK
}
