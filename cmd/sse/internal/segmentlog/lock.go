package segmentlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// LockedError is the error if a log is open already, in this process or in another.
type LockedError struct {
	Dir    string
	Waited time.Duration // how long Open has waited for the lock
	Err    error         // the error of the system
}

func (e *LockedError) Error() string {
	waited := ""
	if e.Waited > 0 {
		waited = fmt.Sprintf(", and was not closed within %v", e.Waited)
	}
	return fmt.Sprintf("sse: the log in %s is already open%s: %v", e.Dir, waited, e.Err)
}

func (e *LockedError) Unwrap() error { return e.Err }

const lockName = "lock"

// lock locks a directory, or waits for the lock for a while, until ctx is done. No system
// call waits and can be canceled, so lock tries again and again.
func lock(ctx context.Context, fsys vfs.FS, dir string, wait time.Duration) (io.Closer, error) {
	const pause = 20 * time.Millisecond
	began := time.Now()
	for {
		closer, err := fsys.Lock(filepath.Join(dir, lockName))
		if err == nil {
			return closer, nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, fmt.Errorf("sse: the lock of the log in %s: %w", dir, err)
		}
		waited := time.Since(began)
		if waited >= wait || ctx.Err() != nil {
			return nil, &LockedError{Dir: dir, Waited: min(waited, wait), Err: err}
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(wait-waited, pause)):
		}
	}
}
