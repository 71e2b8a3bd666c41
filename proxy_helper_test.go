package sse_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// droppingProxy passes bytes on to a server, and drops each connection after a
// random number of them: politely, or with a reset.
type droppingProxy struct {
	listener net.Listener
	target   *victim
	wg       sync.WaitGroup

	mu     sync.Mutex // guards the following
	conns  map[net.Conn]bool
	closed bool
}

// newDroppingProxy returns its address.
func newDroppingProxy(t *testing.T, target *victim) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &droppingProxy{listener: listener, target: target, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return listener.Addr().String()
}

func (p *droppingProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.carry(client) })
	}
}

// track makes close end a connection. It reports whether it is not too late.
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

func (p *droppingProxy) carry(client net.Conn) {
	defer p.drop(client)
	addr, _ := p.target.address()
	server, err := net.Dial("tcp", addr)
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
	_, _ = io.CopyN(client, server, rand.N[int64](8<<10))
	if tcp := client.(*net.TCPConn); rand.N(2) == 0 {
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
