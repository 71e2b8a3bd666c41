package segmentlog

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/overlay"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// Repair opens the log in a directory, as a hub does, and closes it. This cuts off a
// write that is not complete, removes files that do not belong to the log, and notes in
// the state file which entries are lost. Repair returns the changes. If dryRun is true,
// it returns the same changes, but does not make them.
//
// Repair locks the log. If the log is in use, the error is a [*LockedError], unless
// dryRun is true.
func Repair(dir string, opts InspectOptions, dryRun bool) (changes []overlay.Change, err error) {
	base := opts.FS
	if base == nil {
		base = vfs.OS
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if dryRun {
		return tryRepair(base, dir, opts)
	}
	names, err := base.List(dir)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(names, isLogFile) {
		return nil, &NoLogError{dir}
	}
	unlock, err := lock(context.Background(), base, dir, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock.Close()) }()
	if changes, err = tryRepair(base, dir, opts); err != nil {
		return nil, err
	}
	opts.Logger, opts.OnDamage = nil, func(Damage) {} // tryRepair has reported the same
	l, err := openIdle(dir, opts, lockedFS{base}, false)
	if err != nil {
		return nil, err
	}
	return changes, l.Close()
}

// tryRepair repairs a view of the log.
func tryRepair(base vfs.FS, dir string, opts InspectOptions) (
	changes []overlay.Change, err error) {
	view, err := snapshot(base, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	l, err := openIdle(dir, opts, view, false)
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return view.Changes()
}

// lockedFS is a file system whose lock the caller holds.
type lockedFS struct{ vfs.FS }

// Lock implements [vfs.FS].
func (lockedFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }
