package hub

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

const (
	// maxRequests bounds the idempotent requests of each owner that the hub
	// remembers in memory. At this number it removes the owner's oldest.
	maxRequests = 100_000

	// earlyLogInterval is the shortest time between two reports that requests of
	// an owner were removed before they were too old.
	earlyLogInterval = time.Hour
)

// requestCache remembers the idempotent requests to a hub that stores its
// events in memory. It is lost together with these events.
type requestCache struct {
	maxAge time.Duration
	limit  int // number of requests of each owner
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex // guards the following
	owners map[string]*ownedRequests
}

// ownedRequests are the requests of one owner. They do not count for the limit of
// another owner.
type ownedRequests struct {
	byKey  map[string]*cachedRequest
	byTime []*cachedRequest // the oldest first
	logged time.Time        // when early removals were last reported
}

// cachedRequest is an idempotent request, in progress or done.
type cachedRequest struct {
	owner     *ownedRequests
	key       string
	digest    [32]byte
	time      time.Time
	done      chan struct{} // closed when the following are set
	positions []sse.Position
	err       error
}

func newRequestCache(maxAge time.Duration, logger *slog.Logger) *requestCache {
	return &requestCache{
		maxAge: cmp.Or(maxAge, 24*time.Hour), limit: maxRequests, logger: logger, now: time.Now,
		owners: map[string]*ownedRequests{},
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
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.removeOld(now)
	owner := c.owners[request.Owner]
	if owner == nil {
		owner = &ownedRequests{byKey: map[string]*cachedRequest{}}
		c.owners[request.Owner] = owner
	}
	if cached := owner.byKey[request.Key]; cached != nil {
		return cached, false
	}
	if len(owner.byTime) >= c.limit {
		owner.removeOldest()
		c.reportEarly(owner, request.Owner, now)
	}
	cached = &cachedRequest{
		owner: owner, key: request.Key, digest: request.Digest, time: now,
		done: make(chan struct{}),
	}
	owner.byKey[request.Key] = cached
	owner.byTime = append(owner.byTime, cached)
	return cached, true
}

// removeOld removes the requests of all owners that are too old. There are few
// owners: each is a key of the configuration.
func (c *requestCache) removeOld(now time.Time) {
	for name, owner := range c.owners {
		for len(owner.byTime) > 0 && now.Sub(owner.byTime[0].time) >= c.maxAge {
			owner.removeOldest()
		}
		if len(owner.byTime) == 0 && now.Sub(owner.logged) >= earlyLogInterval {
			delete(c.owners, name)
		}
	}
}

func (o *ownedRequests) removeOldest() {
	oldest := o.byTime[0]
	o.byTime[0] = nil
	o.byTime = o.byTime[1:]
	if o.byKey[oldest.key] == oldest {
		delete(o.byKey, oldest.key)
	}
}

// reportEarly logs that the limit has removed a request that was not too old.
func (c *requestCache) reportEarly(owner *ownedRequests, name string, now time.Time) {
	if now.Sub(owner.logged) < earlyLogInterval {
		return
	}
	owner.logged = now
	client := "clients without an access key"
	if name != "" {
		client = "access key " + name
	}
	c.logger.Warn(fmt.Sprintf("%s used more than %d idempotency keys in %v: the oldest are "+
		"forgotten, and a request that is repeated with one of them is published again",
		client, c.limit, c.maxAge))
}

// remove removes a request that has failed, so that a retry publishes again.
func (c *requestCache) remove(cached *cachedRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cached.owner.byKey[cached.key] == cached {
		delete(cached.owner.byKey, cached.key)
	}
}
