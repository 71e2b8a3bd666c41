package api

import (
	"context"
	"sync"

	"github.com/sse-go/sse"
)

// ownedKey is an idempotency key of one client.
type ownedKey struct{ owner, key string }

// keyLocks lets only one request at a time publish lines with an idempotency key.
// Other requests with the same key wait: without a lock, two attempts of the same
// request would each publish some of the lines.
type keyLocks struct {
	mu   sync.Mutex                 // guards the following
	busy map[ownedKey]chan struct{} // closed when the key is released
}

// acquire blocks until no other request uses the key, ctx is done, or the hub
// shuts down. If it returns nil, the caller must release the key.
func (k *keyLocks) acquire(ctx, closing context.Context, key ownedKey) error {
	for {
		k.mu.Lock()
		other, isBusy := k.busy[key]
		if !isBusy {
			if k.busy == nil {
				k.busy = map[ownedKey]chan struct{}{}
			}
			k.busy[key] = make(chan struct{})
		}
		k.mu.Unlock()
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

func (k *keyLocks) release(key ownedKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.busy[key])
	delete(k.busy, key)
}
