package sse

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// attachment connects an HTTP server to a broker.
type attachment struct {
	server         *http.Server
	drain          func(context.Context) error // Broker.Shutdown
	once           sync.Once                   // closes isClosed
	isClosed       chan struct{}               // closed when the listeners are closed
	shutdownCalled atomic.Bool                 // shutdown calls drain, so onShutdown must not
}

// attach implements Broker.Attach. drain is Broker.Shutdown.
func attach(server *http.Server, drain func(context.Context) error) (
	shutdown func(context.Context) error) {
	a := &attachment{server: server, drain: drain, isClosed: make(chan struct{})}
	server.ConnContext = withConnContext(server.ConnContext)
	server.RegisterOnShutdown(a.onShutdown)
	return a.shutdown
}

// withConnContext returns a value for http.Server.ConnContext: a function that
// first calls next, unless next is nil, and then ConnContext.
func withConnContext(next func(context.Context, net.Conn) context.Context) func(
	context.Context, net.Conn) context.Context {
	if next == nil {
		return ConnContext
	}
	return func(ctx context.Context, c net.Conn) context.Context {
		return ConnContext(next(ctx, c), c)
	}
}

// onShutdown runs when Shutdown of the server has closed the listeners. If the
// application has called that method itself, onShutdown shuts down the broker,
// without a time limit.
func (a *attachment) onShutdown() {
	a.once.Do(func() { close(a.isClosed) })
	if !a.shutdownCalled.Load() {
		_ = a.drain(context.Background())
	}
}

// shutdown is the function that Broker.Attach returns.
func (a *attachment) shutdown(ctx context.Context) error {
	a.shutdownCalled.Store(true)
	drained := make(chan error, 1)
	go func() { // ends when Shutdown of the broker returns
		<-a.isClosed
		drained <- a.drain(ctx)
	}()
	err := a.server.Shutdown(ctx) // blocks until all streams have ended, except parked streams
	if drainErr := <-drained; drainErr != nil {
		return drainErr
	}
	if err != nil {
		return fmt.Errorf("sse: http.Server.Shutdown: %w", err)
	}
	return nil
}
