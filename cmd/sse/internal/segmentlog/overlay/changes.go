package overlay

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// Kind is the kind of a change.
type Kind string

// The kinds of changes.
const (
	Created Kind = "created" // the base does not have the file
	Removed Kind = "removed" // only the base has the file
	Cut     Kind = "cut off" // the file ends earlier, and is otherwise the same
	Changed Kind = "changed" // the file has another content
)

// Change is a change of a file.
type Change struct {
	Name string
	Kind Kind
	Size int64 // of the file now, if it was cut off
}

// Changes returns the changes since New was called, by name. A file that was written
// with the content that it had before is not changed.
func (v *FS) Changes() ([]Change, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := maps.Clone(v.files)
	for name := range v.origins {
		if v.files[name] == nil {
			all[name] = nil
		}
	}
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n, was := v.files[name], v.origins[name]
		switch {
		case n == nil:
			changes = append(changes, Change{Name: name, Kind: Removed})
			continue
		case was == nil:
			changes = append(changes, Change{Name: name, Kind: Created})
			continue
		case n.origin == was && n.visible == was.size && len(n.pages) == 0 && n.size == was.size:
			continue
		}
		same, err := v.sameBegin(n, was, min(n.size, was.size))
		if err != nil {
			return nil, err
		}
		switch {
		case !same || n.size > was.size:
			changes = append(changes, Change{Name: name, Kind: Changed})
		case n.size < was.size:
			changes = append(changes, Change{name, Cut, n.size})
		}
	}
	return changes, nil
}

// openBase opens a file of the base, or returns nil if there is none. The function that
// it returns closes the file, if it was not open before.
func (v *FS) openBase(o *origin) (base vfs.File, end func() error, err error) {
	end = func() error { return nil }
	if o == nil {
		return nil, end, nil
	}
	base, err = o.open(v.base)
	if err == nil && base != nil && base != o.pinned {
		end = base.Close
	}
	return base, end, err
}

// sameBegin reports whether a file begins with the same bytes as a file of the base. It
// reads only pages that may differ.
func (v *FS) sameBegin(n *node, was *origin, size int64) (same bool, err error) {
	old := &node{origin: was, visible: was.size, size: was.size}
	base, closeBase, err := v.openBase(n.origin)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeBase()) }()
	oldBase, closeOld, err := v.openBase(was)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeOld()) }()
	a, b := make([]byte, pageSize), make([]byte, pageSize)
	for off := int64(0); off < size; off += pageSize {
		if n.origin == was && n.pages[off/pageSize] == nil && min(off+pageSize, size) <= n.visible {
			continue
		}
		part := min(pageSize, size-off)
		if err := n.readAt(base, a[:part], off); err != nil {
			return false, err
		}
		if err := old.readAt(oldBase, b[:part], off); err != nil {
			return false, err
		}
		if !bytes.Equal(a[:part], b[:part]) {
			return false, nil
		}
	}
	return true, nil
}

// Size returns the size that all files together had when New was called.
func (v *FS) Size() int64 {
	total := int64(0)
	for _, o := range v.origins {
		total += o.size
	}
	return total
}
