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
	// HTTP2 makes the server and its clients use HTTP/2 without TLS and with prior
	// knowledge (h2c), instead of HTTP/1.1.
	HTTP2 bool

	// Configure, if not nil, is called with the HTTP server before the server starts.
	// It may set fields such as ConnContext or WriteTimeout.
	Configure func(*http.Server)

	// BufferSize is the number of bytes that a connection buffers in each direction.
	// When a buffer is full, writes block. If zero, 64 KiB.
	BufferSize int
}

// Server is an HTTP server on a network in memory. Only [Server.Client] and
// [Server.Dial] can reach this network. The methods of Server are safe for
// concurrent use.
type Server struct {
	tb        testing.TB
	listener  *memnet.Listener
	server    *http.Server
	transport *http.Transport
	served    chan struct{} // closed when http.Server.Serve has returned

	mu   sync.Mutex // guards the following
	idle sync.Cond  // on mu; broadcast when busy becomes 0
	busy int        // open connections and running handlers
}

// NewServer starts a server for handler. At the end of the test, [Server.Close] is
// called. If opts is nil, NewServer uses the zero ServerOptions.
//
// To use the server in a bubble of [testing/synctest], call NewServer inside
// the bubble, with the t of the bubble.
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

// track makes the server count its open connections and its running handlers. Close
// waits for both, because http.Server.Close waits for neither. The connections alone
// do not suffice, because an HTTP/2 connection can end before its handlers.
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

// dial connects to the server. If that fails, it returns a nil net.Conn: a nil
// *memnet.Conn in a net.Conn would not equal nil.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	c, err := s.listener.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// URL returns the address of the server, without a slash at the end. The host of this
// address does not exist (RFC 6761 6.4). So if a client uses a real network by mistake,
// its requests fail, and reach no other server.
func (s *Server) URL() string { return "http://ssetest.invalid" }

// Client returns a new HTTP client that connects to the server for every URL,
// with any host. The caller may set the fields of the client, but must not
// change its transport, because all clients of the server share this
// [*http.Transport]. The caller must close response bodies: in a bubble,
// testing/synctest reports an open body as a deadlock.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.transport} }

// Dial returns a connection to the server, for a test that writes requests by
// hand, or reads slowly or not at all. The caller must close the connection. If the
// server is stopped or closed, Dial ends the test with Fatalf. So call Dial only from
// the test's goroutine.
func (s *Server) Dial() net.Conn {
	s.tb.Helper()
	c, err := s.dial(context.Background())
	if err != nil {
		s.tb.Fatalf("ssetest: %v", err)
	}
	return c
}

// Conns returns the number of open connections to the server, including idle
// connections and connections that wait to be accepted.
func (s *Server) Conns() int {
	_, accepted := s.listener.OpenConns()
	return accepted
}

// CutAll breaks every open connection, as a network failure does: both ends receive
// an error, and bytes in transit are lost. Later connections work.
func (s *Server) CutAll() { s.listener.CutAll() }

// BlackHoleAll makes every open connection silent, as if a cable were pulled: neither
// end receives an error, and written bytes do not arrive. When BufferSize bytes are
// buffered, writes block. Later connections work.
func (s *Server) BlackHoleAll() { s.listener.BlackHoleAll() }

// Stop makes the server unreachable, as if its machine were switched off: all
// connections break, and the server refuses new connections until Start. To
// simulate a server that starts late, call Stop right after NewServer. Stop
// does not wait for running handlers. Their requests' contexts are canceled, because
// the connections are broken.
func (s *Server) Stop() {
	s.listener.Refuse(true)
	s.listener.CutAll()
}

// Start makes the server accept connections again after Stop.
func (s *Server) Start() { s.listener.Refuse(false) }

// Shutdown shuts the server down as [http.Server.Shutdown] does: the server accepts no
// new connections and closes idle connections. Shutdown blocks until no request is
// active. It does not wait for hijacked connections. If ctx is done first, Shutdown
// returns the error of ctx, and the remaining requests continue until Close.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.server.Shutdown(ctx)
}

// Close ends the server at once: it closes all connections except hijacked ones, and so
// cancels the contexts of their requests. Then it blocks until all handlers have
// returned. A client can still read the bytes that the server sent before Close, and
// then reads the end of the connection. After Close, no goroutine of the server is
// running. A second Close does nothing.
func (s *Server) Close() {
	_ = s.server.Close() // returns the error of closing the listener, which never fails
	<-s.served
	// Close again, because a connection may have been accepted during the first
	// Close. Serve has returned, so the server now knows all connections.
	_ = s.server.Close()
	s.listener.HealAll() // otherwise clients behind a black hole would wait forever

	s.mu.Lock()
	for s.busy > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.transport.CloseIdleConnections()
}
