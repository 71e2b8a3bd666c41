package sse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/poll"
)

// Shutdown spreads the ends of 18,000 streams over DrainOver: it takes exactly that
// long, and at most 2 % of the streams end within any tenth of a second.
func TestDrainMany(t *testing.T) {
	const (
		subscribers = 18_000
		over        = 30 * time.Second
		bucket      = 100 * time.Millisecond
	)
	synctest.Test(t, func(t *testing.T) {
		var start time.Time
		var mu sync.Mutex // guards the following: several goroutines call OnDisconnect
		closes := make(map[time.Duration]int)
		broker := &Broker{Park: true, DrainOver: over}
		broker.OnDisconnect = func(_ Subscriber, err error) {
			mu.Lock()
			defer mu.Unlock()
			if !errors.Is(err, ErrShutdown) {
				t.Errorf("a stream ended with %v, want ErrShutdown", err)
			}
			closes[time.Since(start)/bucket]++
		}
		broker.state.loops.newPoller = func() (poll.Poller, error) { return newNowhere(), nil }
		subscribeNowhere(t, broker, subscribers, func(i int) string { return fmt.Sprint("topic-", i%100) })
		time.Sleep(time.Hour)
		start = time.Now()
		if err := broker.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != over {
			t.Errorf("Shutdown took %v, want %v", took, over)
		}
		most, all := 0, 0
		for _, n := range closes {
			most = max(most, n)
			all += n
		}
		if all != subscribers || most > subscribers*2/100 {
			t.Errorf("%d streams ended, want %d; %d of them within %v, want at most 2 %%",
				all, subscribers, most, bucket)
		}
		t.Logf("at most %d of %d streams ended within %v", most, subscribers, bucket)
	})
}

// The reconnection delay that a client receives at shutdown is random. Its minimum
// leaves time for the next server process to start. With more streams, the minimum
// is longer, and so is the time over which the clients reconnect.
func TestReconnectionDelay(t *testing.T) {
	for _, tt := range []struct {
		streams          int
		soonest, longest time.Duration
	}{
		{1, 700 * time.Millisecond, 1700 * time.Millisecond},
		{18_000, 2300 * time.Millisecond, 11300 * time.Millisecond},
	} {
		spread := spreadFor(tt.streams)
		first, last := tt.longest, tt.soonest
		for range 1000 {
			d := reconnectDelay(spread)
			if d < tt.soonest || d >= tt.longest {
				t.Fatalf("%d streams: got a delay of %v, want from %v to %v",
					tt.streams, d, tt.soonest, tt.longest)
			}
			first, last = min(first, d), max(last, d)
		}
		if least := (tt.longest - tt.soonest) / 2; last-first < least {
			t.Errorf("%d streams: got delays from %v to %v, want a spread of %v",
				tt.streams, first, last, least)
		}
	}
}
