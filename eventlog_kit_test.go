package sse_test

import (
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The window is a log like any other, and passes what every log must pass.
func TestWindowIsAnEventLog(t *testing.T) {
	ssetest.TestEventLog(t, ssetest.EventLogOptions{
		Open: func(_ testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
			all := sse.Retention{Events: -1, Bytes: -1}
			var rules []sse.Retention
			for _, r := range setup.Retention {
				rule := sse.Retention{Pattern: r.Pattern, Events: r.Entries, Bytes: r.Bytes, Age: r.Age}
				switch {
				case r.Pattern != sse.Pattern{}:
					rules = append(rules, rule)
				case r.Entries > 0:
					all.Events = r.Entries
				case r.Bytes > 0:
					all.Bytes = r.Bytes
				default:
					all.Age = r.Age
				}
			}
			return sse.NewWindowLog(all, rules, setup.Now)
		},
		ByCount: true, ByBytes: true, ByAge: true, ByPattern: true,
		ExactLost: true, Gapless: true, Contiguous: true, Encoded: true, Bubble: true,
	})
}
