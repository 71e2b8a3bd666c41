package faultfs

import "path/filepath"

// The methods below read and damage files without a handle. They are not mutating
// calls, and they need no space on the disk. The damage is stable, and so is every
// other change of the file and the names in its directory. The methods panic if the
// file does not exist, because the test is wrong.

// Files returns the names of all files, relative to the root and sorted by directory.
func (f *FS) Files() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	f.root.files("", func(name string, _ *node) { names = append(names, name) })
	return names
}

// ReadFile returns the content of a file.
func (f *FS) ReadFile(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fileLocked(name).live.content()
}

// WriteFile replaces the content of a file. It creates the file and the directory if
// they do not exist.
func (f *FS) WriteFile(name string, content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mkdirStableLocked(filepath.Dir(name))
	if _, err := f.createLocked(name); err != nil {
		panic("faultfs: " + name + ": " + err.Error())
	}
	f.damageLocked(name, func(m *image) { *m = newFile(0, content).live })
}

// Flip inverts a bit of a file: bit 0 to 7 of the byte at offset.
func (f *FS) Flip(name string, offset int64, bit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damageLocked(name, func(m *image) {
		content := m.content()
		content[offset] ^= 1 << bit
		m.put(0, content)
	})
}

// Cut truncates a file to size, or extends the file with zeros.
func (f *FS) Cut(name string, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damageLocked(name, func(m *image) { m.truncate(size, certain) })
}

// Delete removes a file.
func (f *FS) Delete(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fileLocked(name)
	dir, base, _ := f.parentLocked(name)
	delete(dir.entries, base)
	dir.settle()
}

func (f *FS) damageLocked(name string, damage func(*image)) {
	n := f.fileLocked(name)
	damage(&n.live)
	n.settle()
	dir, _, _ := f.parentLocked(name)
	dir.settle()
}

func (f *FS) fileLocked(name string) *node {
	n, err := f.lookupLocked(name)
	if err != nil || n.isDir() {
		panic("faultfs: there is no file " + name)
	}
	return n
}
