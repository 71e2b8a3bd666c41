package overlay

import (
	"io"
	"io/fs"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// pageSize is the number of bytes that a write changes at least.
const pageSize = 4096

// node is the content of a file: pages that were written, and below them the visible
// part of a file of the base. Between the visible part and the size there are zeros.
//
// Invariant: visible ≤ size.
type node struct {
	origin  *origin // nil if the file is only in memory
	visible int64   // bytes of the origin that were not cut off
	size    int64
	pages   map[int64][]byte // by number
}

// truncate sets the size.
func (n *node) truncate(size int64) {
	if size < n.size {
		for number, page := range n.pages {
			switch start := number * pageSize; {
			case start >= size:
				delete(n.pages, number)
			case size < start+pageSize:
				clear(page[size-start:])
			}
		}
	}
	n.visible, n.size = min(n.visible, size), size
}

// readAt reads bytes below the size. Base is the file of the base, or nil.
func (n *node) readAt(base vfs.File, p []byte, off int64) error {
	for len(p) > 0 {
		number, at := off/pageSize, off%pageSize
		part := p[:min(int64(len(p)), pageSize-at)]
		if page := n.pages[number]; page != nil {
			copy(part, page[at:])
		} else {
			// Read the following pages at once if they were not written either.
			for int64(len(part)) < int64(len(p)) && n.pages[(off+int64(len(part)))/pageSize] == nil {
				part = p[:min(int64(len(p)), int64(len(part))+pageSize)]
			}
			if err := n.readOrigin(base, part, off); err != nil {
				return err
			}
		}
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
}

// readOrigin reads bytes as they were before the first write.
func (n *node) readOrigin(base vfs.File, p []byte, off int64) error {
	have := max(0, min(int64(len(p)), n.visible-off))
	clear(p[have:])
	if have == 0 {
		return nil
	}
	if n.origin.copied != nil {
		copy(p[:have], n.origin.copied[off:])
		return nil
	}
	got, err := base.ReadAt(p[:have], off)
	if int64(got) == have {
		return nil
	}
	return err
}

// writeAt writes bytes.
func (n *node) writeAt(base vfs.File, p []byte, off int64) error {
	if n.pages == nil {
		n.pages = map[int64][]byte{}
	}
	for len(p) > 0 {
		number, at := off/pageSize, off%pageSize
		page := n.pages[number]
		if page == nil {
			page = make([]byte, pageSize)
			if err := n.readOrigin(base, page, number*pageSize); err != nil {
				return err
			}
			n.pages[number] = page
		}
		written := copy(page[at:], p)
		p, off = p[written:], off+int64(written)
		n.size = max(n.size, off)
	}
	return nil
}

// file is an open file. It implements [vfs.File].
type file struct {
	fs       *FS
	node     *node
	path     string
	writable bool
	base     vfs.File // of the origin, or nil
	opened   bool     // base was opened for this file
}

// ReadAt implements [io.ReaderAt].
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, f.invalid("read")
	}
	have := max(0, min(int64(len(p)), f.node.size-off))
	if err := f.node.readAt(f.base, p[:have], off); err != nil {
		return 0, err
	}
	if have < int64(len(p)) {
		return int(have), io.EOF
	}
	return int(have), nil
}

// WriteAt implements [io.WriterAt].
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.writable || off < 0 {
		return 0, f.invalid("write")
	}
	if err := f.node.writeAt(f.base, p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *file) invalid(op string) error {
	return &fs.PathError{Op: op, Path: f.path, Err: fs.ErrInvalid}
}

// Truncate implements [vfs.File].
func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.writable || size < 0 {
		return f.invalid("truncate")
	}
	f.node.truncate(size)
	return nil
}

// Sync implements [vfs.File]. It does nothing.
func (f *file) Sync() error { return nil }

// Size implements [vfs.File].
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.node.size, nil
}

// Close implements [io.Closer].
func (f *file) Close() error {
	if f.opened {
		return f.base.Close()
	}
	return nil
}
