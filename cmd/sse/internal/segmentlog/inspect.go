package segmentlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/overlay"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// Damage is damage in a file of a log.
type Damage struct {
	File   string // its name, without the directory
	Offset int64  // where the damage begins, or 0 if the whole file is damaged
	What   string // for example "the events 5 to 7 are damaged"
}

// NoLogError is the error if a directory has no log.
type NoLogError struct{ Dir string }

func (e *NoLogError) Error() string { return fmt.Sprintf("sse: %s has no log of a hub", e.Dir) }

// InspectOptions configure [Inspect] and [Repair].
type InspectOptions struct {
	// OnDamage is called with the damage that was found. If nil, Logger logs it.
	OnDamage func(Damage)

	// Logger logs other findings, for example a new epoch. If nil, nothing is logged.
	Logger *slog.Logger

	// FS is the file system. If nil, the operating system's.
	FS vfs.FS
}

// Inspection is a log that was opened to look at it. The repairs that a hub would do are
// only in memory. The directory is not changed, and may be in use.
type Inspection struct {
	// Salvaged is true if the state file or the key file is missing or damaged. Then
	// the positions of all entries are new, and removed entries may be there again.
	Salvaged bool

	log   *Log
	view  *overlay.FS
	state *logState // as it was found, or nil
	life  life      // as it was found
	err   error     // why the log was salvaged
}

// Inspect opens the log in a directory without changing or locking anything.
func Inspect(dir string, opts InspectOptions) (*Inspection, error) {
	i, err := inspect(dir, opts, false)
	var state *StateError
	var key *MissingKeyError
	if errors.As(err, &state) && !state.Newer || errors.As(err, &key) {
		cause := err
		if i, err = inspect(dir, opts, true); err == nil {
			i.err = cause
		}
	}
	return i, err
}

// Busy reports whether a process has the log in a directory open.
func Busy(dir string) bool { return vfs.IsLocked(filepath.Join(dir, lockName)) }

func inspect(dir string, opts InspectOptions, salvage bool) (*Inspection, error) {
	base := opts.FS
	if base == nil {
		base = vfs.OS
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	view, err := snapshot(base, dir)
	if err != nil {
		return nil, err
	}
	i := &Inspection{view: view, Salvaged: salvage}
	if i.log, err = openIdle(dir, opts, view, salvage); err != nil {
		return nil, errors.Join(err, view.Close())
	}
	was := &Log{dir: dir, files: newFiles(base, dir, 1)}
	i.life, _ = was.readLife() // the zero life if it cannot be read
	if i.state, _ = was.files.readState(); i.state != nil && !salvage {
		// If the hub would begin a new epoch, the positions are nevertheless those that
		// clients know.
		i.log.epoch = i.state.epoch
	}
	return i, nil
}

// Close closes the inspection.
func (i *Inspection) Close() error { return errors.Join(i.log.Close(), i.view.Close()) }

// maxSnapshots is how often snapshot tries to take a snapshot.
const maxSnapshots = 100

// snapshot returns a view of the files that belong together. While a process uses the
// log, it adds and removes files. It writes the state when it does so. So the files
// belong together if the state is still the same after all files are open.
//
// The mark is read before the sizes of the segments, so that the segments contain all
// events that were acknowledged according to the mark.
func snapshot(base vfs.FS, dir string) (*overlay.FS, error) {
	names, err := base.List(dir)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(names, isLogFile) {
		return nil, &NoLogError{dir}
	}
	files := newFiles(base, dir, 1)
	for attempt := range maxSnapshots {
		time.Sleep(time.Duration(attempt) * time.Millisecond)
		view, err := overlay.New(base, dir, overlay.Options{
			Copy: []string{stateName, keyName, lifeName, markName}, Skip: []string{lockName},
		})
		if isMissing(err) {
			continue // the file was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		before, err := newFiles(view, dir, 1).read(stateName)
		after, err2 := files.read(stateName)
		if isMissing(err) && isMissing(err2) || err == nil && err2 == nil && bytes.Equal(before, after) {
			return view, nil
		}
		if err := view.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("sse: the files of %s change too fast; try again", dir)
}

// isLogFile reports whether a file shows that a directory has a log, or had one.
func isLogFile(name string) bool {
	_, _, ok := parseSegmentName(name)
	return ok || name == stateName || name == oldStoreName || name == markName ||
		strings.HasSuffix(name, keySuffix)
}

// openIdle opens a log that removes nothing and accepts no entries. Opening it does
// the repairs that Open does.
func openIdle(dir string, opts InspectOptions, fsys vfs.FS, newEpoch bool) (*Log, error) {
	o, err := (&Options{
		FS: fsys, OnDamage: opts.OnDamage, Logger: opts.Logger, NewEpoch: newEpoch,
		KeyWindow: math.MaxInt64, Keys: math.MaxInt, Cache: 4 << 20, Reserve: -1,
	}).withDefaults()
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Prepared{dir: dir, opts: o} // reads nothing in advance
	l := newLog(dir, &o, flaws{})
	// The reserve remains as it is, because its size depends on the settings of the hub.
	if file, err := fsys.Open(l.files.path(reserveName)); err == nil {
		if size, err := file.Size(); err == nil && size > 0 {
			l.space.size = size
		}
		_ = file.Close() // only read
	}
	if err := p.load(context.Background(), l, 0); err != nil {
		return nil, err
	}
	return l, nil
}
