package sse

import (
	"testing"
	"time"
)

// Whoever is told to come back finds a successor there, and not all come at once.
func TestComeBack(t *testing.T) {
	for _, tt := range []struct {
		streams          int
		soonest, longest time.Duration
	}{
		{1, 700 * time.Millisecond, 1700 * time.Millisecond},
		{18_000, 2300 * time.Millisecond, 11300 * time.Millisecond},
	} {
		var c core
		c.spread.Store(int64(spreadOf(tt.streams)))
		first, last := tt.longest, tt.soonest
		for range 1000 {
			d := c.comeBack()
			if d < tt.soonest || d >= tt.longest {
				t.Fatalf("%d streams: told %v, want from %v to %v", tt.streams, d, tt.soonest, tt.longest)
			}
			first, last = min(first, d), max(last, d)
		}
		if spread := (tt.longest - tt.soonest) / 2; last-first < spread {
			t.Errorf("%d streams: told %v to %v, which is not spread over %v", tt.streams, first, last, spread)
		}
	}
}
