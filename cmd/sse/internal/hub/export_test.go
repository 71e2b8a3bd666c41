package hub

import (
	"context"
	"log/slog"

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

// WriteTestFile is writeTestFile.
var WriteTestFile = writeTestFile
