package vfs

import (
	"os"
	"syscall"
)

// Sync implements [File]. It does not write times that no reader needs, so that it is
// faster than fsync for a file whose size has not changed.
func (f osFile) Sync() error {
	err := f.fdatasync()
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f osFile) fdatasync() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = conn.Control(func(fd uintptr) {
		for {
			syncErr = syscall.Fdatasync(int(fd))
			if syncErr != syscall.EINTR {
				return
			}
		}
	})
	if err != nil { // its only reason, which Control does not wrap
		return os.ErrClosed
	}
	return syncErr
}
