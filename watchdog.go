package sse

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// watchdog cancels a context when a timeout has passed since the last call of start. A
// call of stop prevents this. If the timeout is zero, the watchdog does nothing.
type watchdog struct {
	timeout time.Duration
	timer   *time.Timer // nil if there is no timeout
}

// newWatchdog returns a watchdog that is stopped. When the timeout has passed, it calls
// cancel with an error that wraps os.ErrDeadlineExceeded.
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

// watchedReader is a reader whose watchdog runs during each Read, but not while the
// caller processes the bytes.
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
