package sse

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// watchdog cancels a context when it has run for a timeout without being
// stopped. With a timeout of zero it never does.
type watchdog struct {
	timeout time.Duration
	timer   *time.Timer // nil if there is no timeout
}

// newWatchdog returns a watchdog that is stopped.
func newWatchdog(timeout time.Duration, cancel context.CancelCauseFunc) *watchdog {
	w := &watchdog{timeout: timeout}
	if timeout > 0 {
		w.timer = time.AfterFunc(timeout, func() {
			cancel(fmt.Errorf("sse: no byte for %v: %w", timeout, os.ErrDeadlineExceeded))
		})
		w.timer.Stop()
	}
	return w
}

// start starts or restarts the timeout.
func (w *watchdog) start() {
	if w.timer != nil {
		w.timer.Reset(w.timeout)
	}
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watchedReader runs a watchdog while it waits for bytes, but not while the
// caller processes them.
type watchedReader struct {
	r        io.Reader
	watchdog *watchdog
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.watchdog.start()
	n, err := w.r.Read(p)
	w.watchdog.stop()
	return n, err
}
