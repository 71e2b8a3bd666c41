package soak_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/heap"
)

// If subscribers are stalled on real sockets, the broker needs no more memory for
// them as more events are published.
func TestStallMemoryOnSockets(t *testing.T) {
	const step = 2000
	stalled, events := 500, 5*step
	switch {
	case brokertest.Soak:
		stalled, events = 1000, 50*step
	case testing.Short():
		stalled = 100
	}
	brokertest.OnSockets(t, func(t *testing.T, park bool) {
		broker := &sse.Broker{Park: park, Retention: sse.Retention{Events: 2 * step}}
		broker.Streams.WriteTimeout = time.Hour
		broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil
		}
		for range 2 * step { // fill the broker's memory for events
			brokertest.PublishNumbered(t, broker, 0, 1<<10)
		}
		// When the only reader has an event, the broker has also written it to every
		// other subscriber whose socket has room.
		crowd := &brokertest.Crowd{Addr: brokertest.NewServer(t, broker, broker), Stalled: stalled,
			Readers: 1, Events: 1000 * step, Step: step}
		process := crowd.Start(t)
		process.Request()
		idle := heap.InUse()
		next := 0
		publish := func(n int) {
			for range n {
				brokertest.PublishNumbered(t, broker, next, 1<<10)
				if next++; next%step == 0 {
					process.Await(next)
				}
			}
		}
		// Publish until all subscribers are stalled. The number of events depends on
		// the buffers of the sockets, and so on the system.
		for before := []sse.Subscriber(nil); ; {
			publish(step)
			now := broker.Subscribers()
			if countStalled(before, now) == stalled {
				break
			}
			if before = now; next >= 900*step {
				t.Fatalf("not all subscribers are stalled after %d events", next)
			}
		}
		before := heap.InUse()
		publish(events)
		after := heap.InUse()
		if after > before+2<<20 {
			t.Errorf("the heap has grown from %d to %d bytes", before, after)
		}
		// 24 KB is room for the bytes that are being written to a subscriber.
		if limit := idle + 2<<20 + uint64(stalled)*24<<10; after > limit {
			t.Errorf("the heap has %d bytes, want at most %d; it had %d when all streams were idle",
				after, limit, idle)
		}
		if n := len(broker.Subscribers()); n != stalled+1 {
			t.Errorf("%d subscribers are left, want %d", n, stalled+1)
		}
		t.Logf("%d subscribers are stalled after %d events of 1 KB; heap %d KB, "+
			"%d KB when all were idle, %d KB after %d more events",
			stalled, next-events, before>>10, idle>>10, after>>10, events)
	})
}

// countStalled returns the number of subscribers in now that lag behind and that had
// the same position in before.
func countStalled(before, now []sse.Subscriber) int {
	positions := make(map[uint64]sse.Position)
	for _, s := range before {
		positions[s.ID] = s.Position
	}
	n := 0
	for _, s := range now {
		if s.Lag > 0 && s.Position == positions[s.ID] {
			n++
		}
	}
	return n
}
