package disklog

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchInterval is how often an idle log looks for its directory.
const watchInterval = time.Second

// LostError says that the directory of an open log was removed, moved, replaced or
// made unreadable. The log's open files still accept writes, but no other process
// would find them.
type LostError struct {
	Dir string
	Err error // what the system says
}

func (e *LostError) Error() string {
	return fmt.Sprintf("sse: the directory of the events, %s, was removed, moved or made "+
		"unreadable while it was in use (%v); nothing is stored any more", e.Dir, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// presence notices that the directory of a log is gone.
type presence struct {
	dir   string
	same  map[string]os.FileInfo // directories that must stay the same
	other []string               // files that must exist
}

// newPresence returns nil if the log is not in files of the operating system.
func newPresence(fsys vfs.FS, dir string) (*presence, error) {
	if vfs.Root(fsys) != vfs.Default {
		return nil, nil
	}
	p := &presence{
		dir: dir, same: map[string]os.FileInfo{},
		other: []string{fsys.PathJoin(dir, keyName)},
	}
	for _, name := range []string{dir, fsys.PathJoin(dir, storeName)} {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		p.same[name] = info
	}
	return p, nil
}

// check returns a [*LostError] if the directory is gone.
func (p *presence) check() error {
	if p == nil {
		return nil
	}
	for name, was := range p.same {
		info, err := os.Stat(name)
		if err == nil && !os.SameFile(was, info) {
			err = errors.New(name + " is another directory now")
		}
		if err != nil {
			return &LostError{p.dir, err}
		}
	}
	for _, name := range p.other {
		if _, err := os.Stat(name); err != nil {
			return &LostError{p.dir, err}
		}
	}
	return nil
}

// watch is the goroutine that notices the loss while nothing is appended.
func (l *Log) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.failed.checkPresence()
		case <-l.closing:
			return
		case <-l.failed.ch:
			return
		}
	}
}

// checkPresence fails if the directory is gone.
func (f *failure) checkPresence() {
	if err := f.presence.Load().check(); err != nil {
		_ = f.set(err)
	}
}
