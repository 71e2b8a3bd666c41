package api

import (
	"context"
	"sync"

	"github.com/sse-go/sse"
)

// ownedKey is an idempotency key, and the name of the access key of the client that
// has chosen it.
type ownedKey struct{ owner, key string }

// keyLocks lets only one request at a time publish lines with an idempotency key.
// Another request with the same key waits. Without this lock, two attempts of a
// request could run at the same time, and each would publish some of the lines.
type keyLocks struct {
	mu   sync.Mutex                 // guards the following
	busy map[ownedKey]chan struct{} // closed when the key is released
}

// acquire locks a key. It blocks while another request has locked the key. It fails
// when ctx is done, or with sse.ErrShutdown when closing is done. If it returns nil,
// the caller must release the key.
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
