package sse_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// Subscribers that stay stalled on real sockets cost no more as events go by, and
// keep no publisher.
func TestStallMemoryOnSockets(t *testing.T) {
	stalled, events := 500, 1000
	if testing.Short() {
		stalled = 100
	}
	onSockets(t, func(t *testing.T, park bool) {
		broker := &sse.Broker{Park: park, Retention: sse.Retention{Events: 200}}
		broker.Stream.WriteTimeout = time.Hour
		broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Lag: sse.LagSkip, MaxLag: 100}, nil
		}
		crowd := &crowd{Addr: newSocketServer(t, broker, broker), Stalled: stalled}
		crowd.start(t).ask()
		next := 0
		publish := func(n int) {
			for range n {
				publishLong(t, broker, next, 16<<10)
				next++
			}
		}
		// How much the sockets take before they take no more depends on the system.
		for before := []sse.Subscriber(nil); ; {
			publish(200)
			now := broker.Subscribers()
			if areStalled(before, now) {
				break
			}
			if before = now; next >= 100_000 {
				t.Fatalf("not all are stalled after %d events", next)
			}
		}
		before := heapInUse()
		publish(events)
		after := heapInUse()
		if after > before+2<<20 {
			t.Errorf("the heap has grown from %d to %d bytes", before, after)
		}
		if n := len(broker.Subscribers()); n != stalled {
			t.Errorf("%d subscribers are left, want %d", n, stalled)
		}
		t.Logf("%d are stalled after %d events of 16 KB; heap %d KB, after %d more %d KB",
			stalled, next-events, before>>10, events, after>>10)
	})
}

// areStalled reports whether the same subscribers were given nothing in between.
func areStalled(before, now []sse.Subscriber) bool {
	positions := make(map[uint64]sse.Position)
	for _, s := range before {
		positions[s.ID] = s.Position
	}
	for _, s := range now {
		if s.Lag == 0 || s.Position != positions[s.ID] {
			return false
		}
	}
	return len(before) == len(now)
}

func publishLong(tb testing.TB, broker *sse.Broker, i, size int) {
	tb.Helper()
	if _, err := broker.Publish(context.Background(), sse.Event{Data: long(i, size)}); err != nil {
		tb.Fatal(err)
	}
}
