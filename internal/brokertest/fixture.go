package brokertest

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// Wait is a way in which the streams of a test wait for events: held or parked.
type Wait struct {
	// Name is the name of the subtest.
	Name string

	// Options are the options of the server.
	Options ssetest.ServerOptions

	// Park makes a broker park the streams whose connections are in memory (see
	// internal/memnet). If nil, streams are held.
	Park func(*sse.Broker)
}

// Held returns two waits with held streams: with HTTP/1.1 and with HTTP/2.
func Held() []Wait {
	return []Wait{
		{Name: "held http1"},
		{Name: "held http2", Options: ssetest.ServerOptions{HTTP2: true}},
	}
}

// Parked returns a wait with parked streams. The tests of package sse pass
// sse.ParkInMemory as park. That function exists only in their test binary, so
// this package cannot call it.
func Parked(park func(*sse.Broker)) Wait {
	return Wait{Name: "parked", Park: park}
}

// InBubbles runs a subtest for each of the waits, in fake time: each subtest runs in
// a bubble of [testing/synctest].
func InBubbles(t *testing.T, waits []Wait, test func(t *testing.T, wait Wait)) {
	t.Helper()
	for _, wait := range waits {
		t.Run(wait.Name, func(t *testing.T) {
			t.Helper()
			synctest.Test(t, func(t *testing.T) { test(t, wait) })
		})
	}
}

// InWaits is like InBubbles, but passes a new fixture to each subtest. The broker
// of the fixture holds or parks streams as the wait says.
func InWaits(t *testing.T, waits []Wait, test func(t *testing.T, f *Fixture)) {
	t.Helper()
	InBubbles(t, waits, func(t *testing.T, wait Wait) {
		t.Helper()
		f := &Fixture{T: t, Options: wait.Options}
		if wait.Park != nil {
			wait.Park(&f.Broker)
		}
		test(t, f)
	})
}

// Fixture is a broker behind an HTTP server, both in the bubble of one test.
type Fixture struct {
	T *testing.T

	// Options are the options of the server. Set them before Serve.
	Options ssetest.ServerOptions

	// Broker is the broker. Set its fields before Serve.
	Broker sse.Broker

	// Server is the server that Serve has started; nil before.
	Server *ssetest.Server
}

// Serve starts the server with the broker as its handler. When the test ends, the
// broker is shut down.
func (f *Fixture) Serve() {
	f.T.Helper()
	f.ServeAround(&f.Broker)
}

// ServeAround is like Serve, but the server's handler is a handler that wraps the
// broker.
func (f *Fixture) ServeAround(handler http.Handler) {
	f.T.Helper()
	f.Server = ssetest.NewServer(f.T, handler, &f.Options)
	f.T.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.Broker.Shutdown(ctx); err != nil {
			f.T.Errorf("Shutdown: %v", err)
		}
	})
}

// Publish publishes an event with the data on the topics. It returns the event's
// position.
func (f *Fixture) Publish(data string, topics ...string) sse.Position {
	f.T.Helper()
	p, err := f.Broker.Publish(f.T.Context(), sse.Event{Data: data}, topics...)
	if err != nil {
		f.T.Fatalf("Publish: %v", err)
	}
	return p
}
