package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse"
)

// lagLog counts the subscribers that were disconnected because they read too
// slowly, and logs the number. One goroutine counts and another one logs: the
// goroutine that counts writes to all streams and must not wait for a logger.
type lagLog struct {
	count atomic.Int64
	wake  chan struct{} // bound: 1; has an element if count is not zero
}

// onDisconnect is for [sse.Broker.OnDisconnect].
func (l *lagLog) onDisconnect(_ sse.Subscriber, reason error) {
	if !errors.Is(reason, sse.ErrLagging) {
		return
	}
	l.count.Add(1)
	select {
	case l.wake <- struct{}{}:
	default: // run has not yet received the previous element
	}
}

// run logs the number of disconnected subscribers until ctx is done, at most
// once in 10 seconds, and a last time when ctx is done.
func (l *lagLog) run(ctx context.Context, logger *slog.Logger) {
	defer l.flush(logger)
	for {
		select {
		case <-l.wake:
			l.flush(logger)
		case <-ctx.Done():
			return
		}
		const pause = 10 * time.Second
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// flush logs the number of subscribers since the last call, unless it is zero.
func (l *lagLog) flush(logger *slog.Logger) {
	if n := l.count.Swap(0); n > 0 {
		logger.Info(fmt.Sprintf("subscribers that read too slowly were disconnected: %d", n),
			"hint", "they reconnect, and receive the events that they missed")
	}
}
