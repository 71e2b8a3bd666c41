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

// slow counts the subscribers that were disconnected because they read too slowly,
// and tells the operator of them. Who counts is the one that writes to all streams,
// and must not wait for a log.
type slow struct {
	count atomic.Int64
	wake  chan struct{} // bound: 1; has an element if count is not zero
}

// disconnected is for [sse.Broker.OnDisconnect].
func (s *slow) disconnected(_ sse.Subscriber, reason error) {
	if !errors.Is(reason, sse.ErrLagging) {
		return
	}
	s.count.Add(1)
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// tell logs, until ctx is done, how many there were, and not too often.
func (s *slow) tell(ctx context.Context, logger *slog.Logger) {
	defer s.tellNow(logger)
	for {
		select {
		case <-s.wake:
			s.tellNow(logger)
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

func (s *slow) tellNow(logger *slog.Logger) {
	if n := s.count.Swap(0); n > 0 {
		logger.Info(fmt.Sprintf("subscribers that read too slowly were disconnected: %d", n),
			"hint", "they come back, and get what they have missed")
	}
}
