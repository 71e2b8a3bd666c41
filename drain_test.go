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

// The streams of as many subscribers as a process can have end in time, and not
// in bursts.
func TestDrainMany(t *testing.T) {
	const (
		subscribers = 18_000
		over        = 30 * time.Second
		bucket      = 100 * time.Millisecond
	)
	synctest.Test(t, func(t *testing.T) {
		var start time.Time
		var mu sync.Mutex // guards the following: there are several loops
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

// The reconnection delays leave time for a successor to start, and are spread
// over a time that grows with the number of streams.
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
