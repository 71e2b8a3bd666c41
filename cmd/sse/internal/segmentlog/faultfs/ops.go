package faultfs

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// pathError wraps err; it returns nil if err is nil.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// exists reports whether a file or directory exists.
func (f *FS) exists(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.lookupLocked(name)
	return err == nil
}

// MkdirAll implements [vfs.FS].
func (f *FS) MkdirAll(dir string) error {
	if !f.exists(dir) {
		if err := f.begin("mkdir", dir); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.mkdirAllLocked(dir)
	return pathError("mkdir", dir, err)
}

func (f *FS) mkdirAllLocked(dir string) (*node, error) {
	n := f.root
	for _, name := range elements(dir) {
		child := n.entries[name]
		if child == nil {
			child = newDir(nil)
			n.link(child, name)
		}
		if !child.isDir() {
			return nil, syscall.ENOTDIR
		}
		n = child
	}
	return n, nil
}

// Create implements [vfs.FS].
func (f *FS) Create(name string) (vfs.File, error) {
	if err := f.begin("create", name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.createLocked(name)
	if err != nil {
		return nil, pathError("create", name, err)
	}
	if n.live.size > 0 {
		n.change(write{truncate: true})
	}
	return f.handleLocked(n, name, true), nil
}

// Open implements [vfs.FS].
func (f *FS) Open(name string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.lookupLocked(name)
	if err == nil && n.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return f.handleLocked(n, name, false), nil
}

// OpenReadWrite implements [vfs.FS].
func (f *FS) OpenReadWrite(name string) (vfs.File, error) {
	n, err := f.openOrCreate(name)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handleLocked(n, name, true), nil
}

// openOrCreate is a mutating call only if it creates the file.
func (f *FS) openOrCreate(name string) (*node, error) {
	if !f.exists(name) {
		if err := f.begin("create", name); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.createLocked(name)
	return n, pathError("open", name, err)
}

// createLocked returns the file with the given name. It creates a missing file.
func (f *FS) createLocked(name string) (*node, error) {
	dir, base, err := f.parentLocked(name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	if n == nil {
		n = newFile(f.clock.Add(1), nil)
		dir.link(n, base)
	}
	if n.isDir() {
		return nil, syscall.EISDIR
	}
	return n, nil
}

// Rename implements [vfs.FS]. It renames only files, and only within a directory.
func (f *FS) Rename(from, to string) error {
	err := f.begin("rename", from)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err = f.renameLocked(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (f *FS) renameLocked(from, to string) error {
	dir, base, err := f.parentLocked(from)
	if err != nil {
		return err
	}
	toDir, toBase, err := f.parentLocked(to)
	if err != nil {
		return err
	}
	child, replaced := dir.entries[base], toDir.entries[toBase]
	switch {
	case child == nil:
		return fs.ErrNotExist
	case child.isDir(), replaced != nil && replaced.isDir():
		return syscall.EISDIR
	case dir != toDir:
		return syscall.EXDEV
	}
	dir.link(child, toBase)
	return nil
}

// Remove implements [vfs.FS].
func (f *FS) Remove(name string) error {
	if err := f.begin("remove", name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return pathError("remove", name, f.removeLocked(name))
}

func (f *FS) removeLocked(name string) error {
	dir, base, err := f.parentLocked(name)
	if err != nil {
		return err
	}
	child := dir.entries[base]
	switch {
	case child == nil:
		return fs.ErrNotExist
	case len(child.entries) > 0:
		return syscall.ENOTEMPTY
	}
	dir.link(child, "")
	return nil
}

// List implements [vfs.FS].
func (f *FS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.dirLocked(dir)
	if err != nil {
		return nil, pathError("open", dir, err)
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// SyncDir implements [vfs.FS].
func (f *FS) SyncDir(dir string) error {
	failed := f.begin("syncdir", dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.dirLocked(dir)
	switch {
	case err != nil:
		return pathError("syncdir", dir, err)
	case failed != nil:
		n.lose()
		return failed
	}
	n.sync()
	return nil
}

func (f *FS) dirLocked(dir string) (*node, error) {
	n, err := f.lookupLocked(dir)
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	return n, err
}

// lock is a lock of a file.
type lock struct {
	fs     *FS
	node   *node
	closed bool // guarded by fs.mu
}

// Close releases the lock.
func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.closed {
		return fs.ErrClosed
	}
	l.closed = true
	delete(l.fs.locked, l.node)
	return nil
}

// Lock implements [vfs.FS].
func (f *FS) Lock(name string) (io.Closer, error) {
	n, err := f.openOrCreate(name)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked[n] {
		return nil, pathError("lock", name, syscall.EAGAIN)
	}
	f.locked[n] = true
	return &lock{fs: f, node: n}, nil
}

// Free implements [vfs.FS].
func (f *FS) Free(dir string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.lookupLocked(dir); err != nil {
		return 0, pathError("free", dir, err)
	}
	return uint64(f.freeLocked()), nil
}

// Born implements [vfs.FS]. The times of birth are 1, 2, 3 and so on. Crash and Kill
// do not change them; Snapshot does.
func (f *FS) Born(name string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.lookupLocked(name)
	if err != nil || f.opts.NoBirths {
		return 0
	}
	return n.born
}
