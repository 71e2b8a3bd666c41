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
	// maxRequests is how many requests of each owner (an access key) a requestCache
	// stores. For a further request, it removes the owner's oldest request.
	maxRequests = 100_000

	// earlyLogInterval is the shortest time between two warnings about one owner. Such
	// a warning says that requests were removed early, because there were more than
	// maxRequests.
	earlyLogInterval = time.Hour
)

// requestCache remembers requests that have an idempotency key, so that a request
// that is sent again publishes its events only once. It is for a hub that stores its
// events in memory: a restart loses the cache together with the events. An owner is
// the access key of the client; all clients without an access key are one owner.
type requestCache struct {
	maxAge time.Duration
	limit  int // largest number of requests of each owner
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex // guards the following
	owners map[string]*ownedRequests
}

// ownedRequests are the requests of one owner. Each owner has a limit of its own, so
// that no client can make the hub forget the requests of another client.
type ownedRequests struct {
	byKey  map[string]*cachedRequest
	byTime []*cachedRequest // the oldest first
	logged time.Time        // when reportEarly last logged a warning
}

// cachedRequest is a request with an idempotency key, in progress or done.
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

// publish calls do, which publishes the events of request. If the same request was
// already published, publish returns the earlier positions and true instead. If the
// same request is in progress, publish waits until that attempt has ended or ctx is
// done. If that attempt fails, publish begins anew. If the owner has used the key for a
// request with another digest, publish returns [api.ErrKeyUsed].
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

// findOrAdd returns the cached request with the same owner and key, and false. If
// there is none, it adds one and returns true. The caller must then set the result of
// the new request and close its channel done. findOrAdd also removes old requests.
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

// removeOld removes all requests that have reached maxAge, and owners without
// requests, except owners with a recent warning. It looks at every owner: there are
// only a few, because each is an access key of the configuration. The caller holds mu.
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

// reportEarly logs a warning that a request of owner was removed because of the limit,
// before it had reached maxAge. It logs at most one warning per owner in
// earlyLogInterval.
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

// remove removes a request that has failed from byKey, so that the next attempt
// publishes. The request remains in byTime until removeOldest removes it.
func (c *requestCache) remove(cached *cachedRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cached.owner.byKey[cached.key] == cached {
		delete(cached.owner.byKey, cached.key)
	}
}
