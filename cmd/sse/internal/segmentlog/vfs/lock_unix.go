//go:build unix

package vfs

import (
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A lock of fcntl belongs to the process: the process can lock the file again, and it
// loses the lock when it closes any handle of the file. So lock looks here before it
// opens a file.
var (
	locksMu sync.Mutex // guards the following
	locks   []*fileLock
)

// fileLock is a lock that this process holds.
type fileLock struct {
	file *os.File
	info fs.FileInfo // identifies the file, which may have several names
}

func lock(name string) (io.Closer, error) {
	locksMu.Lock()
	defer locksMu.Unlock()
	info, err := os.Stat(name)
	if err == nil && lockedLocked(info) {
		return nil, lockedError(name)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &fileLock{file: f}
	if l.info, err = f.Stat(); err == nil {
		err = l.acquire()
	}
	if err != nil {
		_ = f.Close() // err explains more
		return nil, err
	}
	locks = append(locks, l)
	return l, nil
}

// lockedLocked reports whether this process holds the lock of a file.
func lockedLocked(info fs.FileInfo) bool {
	for _, l := range locks {
		if os.SameFile(l.info, info) {
			return true
		}
	}
	return false
}

// acquire locks the whole file.
func (l *fileLock) acquire() error {
	spec := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(l.file.Fd(), unix.F_SETLK, &spec)
	switch {
	case err == unix.EAGAIN || err == unix.EACCES: // POSIX allows both
		return lockedError(l.file.Name())
	case err != nil:
		return &os.PathError{Op: "lock", Path: l.file.Name(), Err: err}
	}
	return nil
}

// Close releases the lock.
func (l *fileLock) Close() error {
	locksMu.Lock()
	defer locksMu.Unlock()
	for i := range locks {
		if locks[i] == l {
			locks = append(locks[:i], locks[i+1:]...)
			break
		}
	}
	return l.file.Close()
}
