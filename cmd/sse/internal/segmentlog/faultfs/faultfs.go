// Package faultfs is a file system in memory for tests: its power fails, its disk
// fills up, its calls fail, and its files can be damaged.
//
// A file system remembers which changes are stable. A write is stable after Sync of
// its file; a created, renamed or removed name is stable after SyncDir of its
// directory, also if the name is a directory. Sync of a file does not make the name
// of the file stable. A power failure loses any part of the other changes:
//
//	fsys := faultfs.New(faultfs.Options{})
//	write(fsys)
//	check(fsys.Crash(rng))   // after a power failure: any part of the unstable changes
//	check(fsys.CrashClean()) // after a power failure: only the stable changes
//	check(fsys.Kill())       // after kill -9: all changes
//
// Each of these returns a new file system, and the old one keeps working: its handles
// do not affect the new file system.
//
// Names may be relative or absolute; both start at the same root, which always exists.
// If only one goroutine uses a file system, equal seeds give equal results.
package faultfs

import (
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// Options configures a file system. The zero value is valid.
type Options struct {
	// Seed determines how many bytes a failing write writes.
	Seed uint64

	// TearBytes makes Crash tear writes at any byte. If false, Crash tears them only
	// at the boundaries of sectors of 512 bytes.
	TearBytes bool

	// NoBirths makes Born return 0, as on a file system that does not store when a
	// file was created.
	NoBirths bool
}

// FS is a file system in memory. It implements [vfs.FS]. Its methods are safe for
// concurrent use.
type FS struct {
	opts  Options
	clock *atomic.Int64 // the last birth; all copies of the file system share it

	mu      sync.Mutex // guards the following
	rng     *rand.Rand
	root    *node
	open    map[*node]int  // number of open handles
	locked  map[*node]bool // files that are locked
	limit   int64          // capacity in bytes; negative: unlimited
	calls   int
	written int64
	faults  map[int]error // by number of the call
	hook    func(call int, op, name string)
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system of unlimited size.
func New(opts Options) *FS { return newFS(opts, new(atomic.Int64)) }

func newFS(opts Options, clock *atomic.Int64) *FS {
	return &FS{
		opts:   opts,
		clock:  clock,
		rng:    rand.New(rand.NewPCG(opts.Seed, 0)),
		root:   newDir(nil),
		open:   map[*node]int{},
		locked: map[*node]bool{},
		limit:  -1,
		faults: map[int]error{},
	}
}

// FailAt makes the nth mutating call from now return err; 1 is the next call.
// A mutating call writes, truncates or syncs a file, creates, renames or removes a
// name, or syncs a directory. Usually err is syscall.ENOSPC or syscall.EIO. Several
// faults can be set at once.
//
// A failing write writes some of its bytes, but not all. A failing Sync or SyncDir
// loses the changes that were not stable: readers still see them, but a later Sync
// does not make them stable, and a power failure loses any part of them. Other failing
// calls change nothing.
func (f *FS) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[f.calls+n] = err
}

// Calls returns the number of mutating calls so far, including failed calls. See
// [FS.FailAt].
func (f *FS) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// BytesWritten returns the number of bytes that all writes have written.
func (f *FS) BytesWritten() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// Hook sets a function that each mutating call calls before it changes anything. Its
// arguments are the number of the call, the operation, for example "write" or "sync",
// and the name of the file. The hook may use the file system: Crash in the hook is a
// power failure before the call. A nil hook is not called.
func (f *FS) Hook(hook func(call int, op, name string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Limit sets the capacity of the disk in bytes. If it is negative, the capacity is
// unlimited. A write that exceeds the capacity writes the bytes that fit and returns
// [syscall.ENOSPC]. The files need as many bytes as their sizes, including holes. The
// bytes of a removed file are free after all handles of the file are closed. The copy
// that Crash returns has the same limit.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// begin counts a mutating call and calls the hook. It returns the error with which
// the call must fail, or nil.
func (f *FS) begin(op, name string) error {
	f.mu.Lock()
	f.calls++
	call, hook := f.calls, f.hook
	err := f.faults[call]
	f.mu.Unlock()
	if hook != nil {
		hook(call, op, name)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}
