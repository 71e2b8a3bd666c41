package ssetest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/sse-go/sse/internal/memnet"
)

// ServerOptions are the options of [NewServer].
type ServerOptions struct {
	// HTTP2 makes server and client speak HTTP/2 without TLS and with prior
	// knowledge (h2c), instead of HTTP/1.1.
	HTTP2 bool

	// Configure is called with the server before it serves, to set what a test
	// needs, such as ConnContext or WriteTimeout. If nil, nothing more is set.
	Configure func(*http.Server)

	// BufferSize is how many bytes a connection holds in each direction before
	// writes block. If zero, 64 KiB.
	BufferSize int
}

// Server is an HTTP server on a network in memory. Only its own [Server.Client]
// and [Server.Dial] reach it. Its methods are safe for concurrent use.
type Server struct {
	tb        testing.TB
	listener  *memnet.Listener
	server    *http.Server
	transport *http.Transport
	served    chan struct{} // closed when Serve has returned

	mu   sync.Mutex // guards the following
	idle sync.Cond  // on mu; broadcast when busy becomes 0
	busy int        // connections that are served, and handlers that run
}

// NewServer starts a server for handler. It is closed when the test ends, see
// [Server.Close]. If opts is nil, it has the default options.
//
// In a bubble of [testing/synctest], call NewServer inside it, with the t of the
// bubble.
func NewServer(tb testing.TB, handler http.Handler, opts *ServerOptions) *Server {
	tb.Helper()
	if opts == nil {
		opts = &ServerOptions{}
	}
	s := &Server{
		tb:       tb,
		listener: memnet.Listen(opts.BufferSize),
		served:   make(chan struct{}),
	}
	s.idle.L = &s.mu

	protocols := new(http.Protocols)
	protocols.SetHTTP1(!opts.HTTP2)
	protocols.SetUnencryptedHTTP2(opts.HTTP2)
	s.server = &http.Server{Handler: handler, Protocols: protocols}
	s.transport = &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.dial(ctx)
		},
	}
	if opts.Configure != nil {
		opts.Configure(s.server)
	}
	s.track()

	go func() {
		defer close(s.served)
		_ = s.server.Serve(s.listener) // http.ErrServerClosed
	}()
	tb.Cleanup(s.Close)
	return s
}

// track makes the server count its connections and handlers, so that Close can
// wait for them: http.Server.Close does not. Connections alone would not do,
// those of HTTP/2 do not wait for their handlers either.
func (s *Server) track() {
	handler := s.server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.enter()
		defer s.leave()
		handler.ServeHTTP(w, r)
	})

	connState := s.server.ConnState
	s.server.ConnState = func(c net.Conn, state http.ConnState) {
		if connState != nil {
			connState(c, state)
		}
		switch state {
		case http.StateNew:
			s.enter()
		case http.StateClosed, http.StateHijacked:
			s.leave()
		}
	}
}

func (s *Server) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy--; s.busy == 0 {
		s.idle.Broadcast()
	}
}

// dial returns net.Conn, and a nil one on error: a nil *memnet.Conn in an
// interface would be taken for a connection.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	c, err := s.listener.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// URL returns the address of the server, without a slash at the end. The host
// does not exist (RFC 6761 6.4), so that a client of another network fails
// instead of asking a stranger.
func (s *Server) URL() string { return "http://ssetest.invalid" }

// Client returns a new client that connects to the server, whatever host its URLs
// name. Its fields are the caller's to set; the transport, an [*http.Transport],
// is shared by all clients of the server and not to be changed. Response bodies
// are the caller's to close: in a bubble, one that is left open is reported as a
// deadlock.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.transport} }

// Dial returns a connection to the server, for a test that sends requests by
// hand, reads slowly or not at all. The caller closes it. If the server is
// stopped or closed, Dial fails the test, so call it from the test's goroutine.
func (s *Server) Dial() net.Conn {
	s.tb.Helper()
	c, err := s.dial(context.Background())
	if err != nil {
		s.tb.Fatalf("ssetest: %v", err)
	}
	return c
}

// Conns returns how many connections the server holds open at the moment, idle
// ones included.
func (s *Server) Conns() int {
	_, accepted := s.listener.OpenConns()
	return accepted
}

// CutAll breaks every connection, as if the network had: both ends get an error,
// bytes under way are lost. New connections work.
func (s *Server) CutAll() { s.listener.CutAll() }

// BlackHoleAll makes every connection silent, as if a cable had been pulled:
// neither end gets an error, nothing that it writes arrives, and writes block
// once BufferSize bytes wait. New connections work.
func (s *Server) BlackHoleAll() { s.listener.BlackHoleAll() }

// Stop makes the server go away, as if its machine had: connections break, and
// new ones are refused until Start. To have a server that is not there yet, call
// it first of all. Handlers go on until they notice.
func (s *Server) Stop() {
	s.listener.Refuse(true)
	s.listener.CutAll()
}

// Start makes a server that was stopped accept connections again.
func (s *Server) Start() { s.listener.Refuse(false) }

// Shutdown shuts the server down as [http.Server.Shutdown] does: no new
// connections, and idle ones are closed. It blocks until no connection is active,
// or until ctx is done; then it returns the error of ctx, and requests go on
// until Close.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.server.Shutdown(ctx)
}

// Close ends the server at once: it closes all connections, which cancels the
// requests' contexts, and blocks until all handlers have returned. A client reads
// what was sent before, then the end. Nothing of the server is left running.
// To close again does nothing.
func (s *Server) Close() {
	_ = s.server.Close() // the listener's error; it has none
	<-s.served
	// Once more for the connection that was accepted meanwhile: Serve has
	// returned, so now the server knows of all.
	_ = s.server.Close()
	s.listener.HealAll() // or else clients would wait for ever

	s.mu.Lock()
	for s.busy > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.transport.CloseIdleConnections()
}
