package api

import (
	"context"
	"sync"

	"github.com/sse-go/sse"
)

// ownedKey is an idempotency key, and the name of the access key of the client that
// has chosen it.
type ownedKey struct{ owner, key string }

// idempotencyLocks lets only one request at a time publish lines with an idempotency
// key. Another request with the same key waits. Without this lock, two attempts of a
// request could run at the same time, and each would publish some of the lines.
type idempotencyLocks struct {
	mu   sync.Mutex                 // guards the following
	busy map[ownedKey]chan struct{} // closed when the key is released
}

// acquire locks a key. It blocks while another request has locked the key. It fails
// when ctx is done, or with sse.ErrShutdown when closing is done. If it returns nil,
// the caller must release the key.
func (l *idempotencyLocks) acquire(ctx, closing context.Context, key ownedKey) error {
	for {
		l.mu.Lock()
		other, isBusy := l.busy[key]
		if !isBusy {
			if l.busy == nil {
				l.busy = map[ownedKey]chan struct{}{}
			}
			l.busy[key] = make(chan struct{})
		}
		l.mu.Unlock()
		if !isBusy {
			return nil
		}
		select {
		case <-other:
		case <-closing.Done():
			return sse.ErrShutdown
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *idempotencyLocks) release(key ownedKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.busy[key])
	delete(l.busy, key)
}
