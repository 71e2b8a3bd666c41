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

// lagLog counts the subscribers that the broker has disconnected because they read too
// slowly, and logs their number. It logs in a goroutine of its own, because the broker
// calls onDisconnect in a goroutine that also writes to other streams. That goroutine
// must not wait for a logger.
type lagLog struct {
	count atomic.Int64
	wake  chan struct{} // capacity 1; has an element if count has grown since the last flush
}

// onDisconnect is the hook [sse.Broker.OnDisconnect]. It counts a subscriber whose
// reason is [sse.ErrLagging].
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

// run logs the number of disconnected subscribers at most once in 10 seconds. When ctx
// is done, it logs the number for a last time and returns.
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

// flush logs the number of subscribers that were disconnected since the last call. If
// there were none, it logs nothing.
func (l *lagLog) flush(logger *slog.Logger) {
	if n := l.count.Swap(0); n > 0 {
		logger.Info(fmt.Sprintf("subscribers that read too slowly were disconnected: %d", n),
			"hint", "they reconnect, and receive the events that they missed")
	}
}
