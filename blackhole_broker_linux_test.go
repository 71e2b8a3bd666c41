package sse_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// Issue 4, acceptance 3: with a WriteTimeout, subscribers that have stalled and
// those that have vanished are freed, and no others.
func TestBrokerFreesVanished(t *testing.T) {
	onSockets(t, func(t *testing.T, park bool) {
		n := newNetns(t)
		const each = 10
		freed := make(chan error, 2*each)
		broker := &sse.Broker{Park: park}
		broker.Stream.Heartbeat = time.Second
		broker.Stream.WriteTimeout = 2 * time.Second
		if soak {
			broker.Stream.Heartbeat, broker.Stream.WriteTimeout = 15*time.Second, 5*time.Second
		}
		broker.OnDisconnect = func(_ sse.Subscriber, err error) { freed <- err }
		broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil
		}
		crowd := &crowd{Addr: newServerAt(t, n.ours, broker, broker), Netns: n.name,
			Readers: each, Stalled: each, Events: 500, Step: 500}
		process := crowd.start(t)
		process.ask()
		for i := range crowd.Events {
			publishLong(t, broker, i, 32<<10) // more than a socket takes
		}
		process.awaitAll(crowd.Events)
		awaitFreed(t, freed, each, "stalled")
		if left := len(broker.Subscribers()); left != each {
			t.Errorf("%d subscribers are left, want the %d that read", left, each)
		}
		n.blackHole()
		awaitFreed(t, freed, each, "vanished")
	})
}

// awaitFreed tells how long it took, and does not judge it: that is the kernel's
// time.
func awaitFreed(t *testing.T, freed <-chan error, n int, what string) {
	t.Helper()
	start := time.Now()
	late := time.After(2 * time.Minute) // TCP itself would take 15
	for range n {
		select {
		case err := <-freed:
			if !errors.Is(err, sse.ErrPeerGone) {
				t.Errorf("one that has %s has ended with %v, want ErrPeerGone", what, err)
			}
		case <-late:
			t.Fatalf("those that have %s are not freed", what)
		}
	}
	t.Logf("the last that has %s was freed after %v", what, time.Since(start).Round(time.Millisecond))
}
