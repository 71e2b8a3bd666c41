package hub

import (
	"context"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// maxKeys bounds the idempotency keys that are remembered; the oldest is forgotten.
const maxKeys = 100_000

// keys are the idempotency keys of a hub whose log is in memory. They live as long
// as that.
type keys struct {
	window time.Duration
	now    func() time.Time

	mu    sync.Mutex // guards the following
	used  map[keyOf]*keyUse
	order []*keyUse // the oldest first
}

type keyOf struct{ owner, key string }

// keyUse is a publish with a key, under way or done.
type keyUse struct {
	key    keyOf
	digest [32]byte
	when   time.Time
	done   chan struct{} // closed when the following are set
	at     []sse.Position
	err    error
}

func newKeys(window time.Duration) *keys {
	setIfZero(&window, 24*time.Hour)
	return &keys{window: window, now: time.Now, used: map[keyOf]*keyUse{}}
}

// publish publishes unless that was done with the key before. If it is under way, it
// waits for that, and if that fails, takes its place.
func (k *keys) publish(
	ctx context.Context, once *api.Once, publish func() ([]sse.Position, error),
) (at []sse.Position, before bool, err error) {
	for {
		use, mine := k.take(once)
		if mine {
			use.at, use.err = publish()
			if use.err != nil {
				k.forget(use)
			}
			close(use.done)
			return use.at, false, use.err
		}
		if use.digest != once.Digest {
			return nil, false, api.ErrKeyUsed
		}
		select {
		case <-use.done:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		if use.err == nil {
			return use.at, true, nil
		}
	}
}

// take returns who uses the key, and whether that is the caller.
func (k *keys) take(once *api.Once) (use *keyUse, mine bool) {
	key := keyOf{once.Owner, once.Key}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	for len(k.order) > 0 &&
		(len(k.order) >= maxKeys || now.Sub(k.order[0].when) >= k.window) {
		oldest := k.order[0]
		k.order[0] = nil
		k.order = k.order[1:]
		if k.used[oldest.key] == oldest {
			delete(k.used, oldest.key)
		}
	}
	if use := k.used[key]; use != nil {
		return use, false
	}
	use = &keyUse{key: key, digest: once.Digest, when: now, done: make(chan struct{})}
	k.used[key] = use
	k.order = append(k.order, use)
	return use, true
}

func (k *keys) forget(use *keyUse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.used[use.key] == use {
		delete(k.used, use.key)
	}
}
