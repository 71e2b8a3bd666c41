package hub

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

const (
	// testInterval is how long the result of a commit or of a test is recent. A call of
	// check tests the disk only if there is no recent result.
	testInterval = 5 * time.Second

	// testTimeout is how long check waits for the result of a test.
	testTimeout = 2 * time.Second
)

// logHealth is an event log that remembers whether its last commit succeeded. A commit
// writes events to the disk. The last commit is not enough to judge the disk: if it has
// failed because the disk was full, a load balancer may send no more requests to the
// hub, and no commit shows that the disk has space again. Therefore, check also tests
// the disk.
type logHealth struct {
	sse.EventLog
	test   func() error
	logger *slog.Logger

	mu      sync.Mutex // guards the following
	results api.LogHealth
	testing chan struct{} // closed when the test in progress ends; nil if there is none
}

// newDiskHealth returns the logHealth of the log in the directory dir.
func newDiskHealth(disk *segmentlog.Log, dir string, logger *slog.Logger) *logHealth {
	return &logHealth{EventLog: disk, logger: logger, test: func() error {
		if err := disk.CheckSpace(); err != nil {
			return err
		}
		return writeTestFile(dir)
	}}
}

// Append implements [sse.EventLog].
func (h *logHealth) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	result, err := h.EventLog.Append(ctx, r)
	switch {
	case err == nil && result.Replayed:
		return result, nil // the events are already stored: no commit was needed
	case err != nil && !isDiskError(ctx, err):
		return result, err
	}
	h.mu.Lock()
	h.results.Commit = api.WriteResult{Time: time.Now(), Err: err}
	h.mu.Unlock()
	return result, err
}

// isDiskError reports whether the disk may be the cause of an error of Append. The
// cause is not the disk if ctx is done, the log is closed, or the request is invalid.
func isDiskError(ctx context.Context, err error) bool {
	var field *sse.FieldError
	return ctx.Err() == nil && !errors.As(err, &field) && !errors.Is(err, segmentlog.ErrClosed)
}

// check returns the results of the last commit and of the last test. If both are older
// than testInterval, it tests the disk first. If a test is already in progress, it
// waits for that test instead. It waits at most for testTimeout or until ctx is done.
// If the test has not ended by then, its result is [api.ErrSlowDisk].
func (h *logHealth) check(ctx context.Context) api.LogHealth {
	h.mu.Lock()
	now := time.Now()
	if now.Sub(h.results.Commit.Time) < testInterval ||
		h.testing == nil && now.Sub(h.results.Test.Time) < testInterval {
		defer h.mu.Unlock()
		return h.results
	}
	done := h.testing
	if done == nil {
		done = make(chan struct{})
		h.testing = done
		go h.runTest(done) // ends when the system calls of the test have returned
	}
	h.mu.Unlock()
	timer := time.NewTimer(testTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	results := h.results
	if h.testing == done {
		results.Test = api.WriteResult{Time: time.Now(), Err: api.ErrSlowDisk}
	}
	return results
}

// runTest tests the disk, stores the result, and closes done. It logs a warning if the
// test fails and the previous test did not.
func (h *logHealth) runTest(done chan struct{}) {
	err := h.test()
	h.mu.Lock()
	previous := h.results.Test.Err
	h.results.Test = api.WriteResult{Time: time.Now(), Err: err}
	h.testing = nil
	h.mu.Unlock()
	close(done)
	if err != nil && previous == nil {
		h.logger.Warn("the disk of the events cannot be written", "error", text.WithoutPrefix(err))
	}
}

// writeTestFile writes a small file to a directory, syncs it and removes it.
func writeTestFile(dir string) (err error) {
	file, err := os.Create(filepath.Join(dir, "readyz.tmp"))
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		// The file may not exist any more: if this hub has closed the log during a
		// slow test, the next hub on this directory may have removed it.
		if removeErr := os.Remove(file.Name()); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}()
	if _, err := file.Write(make([]byte, 4<<10)); err != nil {
		return err
	}
	return file.Sync()
}
