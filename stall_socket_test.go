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
	const step = 2000
	stalled, events := 500, 5*step
	switch {
	case soak:
		stalled, events = 1000, 50*step
	case testing.Short():
		stalled = 100
	}
	onSockets(t, func(t *testing.T, park bool) {
		broker := &sse.Broker{Park: park, Retention: sse.Retention{Events: 2 * step}}
		broker.Stream.WriteTimeout = time.Hour
		broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil
		}
		for range 2 * step { // so that the window is full from the start
			publishLong(t, broker, 0, 1<<10)
		}
		// One is healthy, so that it can be told when all have had their turn.
		crowd := &crowd{Addr: newSocketServer(t, broker, broker), Stalled: stalled,
			Readers: 1, Events: 1000 * step, Step: step}
		process := crowd.start(t)
		process.ask()
		idle := heapInUse()
		next := 0
		publish := func(n int) {
			for range n {
				publishLong(t, broker, next, 1<<10)
				if next++; next%step == 0 {
					process.awaitAll(next)
				}
			}
		}
		// How much the sockets take before they take no more depends on the system.
		for before := []sse.Subscriber(nil); ; {
			publish(step)
			now := broker.Subscribers()
			if countStalled(before, now) == stalled {
				break
			}
			if before = now; next >= 900*step {
				t.Fatalf("not all are stalled after %d events", next)
			}
		}
		before := heapInUse()
		publish(events)
		after := heapInUse()
		if after > before+2<<20 {
			t.Errorf("the heap has grown from %d to %d bytes", before, after)
		}
		// What is being written to one of them, and no more.
		if most := idle + 2<<20 + uint64(stalled)*24<<10; after > most {
			t.Errorf("the heap has %d bytes, want at most %d: it had %d when all were idle",
				after, most, idle)
		}
		if n := len(broker.Subscribers()); n != stalled+1 {
			t.Errorf("%d subscribers are left, want %d", n, stalled+1)
		}
		t.Logf("%d are stalled after %d events of 1 KB; heap %d KB, %d KB when all were idle, "+
			"%d KB after %d more events",
			stalled, next-events, before>>10, idle>>10, after>>10, events)
	})
}

// countStalled is how many subscribers are behind, and were given nothing in
// between.
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

func publishLong(tb testing.TB, broker *sse.Broker, i, size int) {
	tb.Helper()
	if _, err := broker.Publish(context.Background(), sse.Event{Data: long(i, size)}); err != nil {
		tb.Fatal(err)
	}
}
