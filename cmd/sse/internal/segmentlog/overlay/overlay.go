// Package overlay is a file system of the segment log that changes nothing on the disk.
// It shows a directory of another file system, its base. Changes stay in memory, so that
// a program can try something, and then list the changes:
//
//	view, err := overlay.New(vfs.OS, "data", overlay.Options{})
//	log, err := segmentlog.Open("data", &segmentlog.Options{FS: view})
//	err = log.Close()
//	changes, err := view.Changes()
//
// The files have the content that they had when New was called, even if another process
// removes, renames or extends them. Of a file that is changed, only the pages that were
// written are in memory.
package overlay

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// Options configure a view.
type Options struct {
	// Copy names files that another process overwrites in place or that must be older
	// than the others. New reads them into memory, in this order, before the rest.
	Copy []string

	// Skip names files that New must not open.
	Skip []string
}

// maxPinned is the number of files that a view has open. The view opens each other file
// when it is read, so that it may be missing then.
const maxPinned = 4096

// FS is a view of a directory. It implements [vfs.FS].
type FS struct {
	base vfs.FS
	dir  string

	mu      sync.Mutex // guards the following, and the nodes
	origins map[string]*origin
	files   map[string]*node
}

// origin is a file of the base.
type origin struct {
	path   string
	size   int64
	pinned vfs.File // nil if it is opened when it is read, or if it was copied
	copied []byte   // its content, if it was copied
}

// New returns a view of a directory of base. An error wraps [fs.ErrNotExist] if the
// directory is missing, or if a file was removed meanwhile.
func New(base vfs.FS, dir string, opts Options) (*FS, error) {
	v := &FS{
		base: base, dir: filepath.Clean(dir), origins: map[string]*origin{}, files: map[string]*node{},
	}
	if err := v.load(opts); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	for name, o := range v.origins {
		v.files[name] = &node{origin: o, visible: o.size, size: o.size}
	}
	return v, nil
}

func (v *FS) load(opts Options) error {
	if _, err := v.base.List(v.dir); err != nil {
		return err
	}
	for _, name := range opts.Copy {
		path := filepath.Join(v.dir, name)
		content, err := readFile(v.base, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		v.origins[name] = &origin{path: path, size: int64(len(content)), copied: content}
	}
	names, err := v.base.List(v.dir)
	if err != nil {
		return err
	}
	pinned := 0
	for _, name := range names {
		if v.origins[name] != nil {
			continue
		}
		o := &origin{path: filepath.Join(v.dir, name)}
		v.origins[name] = o
		if slices.Contains(opts.Skip, name) {
			continue
		}
		if err := o.pin(v.base, &pinned); err != nil {
			return err
		}
	}
	return nil
}

// pin opens the file and notes its size. If too many files are open, it closes the file
// again.
func (o *origin) pin(base vfs.FS, pinned *int) error {
	file, err := base.Open(o.path)
	if err != nil {
		return err
	}
	if o.size, err = file.Size(); err != nil {
		return errors.Join(err, file.Close())
	}
	if *pinned >= maxPinned {
		return file.Close()
	}
	*pinned++
	o.pinned = file
	return nil
}

func readFile(fsys vfs.FS, path string) ([]byte, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	p := make([]byte, size)
	n, err := file.ReadAt(p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return p[:n], err
}

// Close closes the files of the base. The view must not be read any more.
func (v *FS) Close() error {
	var err error
	for _, o := range v.origins {
		if o.pinned != nil {
			err = errors.Join(err, o.pinned.Close())
		}
	}
	return err
}

// name returns the name of a file in the directory of the view.
func (v *FS) name(op, path string) (string, error) {
	dir, name := filepath.Split(filepath.Clean(path))
	if filepath.Clean(dir) != v.dir {
		return "", &fs.PathError{Op: op, Path: path, Err: fs.ErrPermission}
	}
	return name, nil
}

// find returns a file, or an error that wraps [fs.ErrNotExist]. v.mu is held.
func (v *FS) find(op, path string) (string, *node, error) {
	name, err := v.name(op, path)
	if err != nil {
		return "", nil, err
	}
	n := v.files[name]
	if n == nil {
		return name, nil, &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT}
	}
	return name, n, nil
}

// MkdirAll implements [vfs.FS]. It does nothing: the directory is there.
func (v *FS) MkdirAll(string) error { return nil }

// Create implements [vfs.FS].
func (v *FS) Create(path string) (vfs.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	name, err := v.name("open", path)
	if err != nil {
		return nil, err
	}
	n := v.files[name]
	if n == nil {
		n = &node{}
		v.files[name] = n
	}
	n.truncate(0)
	return &file{fs: v, node: n, path: path, writable: true}, nil
}

// Open implements [vfs.FS].
func (v *FS) Open(path string) (vfs.File, error) { return v.open(path, false) }

// OpenReadWrite implements [vfs.FS].
func (v *FS) OpenReadWrite(path string) (vfs.File, error) {
	f, err := v.open(path, true)
	if errors.Is(err, fs.ErrNotExist) {
		return v.Create(path)
	}
	return f, err
}

func (v *FS) open(path string, writable bool) (vfs.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, n, err := v.find("open", path)
	if err != nil {
		return nil, err
	}
	f := &file{fs: v, node: n, path: path, writable: writable}
	if o := n.origin; o != nil {
		if f.base, err = o.open(v.base); err != nil {
			return nil, err
		}
		f.opened = f.base != nil && f.base != o.pinned
	}
	return f, nil
}

// open returns the file of the base, or nil if its content was copied.
func (o *origin) open(base vfs.FS) (vfs.File, error) {
	if o.copied != nil || o.pinned != nil {
		return o.pinned, nil
	}
	return base.Open(o.path)
}

// Rename implements [vfs.FS].
func (v *FS) Rename(from, to string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	name, n, err := v.find("rename", from)
	if err != nil {
		return err
	}
	other, err := v.name("rename", to)
	if err != nil {
		return err
	}
	delete(v.files, name)
	v.files[other] = n
	return nil
}

// Remove implements [vfs.FS].
func (v *FS) Remove(path string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	name, _, err := v.find("remove", path)
	delete(v.files, name)
	return err
}

// List implements [vfs.FS].
func (v *FS) List(dir string) ([]string, error) {
	if filepath.Clean(dir) != v.dir {
		return v.base.List(dir)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.files)), nil
}

// SyncDir implements [vfs.FS]. It does nothing.
func (v *FS) SyncDir(string) error { return nil }

// Lock implements [vfs.FS]. It creates the file in memory, and locks nothing.
func (v *FS) Lock(path string) (io.Closer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	name, n, err := v.find("lock", path)
	if n == nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if n == nil {
		v.files[name] = &node{}
	}
	return unlocked{}, nil
}

type unlocked struct{}

func (unlocked) Close() error { return nil }

// Free implements [vfs.FS].
func (v *FS) Free(dir string) (uint64, error) { return v.base.Free(dir) }

// Born implements [vfs.FS]. It returns 0 for a file that is only in memory.
func (v *FS) Born(path string) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, n, err := v.find("stat", path)
	if err != nil || n.origin == nil {
		return 0
	}
	return v.base.Born(n.origin.path)
}
