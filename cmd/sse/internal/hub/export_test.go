package hub

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// LogHealth is the health of a log.
type LogHealth = logHealth

// NewLogHealth returns the health of a log. It tests the disk by calling test.
func NewLogHealth(log sse.EventLog, test func() error) *LogHealth {
	return &logHealth{EventLog: log, test: test, logger: slog.New(slog.DiscardHandler)}
}

// Check is check.
func (h *logHealth) Check(ctx context.Context) api.LogHealth { return h.check(ctx) }

// Connections counts and limits the connections of a hub.
type Connections = connections

// NewConnections returns connections with a limit.
func NewConnections(limit int, logger *slog.Logger) *Connections {
	return &connections{max: limit, logger: logger}
}

// Configure is configure.
func (c *Connections) Configure(server *http.Server, broker *sse.Broker) { c.configure(server, broker) }

// Limit is newLimitedListener.
func (c *Connections) Limit(l net.Listener) net.Listener { return newLimitedListener(l, c) }

// AwaitOpen blocks until n or fewer connections are counted. It returns their
// number.
func (c *Connections) AwaitOpen(ctx context.Context, n int) int {
	for {
		c.mu.Lock()
		open := c.open
		if open > n && c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		if open <= n {
			return open
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return open
		}
	}
}

// The limits that follow from the number of descriptors.
var (
	DefaultMaxConnections = defaultMaxConnections
	CheckMaxConnections   = checkMaxConnections
	MaxOpenFiles          = maxOpenFiles
	DefaultMaxInflight    = defaultMaxInflight
)

// NewSpacedLog returns a spacedLog and its flush.
func NewSpacedLog(next slog.Handler) (h slog.Handler, flush func()) {
	l := newSpacedLog(next)
	return l, l.flush
}

// RequestCache is requestCache.
type RequestCache = requestCache

// NewRequestCache returns a cache with a limit and a clock.
func NewRequestCache(maxAge time.Duration, limit int, logger *slog.Logger, now func() time.Time) *RequestCache {
	c := newRequestCache(maxAge, logger)
	c.limit, c.now = limit, now
	return c
}

// Publish publishes a request with this idempotency key. It reports whether a request
// with the key was published before.
func (c *requestCache) Publish(ctx context.Context, owner, key string) (replayed bool, err error) {
	_, replayed, err = c.publish(ctx, &api.IdempotentRequest{Owner: owner, Key: key},
		func() ([]sse.Position, error) { return nil, nil })
	return replayed, err
}

// Owners returns the number of owners that c stores.
func (c *requestCache) Owners() int { return len(c.owners) }

// WriteTestFile is writeTestFile.
var WriteTestFile = writeTestFile
