package segmentlog

import (
	"errors"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// tail writes to the last segment of the log. Only one goroutine uses it.
type tail struct {
	*segment
	file  vfs.File
	end   int64 // where the groups end that were synced
	dirty bool  // there may be bytes after end
}

// append writes bytes after the end and syncs them. After an error, they are not in the
// file: append cuts them off. If it cannot do so, the next append does.
func (t *tail) append(p []byte, noSync bool) error {
	if err := t.cut(); err != nil {
		return err
	}
	t.dirty = true
	_, err := t.file.WriteAt(p, t.end)
	if err == nil && !noSync {
		err = t.file.Sync()
	}
	if err != nil {
		return errors.Join(err, t.cut())
	}
	t.dirty = false
	t.end += int64(len(p))
	return nil
}

// cut removes the bytes after the end. It syncs, because they could otherwise be there
// again after a crash. A sync that failed may have cleared the system's record of what
// it has to write; all that it could forget is after the end.
func (t *tail) cut() error {
	if !t.dirty {
		return nil
	}
	if err := t.file.Truncate(t.end); err != nil {
		return err
	}
	if err := t.file.Sync(); err != nil {
		return err
	}
	t.dirty = false
	return nil
}
