package sse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Issue 4, acceptance 6: as many as a process can have are gone in time, and not
// in clumps.
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
				t.Errorf("one has ended with %v", err)
			}
			closes[time.Since(start)/bucket]++
		}
		broker.core.loops.create = func() (poller, error) { return newNowhere(), nil }
		subscribeNowhere(t, broker, subscribers, func(i int) string { return fmt.Sprint("topic-", i%100) })
		time.Sleep(time.Hour)
		start = time.Now()
		if err := broker.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != over {
			t.Errorf("it took %v, want %v", took, over)
		}
		most, all := 0, 0
		for _, n := range closes {
			most = max(most, n)
			all += n
		}
		if all != subscribers || most > subscribers*2/100 {
			t.Errorf("%d streams have ended, want %d; %d of them within %v, want at most 2 %%",
				all, subscribers, most, bucket)
		}
		t.Logf("at most %d of %d in %v", most, subscribers, bucket)
	})
}
