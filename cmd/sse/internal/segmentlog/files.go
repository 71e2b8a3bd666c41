package segmentlog

import (
	"container/list"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// files opens the files of the log for reading, and leaves the files that were read
// last open, up to a limit.
type files struct {
	fs    vfs.FS
	dir   string
	limit int

	mu    sync.Mutex // guards the following
	open  map[string]*openFile
	order list.List // of *openFile: the last one was used last
}

type openFile struct {
	vfs.File
	name    string
	readers int
	element *list.Element
	removed bool // closed when nobody reads it any more
}

func newFiles(fsys vfs.FS, dir string, limit int) *files {
	return &files{fs: fsys, dir: dir, limit: limit, open: map[string]*openFile{}}
}

// path returns the path of a file of the log.
func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

// readAt reads len(p) bytes of a file.
func (f *files) readAt(name string, p []byte, off int64) error {
	file, err := f.acquire(name)
	if err != nil {
		return err
	}
	defer f.release(file)
	return readFull(file, p, off)
}

// acquire opens a file for reading, if it is not open. Call release after reading.
func (f *files) acquire(name string) (*openFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := f.open[name]; file != nil {
		file.readers++
		f.order.MoveToBack(file.element)
		return file, nil
	}
	opened, err := f.fs.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	file := &openFile{File: opened, name: name, readers: 1}
	file.element = f.order.PushBack(file)
	f.open[name] = file
	f.closeUnused()
	return file, nil
}

func (f *files) release(file *openFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file.readers--
	if file.removed && file.readers == 0 {
		_ = file.Close() // only read
	}
}

// closeUnused closes files that nobody reads if there are too many. f.mu is held.
func (f *files) closeUnused() {
	for element := f.order.Front(); element != nil && len(f.open) > f.limit; {
		file := element.Value.(*openFile)
		element = element.Next()
		if file.readers == 0 {
			f.forget(file)
		}
	}
}

// forget closes a file when nobody reads it. f.mu is held.
func (f *files) forget(file *openFile) {
	f.order.Remove(file.element)
	delete(f.open, file.name)
	if file.removed = true; file.readers == 0 {
		_ = file.Close()
	}
}

// forgetName closes a file that was replaced or will be removed. Goroutines that read
// it can continue.
func (f *files) forgetName(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := f.open[name]; file != nil {
		f.forget(file)
	}
}

// remove removes a file. Goroutines that read it can continue.
func (f *files) remove(name string) error {
	f.forgetName(name)
	if err := f.fs.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// close closes all files.
func (f *files) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.open {
		f.forget(file)
	}
}

// write writes a file as a whole, so that after a crash either all of it is there, or
// all of the file before. It does not sync the directory.
func (f *files) write(name string, p []byte) error {
	file, err := f.draft(name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(p, 0)
	return f.publish(name, file, err)
}

// A file that is written as a whole is a draft until it is complete.
const draftSuffix = ".new"

// draft creates a draft. Call publish when it is complete.
func (f *files) draft(name string) (vfs.File, error) {
	return f.fs.Create(f.path(name + draftSuffix))
}

// publish syncs and closes a draft, and gives it its name. It removes the draft if err,
// the error of the writes, is not nil. The name is a new one even if it was there before,
// and its sync had failed: so the next sync counts.
func (f *files) publish(name string, file vfs.File, err error) error {
	draft := f.path(name + draftSuffix)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = f.fs.Rename(draft, f.path(name))
	}
	if err != nil {
		return errors.Join(err, f.fs.Remove(draft))
	}
	f.forgetName(name)
	return nil
}

// replace is write, and syncs the directory.
func (f *files) replace(name string, p []byte) error {
	if err := f.write(name, p); err != nil {
		return err
	}
	return f.fs.SyncDir(f.dir)
}

// read returns the content of a file.
func (f *files) read(name string) ([]byte, error) {
	file, err := f.fs.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	p := make([]byte, size)
	return p, readFull(file, p, 0)
}
