package main

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/overlay"
)

// repair repairs the log and prints the changes.
func (t *logTool) repair(dryRun bool) error {
	changes, err := segmentlog.Repair(t.dir, segmentlog.InspectOptions{
		OnDamage: t.reportDamage, Logger: slog.New(&hubReporter{ui: t.ui}),
	}, dryRun)
	if err != nil {
		return t.explain(err)
	}
	for _, c := range changes {
		if err := t.ui.write(t.formatChange(c) + "\n"); err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		t.ui.report("", "there is nothing to repair in %s", t.dir)
	}
	return nil
}

// formatChange returns the line for a change.
func (t *logTool) formatChange(c overlay.Change) string {
	line := filepath.Join(t.dir, c.Name) + ": " + string(c.Kind)
	if c.Kind == overlay.Cut {
		line += fmt.Sprintf(" at byte %d", c.Size)
	}
	return line
}
