package brokertest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/sse-go/sse/internal/testrand"
)

// droppingProxy forwards bytes to a server.
type droppingProxy struct {
	listener net.Listener
	target   func() string
	random   *rand.Rand
	wg       sync.WaitGroup

	mu     sync.Mutex // guards the following
	conns  map[net.Conn]bool
	closed bool
}

// NewDroppingProxy starts a proxy and returns its address. The proxy forwards
// each connection to the address that target returns at that time. After a random
// number of response bytes, less than 8 KiB, the proxy closes both connections.
// It closes the client's connection with a FIN or, at random, with a reset. The
// proxy ends when the test ends.
func NewDroppingProxy(tb testing.TB, target func() string) (addr string) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &droppingProxy{listener: listener, target: target, random: testrand.New(tb),
		conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	tb.Cleanup(p.close)
	return listener.Addr().String()
}

func (p *droppingProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.forward(client) })
	}
}

// track registers a connection, so that close also closes this connection. It
// returns false if close was called before.
func (p *droppingProxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return !p.closed
}

func (p *droppingProxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

// forward forwards the bytes of one client's connection, and then closes it.
func (p *droppingProxy) forward(client net.Conn) {
	defer p.drop(client)
	server, err := net.Dial("tcp", p.target())
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.track(client) || !p.track(server) {
		return
	}
	p.wg.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
		_ = client.Close()
	})
	_, _ = io.CopyN(client, server, p.random.Int64N(8<<10))
	if tcp := client.(*net.TCPConn); p.random.IntN(2) == 0 {
		_ = tcp.SetLinger(0)
	}
}

func (p *droppingProxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
