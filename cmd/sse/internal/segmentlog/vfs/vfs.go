// Package vfs is the file system of the segment log: an interface with the few
// operations that the log needs, and OS, the implementation on the operating system.
// Package faultfs is the implementation for tests.
//
// The interface leaves nothing implicit. A write is stable only after File.Sync, and
// the name of a file is stable only after FS.SyncDir of its directory:
//
//	f, err := fsys.Create("dir/new")  // the name and the content are in memory
//	_, err = f.WriteAt(content, 0)
//	err = f.Sync()                    // the content is stable
//	err = fsys.Rename("dir/new", "dir/current")
//	err = fsys.SyncDir("dir")         // the name is stable
//
// If the power fails, any part of the changes that are not stable may be lost, in any
// order. After File.Sync or FS.SyncDir returns an error, the caller must not call it
// again and trust its result: the system may have discarded the changes.
package vfs

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is a file system. Its methods are safe for concurrent use.
//
// An error has the type *fs.PathError or *os.LinkError. [errors.Is] finds
// [fs.ErrNotExist] in it if a file is missing, and the system's error, for example
// [syscall.ENOSPC] if the disk is full.
type FS interface {
	// MkdirAll creates dir and its missing parents with mode 0700. It does nothing
	// if dir exists.
	MkdirAll(dir string) error

	// Create opens a file for reading and writing. It creates the file with mode
	// 0600, or truncates the existing file.
	Create(name string) (File, error)

	// Open opens an existing file for reading only.
	Open(name string) (File, error)

	// OpenReadWrite opens a file for reading and writing. It creates the file with
	// mode 0600 if there is none, and does not truncate an existing file.
	OpenReadWrite(name string) (File, error)

	// Rename renames a file in one step. It replaces the file to if there is one.
	Rename(from, to string) error

	// Remove removes a file or an empty directory. On Unix, the file's open
	// handles keep working.
	Remove(name string) error

	// List returns the names of the entries of dir, sorted.
	List(dir string) ([]string, error)

	// SyncDir makes the entries of dir stable: the files that were created, renamed
	// and removed in it.
	SyncDir(dir string) error

	// Lock creates a file, if there is none, and locks it until the returned closer
	// is closed. The lock excludes other processes and other calls in this process.
	// Lock does not wait: if the file is locked, it returns an error that wraps
	// [syscall.EAGAIN].
	Lock(name string) (io.Closer, error)

	// Free returns the number of bytes that can still be written to the file system
	// of dir. If the operating system cannot report it, the error wraps
	// [errors.ErrUnsupported].
	Free(dir string) (uint64, error)

	// Born returns the time at which a file was created, in nanoseconds since 1970,
	// or 0 if the file system does not report it. A copy of a file has another time.
	Born(name string) int64
}

// File is an open file. Its methods are safe for concurrent use.
type File interface {
	// ReadAt returns io.EOF if it reads fewer bytes than requested because the file
	// ends.
	io.ReaderAt

	// WriteAt extends the file if necessary; a hole that this leaves reads as zeros.
	// If WriteAt returns an error, it may have written some of the bytes.
	io.WriterAt

	io.Closer

	// Truncate sets the size of the file. New bytes are zeros.
	Truncate(size int64) error

	// Sync makes the content and the size of the file stable.
	Sync() error

	// Size returns the size of the file in bytes.
	Size() (int64, error)
}

// OS is the file system of the operating system. Windows has no call that syncs a
// directory, so that SyncDir does nothing there.
var OS FS = osFS{}

type osFS struct{}

// osFile is an open file of the operating system; its Sync depends on the system.
type osFile struct{ *os.File }

// Size implements [File].
func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// MkdirAll implements [FS].
func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// Create implements [FS].
func (osFS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open implements [FS].
func (osFS) Open(name string) (File, error) { return open(name, os.O_RDONLY) }

// OpenReadWrite implements [FS].
func (osFS) OpenReadWrite(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE)
}

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements [FS].
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [FS].
func (osFS) Remove(name string) error { return os.Remove(name) }

// List implements [FS].
func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// SyncDir implements [FS].
func (osFS) SyncDir(dir string) error { return syncDir(filepath.Clean(dir)) }

// Lock implements [FS].
func (osFS) Lock(name string) (io.Closer, error) { return lock(name) }

// Free implements [FS].
func (osFS) Free(dir string) (uint64, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return 0, &os.PathError{Op: "free", Path: dir, Err: err}
	}
	return free, nil
}

// Born implements [FS].
func (osFS) Born(name string) int64 { return birthTime(name) }

// lockedError is the error of a file that is locked.
func lockedError(name string) error {
	return &os.PathError{Op: "lock", Path: name, Err: syscall.EAGAIN}
}
