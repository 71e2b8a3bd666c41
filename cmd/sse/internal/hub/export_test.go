package hub

import (
	"context"
	"log/slog"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// LogHealth is the health of a log.
type LogHealth = logHealth

// NewLogHealth returns the health of a log whose disk is tested with test.
func NewLogHealth(log sse.EventLog, test func() error) *LogHealth {
	return &logHealth{EventLog: log, test: test, logger: slog.New(slog.DiscardHandler)}
}

// Check is check.
func (h *logHealth) Check(ctx context.Context) api.LogHealth { return h.check(ctx) }

// RequestCache is requestCache.
type RequestCache = requestCache

// NewRequestCache returns a cache with a limit and a clock.
func NewRequestCache(maxAge time.Duration, limit int, logger *slog.Logger, now func() time.Time) *RequestCache {
	c := newRequestCache(maxAge, logger)
	c.limit, c.now = limit, now
	return c
}

// Publish publishes a request with a key, and reports whether it was published
// before.
func (c *requestCache) Publish(ctx context.Context, owner, key string) (replayed bool, err error) {
	_, replayed, err = c.publish(ctx, &api.IdempotentRequest{Owner: owner, Key: key},
		func() ([]sse.Position, error) { return nil, nil })
	return replayed, err
}

// Owners returns the number of owners with requests.
func (c *requestCache) Owners() int { return len(c.owners) }

// WriteTestFile is writeTestFile.
var WriteTestFile = writeTestFile
