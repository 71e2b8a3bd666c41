package sse

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// hooks calls the hooks of a broker, which are functions such as Broker.OnConnect.
// The caller of its methods must not hold state.mu.
type hooks struct {
	broker *Broker
	mu     *sync.Mutex // state.mu, which guards subscribers
}

// callOnConnect calls OnConnect. If the subscriber has a response, the response has
// begun.
func (h *hooks) callOnConnect(s *subscriber) {
	if h.broker.OnConnect != nil {
		h.broker.OnConnect(h.describe(s))
	}
}

// callBatchHooks calls OnDrop if the lag policy has skipped events before a batch,
// and OnGap if the batch is a gap.
func (h *hooks) callBatchHooks(s *subscriber, b *batch) {
	if b.dropped > 0 && h.broker.OnDrop != nil {
		h.broker.OnDrop(h.describe(s), b.dropped)
	}
	if b.gap != nil && h.broker.OnGap != nil {
		h.broker.OnGap(h.describe(s), *b.gap)
	}
}

// hasHookFor reports whether the broker has a hook that must be called for a batch.
func (h *hooks) hasHookFor(b *batch) bool {
	return b.endCause != nil && h.broker.OnDisconnect != nil ||
		b.gap != nil && h.broker.OnGap != nil || b.dropped > 0 && h.broker.OnDrop != nil
}

func (h *hooks) describe(s *subscriber) Subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.describe(h.broker.window(), time.Now())
}

// disconnectReason returns the error for OnDisconnect. This is cause if cause wraps
// one of the reasons that [Broker] documents. Otherwise the error wraps ErrClosed
// and cause.
func disconnectReason(cause error) error {
	for _, reason := range [...]error{
		ErrPeerGone, ErrShutdown, ErrLagging, ErrKicked, ErrExpired, ErrClosed,
	} {
		if errors.Is(cause, reason) {
			return cause
		}
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause) // from the application's context
}
