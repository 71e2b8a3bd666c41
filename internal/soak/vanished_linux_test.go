package soak_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
)

// With a WriteTimeout, the broker ends the streams of stalled subscribers and of
// vanished subscribers, and no other streams.
func TestBrokerFreesVanished(t *testing.T) {
	brokertest.OnSockets(t, func(t *testing.T, park bool) {
		n := newNetns(t)
		const each = 10
		freed := make(chan error, 2*each)
		broker := &sse.Broker{Park: park}
		broker.Streams.Heartbeat = time.Second
		broker.Streams.WriteTimeout = 2 * time.Second
		if brokertest.Soak {
			broker.Streams.Heartbeat, broker.Streams.WriteTimeout = 15*time.Second, 5*time.Second
		}
		broker.OnDisconnect = func(_ sse.Subscriber, err error) { freed <- err }
		broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil
		}
		crowd := &brokertest.Crowd{Addr: brokertest.NewServerAt(t, n.hostAddr, broker, broker),
			Netns: n.name, Readers: each, Stalled: each, Events: 500, Step: 500}
		process := crowd.Start(t)
		process.Request()
		for i := range crowd.Events {
			brokertest.PublishNumbered(t, broker, i, 32<<10) // in all, more than the buffers of a socket hold
		}
		process.Await(crowd.Events)
		awaitFreed(t, freed, each, "stalled")
		if left := len(broker.Subscribers()); left != each {
			t.Errorf("%d subscribers are left, want the %d readers", left, each)
		}
		n.blackHole()
		awaitFreed(t, freed, each, "vanished")
	})
}

// awaitFreed waits until the streams of n subscribers have ended. It logs how long
// this took. It does not check the time, because it depends on the kernel.
func awaitFreed(t *testing.T, freed <-chan error, n int, kind string) {
	t.Helper()
	start := time.Now()
	late := time.After(2 * time.Minute) // TCP alone would take 15 minutes
	for range n {
		select {
		case err := <-freed:
			if !errors.Is(err, sse.ErrPeerGone) {
				t.Errorf("a %s subscriber ended with %v, want ErrPeerGone", kind, err)
			}
		case <-late:
			t.Fatalf("the %s subscribers are not freed", kind)
		}
	}
	t.Logf("the last %s subscriber was freed after %v",
		kind, time.Since(start).Round(time.Millisecond))
}
