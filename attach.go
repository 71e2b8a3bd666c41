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
	server   *http.Server
	drain    func(context.Context) error // Broker.Shutdown
	once     sync.Once                   // closes isClosed
	isClosed chan struct{}               // closed when the server has closed its listeners
	shutting atomic.Bool                 // shutdown was called, and shuts down the broker
}

// attach is Broker.Attach.
func attach(server *http.Server, drain func(context.Context) error) (
	shutdown func(context.Context) error) {
	a := &attachment{server: server, drain: drain, isClosed: make(chan struct{})}
	server.ConnContext = withConnContext(server.ConnContext)
	server.RegisterOnShutdown(a.onShutdown)
	return a.shutdown
}

// withConnContext returns a function that calls next, unless it is nil, and then
// ConnContext.
func withConnContext(next func(context.Context, net.Conn) context.Context) func(
	context.Context, net.Conn) context.Context {
	if next == nil {
		return ConnContext
	}
	return func(ctx context.Context, c net.Conn) context.Context {
		return ConnContext(next(ctx, c), c)
	}
}

// onShutdown runs when the server has closed its listeners. If the application has
// called the server's own Shutdown, no context limits the time of the broker's.
func (a *attachment) onShutdown() {
	a.once.Do(func() { close(a.isClosed) })
	if !a.shutting.Load() {
		_ = a.drain(context.Background())
	}
}

// shutdown is the function that Broker.Attach returns.
func (a *attachment) shutdown(ctx context.Context) error {
	a.shutting.Store(true)
	drained := make(chan error, 1)
	go func() { // ends when Shutdown of the broker returns
		<-a.isClosed
		drained <- a.drain(ctx)
	}()
	err := a.server.Shutdown(ctx) // held streams block it until they have ended
	if drainErr := <-drained; drainErr != nil {
		return drainErr
	}
	if err != nil {
		return fmt.Errorf("sse: http.Server.Shutdown: %w", err)
	}
	return nil
}
