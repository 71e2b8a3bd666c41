package segmentlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// watchInterval is how often an idle log checks its directory.
const watchInterval = time.Second

// LostError is the error if the directory of an open log was removed, moved, replaced or
// made unreadable. The log's open files still accept writes, but no other process
// would find them.
type LostError struct {
	Dir string
	Err error // the error of the system
}

func (e *LostError) Error() string {
	return fmt.Sprintf("sse: the directory of the events, %s, was removed, moved or made "+
		"unreadable while it was in use (%v); nothing is stored any more", e.Dir, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// presence notices that the directory of a log has vanished. A nil presence, of a log
// that is not on the operating system, notices nothing.
type presence struct {
	dir  string
	info os.FileInfo
	key  string
}

func newPresence(fsys vfs.FS, dir string) (*presence, error) {
	if fsys != vfs.OS {
		return nil, nil
	}
	info, err := os.Stat(dir)
	return &presence{dir, info, filepath.Join(dir, keyName)}, err
}

// check returns a [*LostError] if the directory, its key, or a file in it has vanished.
func (p *presence) check(file string) error {
	if p == nil {
		return nil
	}
	info, err := os.Stat(p.dir)
	if err == nil && !os.SameFile(p.info, info) {
		err = errors.New(p.dir + " is another directory now")
	}
	for _, name := range []string{p.key, filepath.Join(p.dir, file)} {
		if err == nil {
			_, err = os.Stat(name)
		}
	}
	if err != nil {
		return &LostError{p.dir, err}
	}
	return nil
}

// checkPresence ends the log if its directory has vanished.
func (l *Log) checkPresence(tail string) error {
	if err := l.presence.check(tail); err != nil {
		return l.fail(err)
	}
	return nil
}

// fail ends the log. It calls Fatal once.
func (l *Log) fail(err error) error {
	l.failOnce.Do(func() {
		l.failure = err
		l.logger.Error(err.Error())
		l.fatal(err)
		close(l.failed)
	})
	<-l.failed
	return l.failure
}
