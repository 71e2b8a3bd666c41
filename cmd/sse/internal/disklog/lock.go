package disklog

import (
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// LockedError says that a log is open already, in this process or in another.
type LockedError struct {
	Dir    string
	Waited time.Duration // how long it was waited for
	Err    error         // what the system says
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

// lock takes the lock of a directory, or waits for it for a while. The system
// has no call that waits and can be told to stop, so it is asked again.
func lock(fsys vfs.FS, dir string, wait time.Duration) (io.Closer, error) {
	const pause = 20 * time.Millisecond
	began := time.Now()
	for {
		closer, err := fsys.Lock(fsys.PathJoin(dir, lockName))
		if err == nil {
			return closer, nil
		}
		if !isLocked(err) {
			return nil, fmt.Errorf("sse: the lock of the log in %s: %w", dir, err)
		}
		if left := wait - time.Since(began); left > 0 {
			<-time.After(min(left, pause))
			continue
		}
		return nil, &LockedError{Dir: dir, Waited: wait, Err: err}
	}
}

// heldHere is what the file system says of a lock that this process has.
const heldHere = "lock held by current process"

func isLocked(err error) bool { return isLockedBySystem(err) || err.Error() == heldHere }
