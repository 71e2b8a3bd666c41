package faultfs

import (
	"bytes"
	"io"
	"io/fs"
	"syscall"
)

// file is an open file.
type file struct {
	fs       *FS
	node     *node
	name     string
	writable bool
	closed   bool // guarded by fs.mu
}

func (f *FS) handleLocked(n *node, name string, writable bool) *file {
	f.open[n]++
	return &file{fs: f, node: n, name: name, writable: writable}
}

// checkLocked returns an error if the file cannot be used.
func (f *file) checkLocked(op string, writes bool) error {
	switch {
	case f.closed:
		return pathError(op, f.name, fs.ErrClosed)
	case writes && !f.writable:
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

// ReadAt implements [vfs.File].
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("read", false); err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	n := f.node.live.readAt(p, offset)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements [vfs.File].
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	failed := f.fs.begin("write", f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if len(p) == 0 {
		return 0, failed // package os makes no system call
	}
	if err := f.checkLocked("write", true); err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	n := len(p)
	if failed != nil && n > 0 {
		n = f.fs.rng.IntN(n)
	}
	if room := f.roomLocked(offset); int64(n) > room {
		n = int(room)
		failed = pathError("write", f.name, syscall.ENOSPC)
	}
	if n > 0 {
		f.node.change(write{offset: offset, data: bytes.Clone(p[:n])})
		f.fs.written += int64(n)
	}
	return n, failed
}

// roomLocked returns the number of bytes that can be written at offset.
func (f *file) roomLocked(offset int64) int64 {
	return max(0, f.node.live.size+f.fs.freeLocked()-offset)
}

// Truncate implements [vfs.File].
func (f *file) Truncate(size int64) error {
	failed := f.fs.begin("truncate", f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("truncate", true); err != nil {
		return err
	}
	switch {
	case failed != nil:
		return failed
	case size < 0:
		return pathError("truncate", f.name, fs.ErrInvalid)
	case size > f.node.live.size && f.roomLocked(size) == 0:
		return pathError("truncate", f.name, syscall.ENOSPC)
	}
	f.node.change(write{offset: size, truncate: true})
	return nil
}

// Sync implements [vfs.File].
func (f *file) Sync() error {
	failed := f.fs.begin("sync", f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("sync", false); err != nil {
		return err
	}
	if failed != nil {
		f.node.lose()
		return failed
	}
	f.node.sync()
	return nil
}

// Size implements [vfs.File].
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("stat", false); err != nil {
		return 0, err
	}
	return f.node.live.size, nil
}

// Close implements [vfs.File].
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("close", false); err != nil {
		return err
	}
	f.closed = true
	if f.fs.open[f.node]--; f.fs.open[f.node] == 0 {
		delete(f.fs.open, f.node)
	}
	return nil
}
