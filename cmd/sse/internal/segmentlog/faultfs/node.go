package faultfs

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// node is a file or a directory. Programs see its live content. A power failure leaves
// the stable content and any part of the changes in the journal.
type node struct {
	born int64

	// Of a file.
	live, stable image
	writes       journal[write]

	// Of a directory; nil in a file.
	entries, stableEntries map[string]*node
	links                  journal[link]
}

// link is a change of a directory: the only name of child is now name or, if name is
// empty, child has no name. So a rename is one change.
type link struct {
	child *node
	name  string
}

func newFile(born int64, content []byte) *node {
	m := image{data: content, size: int64(len(content))}
	return &node{born: born, live: m.clone(), stable: m.clone()}
}

// newDir returns a directory whose entries are stable.
func newDir(entries map[string]*node) *node {
	if entries == nil {
		entries = map[string]*node{}
	}
	return &node{entries: entries, stableEntries: maps.Clone(entries)}
}

func (n *node) isDir() bool { return n.entries != nil }

// change changes the content of a file.
func (n *node) change(w write) {
	n.live.apply(w, certain)
	n.writes.add(w)
}

// link changes the entries of a directory.
func (n *node) link(child *node, name string) {
	applyLink(n.entries, link{child, name}, certain)
	n.links.add(link{child, name})
}

func applyLink(entries map[string]*node, c link, l luck) {
	if !l.persists() {
		return
	}
	maps.DeleteFunc(entries, func(_ string, n *node) bool { return n == c.child })
	if c.name != "" {
		entries[c.name] = c.child
	}
}

// sync makes the changes of a node stable.
func (n *node) sync() {
	n.writes.sync(n.stable.apply)
	n.links.sync(func(c link, l luck) { applyLink(n.stableEntries, c, l) })
}

// lose is a sync that fails.
func (n *node) lose() {
	n.writes.lose()
	n.links.lose()
}

// settle makes the live content stable, even if syncs have failed.
func (n *node) settle() {
	n.stable, n.writes = n.live.clone(), nil
	n.stableEntries, n.links = maps.Clone(n.entries), nil
}

// files calls visit with each file below a directory, in the order of their names.
func (n *node) files(dir string, visit func(name string, file *node)) {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		child := n.entries[name]
		if child.isDir() {
			child.files(filepath.Join(dir, name), visit)
		} else {
			visit(filepath.Join(dir, name), child)
		}
	}
}

// elements splits a name. The elements of the root are empty.
func elements(name string) []string {
	name = name[len(filepath.VolumeName(name)):]
	name = strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if name == "" || name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// lookupLocked returns the node with the given name.
func (f *FS) lookupLocked(name string) (*node, error) {
	return f.root.descend(elements(name))
}

func (n *node) descend(names []string) (*node, error) {
	for _, name := range names {
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		if n = n.entries[name]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// parentLocked returns the directory that contains name, and the last element of name.
func (f *FS) parentLocked(name string) (dir *node, base string, err error) {
	names := elements(name)
	if len(names) == 0 {
		return nil, "", syscall.EINVAL // the root has no parent
	}
	last := len(names) - 1
	if dir, err = f.root.descend(names[:last]); err != nil {
		return nil, "", err
	}
	if !dir.isDir() {
		return nil, "", syscall.ENOTDIR
	}
	return dir, names[last], nil
}

// usedLocked returns the number of bytes in files that have a name or are open.
func (f *FS) usedLocked() int64 {
	files := map[*node]bool{}
	f.root.files("", func(_ string, file *node) { files[file] = true })
	for file := range f.open {
		files[file] = true
	}
	used := int64(0)
	for file := range files {
		used += file.live.size
	}
	return used
}

// freeLocked returns the number of bytes by which files can grow.
func (f *FS) freeLocked() int64 {
	if f.limit < 0 {
		const plenty = 1 << 50
		return plenty
	}
	return max(0, f.limit-f.usedLocked())
}
