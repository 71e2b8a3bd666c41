package faultfs

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// chances are the probabilities with which the parts of an unstable change persist.
// Crash draws one for each file and directory, so that it often spares all changes
// of a file, or none.
var chances = []float64{0, 0.25, 0.5, 0.75, 1}

// Crash returns the file system after a power failure. It contains all stable changes
// and any part of the others, in any order:
//
//   - A write persists by sectors: any subset of its sectors. See [Options.TearBytes].
//   - The size of a file is any size between the sizes before and after a change.
//   - Any subset of the created, renamed and removed names persists. A renamed file
//     has its old name or its new name, never both and never none.
//
// rng determines the result.
func (f *FS) Crash(rng *rand.Rand) *FS {
	opts := f.opts
	opts.Seed = rng.Uint64()
	return f.restart(opts, func() luck {
		return luck{chances[rng.IntN(len(chances))], rng, opts.TearBytes}
	})
}

// CrashClean returns the file system after a power failure that loses all changes
// that are not stable.
func (f *FS) CrashClean() *FS {
	return f.restart(f.opts, func() luck { return luck{} })
}

// Kill returns the file system after the process was killed: it contains all changes,
// and no file is locked. The changes that were not stable still are not: a power
// failure can lose them later.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	restarted := newFS(f.opts, f.clock)
	restarted.limit = f.limit
	restarted.root = f.root.clone(map[*node]*node{})
	return restarted
}

// clone returns a copy of a node and of its changes. The map has the copies of all
// nodes, because a node can be in several changes.
func (n *node) clone(copies map[*node]*node) *node {
	if c := copies[n]; c != nil {
		return c
	}
	c := &node{born: n.born, live: n.live.clone(), stable: n.stable.clone()}
	copies[n] = c
	c.writes = slices.Clone(n.writes) // nobody changes the data of a write
	if n.isDir() {
		c.entries = cloneEntries(n.entries, copies)
		c.stableEntries = cloneEntries(n.stableEntries, copies)
		for _, r := range n.links {
			r.change.child = r.change.child.clone(copies)
			c.links = append(c.links, r)
		}
	}
	return c
}

func cloneEntries(entries map[string]*node, copies map[*node]*node) map[string]*node {
	c := make(map[string]*node, len(entries))
	for name, n := range entries {
		c[name] = n.clone(copies)
	}
	return c
}

func (f *FS) restart(opts Options, draw func() luck) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	restarted := newFS(opts, f.clock)
	restarted.limit = f.limit
	restarted.root = f.root.survive(draw)
	return restarted
}

// survive returns a copy of a node after a power failure. The copy is stable.
func (n *node) survive(draw func() luck) *node {
	l := draw()
	if !n.isDir() {
		m := n.stable.clone()
		n.writes.replay(l, m.apply)
		return newFile(n.born, m.content())
	}
	entries := maps.Clone(n.stableEntries)
	n.links.replay(l, func(c link, l luck) { applyLink(entries, c, l) })
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		entries[name] = entries[name].survive(draw)
	}
	return newDir(entries)
}

// Snapshot returns a copy of dir, as cp -r makes it beside a running program: it reads
// the names of a directory at once, and then copies one file after the other. Snapshot
// calls before with the name of each file before it copies the file, unless before is
// nil; the function may change the files. The copy has no file that was removed in the
// meantime. Everything in it is stable, and its files have new times of birth.
func (f *FS) Snapshot(dir string, before func(name string)) *FS {
	to := newFS(f.opts, f.clock)
	f.snapshot(to, dir, before)
	return to
}

func (f *FS) snapshot(to *FS, dir string, before func(name string)) {
	to.mkdirStable(dir)
	names, err := f.List(dir)
	if err != nil {
		return // dir was removed
	}
	for _, base := range names {
		name := filepath.Join(dir, base)
		if f.isDir(name) {
			f.snapshot(to, name, before)
			continue
		}
		if before != nil {
			before(name)
		}
		if content, ok := f.content(name); ok {
			to.WriteFile(name, content)
		}
	}
}

// content returns the content of a file; ok is false if there is no such file.
func (f *FS) content(name string) (content []byte, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.lookupLocked(name)
	if err != nil || n.isDir() {
		return nil, false
	}
	return n.live.content(), true
}

func (f *FS) isDir(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.dirLocked(name)
	return err == nil
}

// mkdirStable creates a directory; its name and the names of its parents are stable.
func (f *FS) mkdirStable(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mkdirStableLocked(dir)
}

func (f *FS) mkdirStableLocked(dir string) {
	if _, err := f.mkdirAllLocked(dir); err != nil {
		panic("faultfs: create directory " + dir + ": " + err.Error())
	}
	n := f.root
	for _, name := range elements(dir) {
		n.settle()
		n = n.entries[name]
	}
}
