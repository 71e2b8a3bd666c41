package brokertest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// Ends records why and when the streams of a broker ended.
type Ends struct {
	mu     sync.Mutex // guards the following
	errors []error
	times  []time.Time
}

// RecordEnds sets the broker's OnDisconnect hook. The hook records every stream
// that ends.
func RecordEnds(b *sse.Broker) *Ends {
	e := &Ends{}
	b.OnDisconnect = func(_ sse.Subscriber, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.errors = append(e.errors, err)
		e.times = append(e.times, time.Now())
	}
	return e
}

// Times returns the time at which each stream ended, in order.
func (e *Ends) Times() []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.times)
}

// Want checks that n streams have ended, each with an error that wraps reason.
func (e *Ends) Want(t *testing.T, reason error, n int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.errors) != n {
		t.Errorf("%d streams have ended, want %d", len(e.errors), n)
	}
	for _, err := range e.errors {
		if !errors.Is(err, reason) {
			t.Errorf("a stream ended with %v, want %v", err, reason)
		}
	}
}
