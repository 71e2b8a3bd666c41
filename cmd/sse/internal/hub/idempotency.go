package hub

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// maxRequests bounds the idempotent requests that the hub remembers in memory.
// At this number it removes the oldest.
const maxRequests = 100_000

// requestCache remembers the idempotent requests to a hub that stores its
// events in memory. It is lost together with these events.
type requestCache struct {
	maxAge time.Duration
	now    func() time.Time

	mu     sync.Mutex // guards the following
	byKey  map[ownedKey]*cachedRequest
	byTime []*cachedRequest // the oldest first
}

// ownedKey is an idempotency key of one client.
type ownedKey struct{ owner, key string }

// cachedRequest is an idempotent request, in progress or done.
type cachedRequest struct {
	key       ownedKey
	digest    [32]byte
	time      time.Time
	done      chan struct{} // closed when the following are set
	positions []sse.Position
	err       error
}

func newRequestCache(maxAge time.Duration) *requestCache {
	return &requestCache{
		maxAge: cmp.Or(maxAge, 24*time.Hour), now: time.Now,
		byKey: map[ownedKey]*cachedRequest{},
	}
}

// publish calls do, unless the same request was already published. If the same
// request is in progress, publish waits until that has ended or ctx is done,
// and calls do only if it has failed.
func (c *requestCache) publish(
	ctx context.Context, request *api.IdempotentRequest, do func() ([]sse.Position, error),
) (positions []sse.Position, replayed bool, err error) {
	for {
		cached, added := c.findOrAdd(request)
		if added {
			cached.positions, cached.err = do()
			if cached.err != nil {
				c.remove(cached)
			}
			close(cached.done)
			return cached.positions, false, cached.err
		}
		if cached.digest != request.Digest {
			return nil, false, api.ErrKeyUsed
		}
		select {
		case <-cached.done:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		if cached.err == nil {
			return cached.positions, true, nil
		}
	}
}

// findOrAdd returns the cached request with the same key. If there is none, it
// adds one, which the caller must finish, and returns true. It also removes
// requests that are too old.
func (c *requestCache) findOrAdd(request *api.IdempotentRequest) (
	cached *cachedRequest, added bool) {
	key := ownedKey{request.Owner, request.Key}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for len(c.byTime) > 0 &&
		(len(c.byTime) >= maxRequests || now.Sub(c.byTime[0].time) >= c.maxAge) {
		oldest := c.byTime[0]
		c.byTime[0] = nil
		c.byTime = c.byTime[1:]
		if c.byKey[oldest.key] == oldest {
			delete(c.byKey, oldest.key)
		}
	}
	if cached := c.byKey[key]; cached != nil {
		return cached, false
	}
	cached = &cachedRequest{
		key: key, digest: request.Digest, time: now, done: make(chan struct{}),
	}
	c.byKey[key] = cached
	c.byTime = append(c.byTime, cached)
	return cached, true
}

// remove removes a request that has failed, so that a retry publishes again.
func (c *requestCache) remove(cached *cachedRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[cached.key] == cached {
		delete(c.byKey, cached.key)
	}
}
