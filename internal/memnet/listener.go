package memnet

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// backlogSize is the number of connections that can wait for Accept before Dial
// blocks.
const backlogSize = 128

// Listener accepts the connections that its method Dial creates. It implements
// [net.Listener]. All its methods are safe for concurrent use.
type Listener struct {
	size    int           // size of each connection's buffers, in bytes
	backlog chan *Conn    // server ends that wait for Accept; if full, Dial blocks
	done    chan struct{} // closed by Close

	mu       sync.Mutex         // guards the following
	open     map[*Conn]struct{} // both ends of each connection, until their Close
	port     int                // number of connections so far; determines the client's port
	refusing bool               // Dial fails, as set by Refuse
	closed   bool
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener for connections with a buffer of size bytes in each
// direction. If size is zero or negative, the buffers have [DefaultBufferSize].
func Listen(size int) *Listener {
	return &Listener{
		size:    size,
		backlog: make(chan *Conn, backlogSize),
		done:    make(chan struct{}),
		open:    make(map[*Conn]struct{}),
	}
}

// Dial connects to the listener and returns the client's end. As with TCP, Dial
// does not wait for Accept. The backlog holds the connections that wait for
// Accept. If the backlog is full, Dial blocks until a connection is accepted, the
// listener is closed, or ctx is done. If the listener refuses connections or is
// closed, Dial returns a [*net.OpError] that wraps [syscall.ECONNREFUSED]. If ctx is
// done, the [*net.OpError] wraps the error of ctx.
func (l *Listener) Dial(ctx context.Context) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.dialError(err)
	}
	client, server, ok := l.connect()
	if !ok {
		return nil, l.dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	abandon := func(err error) (*Conn, error) {
		_ = client.Close()
		_ = server.Close()
		return nil, l.dialError(err)
	}
	select {
	case l.backlog <- server:
		if l.isClosed() {
			// Close may have emptied the backlog before server was added.
			l.drain()
		}
		return client, nil
	case <-l.done:
		return abandon(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-ctx.Done():
		return abandon(ctx.Err())
	}
}

// connect creates the two ends of a connection. It returns false if the
// listener is closed or refuses connections.
func (l *Listener) connect() (client, server *Conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.refusing {
		return nil, nil, false
	}
	l.port++
	client, server = newPair(l.size, serverAddr(), clientAddr(l.port))
	for _, c := range []*Conn{client, server} {
		c.onClose = l.remove
		l.open[c] = struct{}{}
	}
	return client, server, true
}

func (l *Listener) remove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// Accept returns the next connection in the backlog. It blocks until there is a
// connection or the listener is closed. After Close it returns a [*net.OpError]
// that wraps [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		if !l.isClosed() {
			return c, nil
		}
		reset(c)
	case <-l.done:
	}
	addr := l.Addr()
	return nil, &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: net.ErrClosed}
}

// Close makes every blocked and later Accept and Dial fail. It resets the
// connections in the backlog. Accepted connections stay open. Close never blocks.
// A second Close does nothing and returns nil.
func (l *Listener) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if first {
		close(l.done)
		l.drain()
	}
	return nil
}

// drain resets the connections in the backlog.
func (l *Listener) drain() {
	for {
		select {
		case c := <-l.backlog:
			reset(c)
		default:
			return
		}
	}
}

func reset(c *Conn) {
	c.Cut()
	_ = c.Close()
}

func (l *Listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Refuse sets whether later calls of Dial fail as if there were no listener. It
// does not affect existing connections.
func (l *Listener) Refuse(refuse bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusing = refuse
}

// CutAll cuts every open connection; see [Conn.Cut].
func (l *Listener) CutAll() { l.each((*Conn).Cut) }

// BlackHoleAll calls [Conn.BlackHole] for every open connection. Later connections
// are not affected.
func (l *Listener) BlackHoleAll() { l.each((*Conn).BlackHole) }

// HealAll calls [Conn.Heal] for every open connection.
func (l *Listener) HealAll() { l.each((*Conn).Heal) }

// each calls do for every open end. It does not hold mu during the calls,
// because do acquires the lock of a link.
func (l *Listener) each(do func(*Conn)) {
	l.mu.Lock()
	conns := make([]*Conn, 0, len(l.open))
	for c := range l.open {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
}

// OpenConns returns the number of client ends and the number of server ends that
// are not closed. A server end counts even while it waits for Accept. An end that
// was cut counts until it is closed. If both numbers are zero, no connection has
// leaked.
func (l *Listener) OpenConns() (dialed, accepted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if c.dialed {
			dialed++
		} else {
			accepted++
		}
	}
	return dialed, accepted
}

// Addr returns the fictitious address of the listener.
func (l *Listener) Addr() net.Addr { return serverAddr() }

func (l *Listener) dialError(err error) error {
	addr := l.Addr()
	return &net.OpError{Op: "dial", Net: addr.Network(), Addr: addr, Err: err}
}

// RFC 5737 3: 192.0.2.0/24 is reserved for documentation. The addresses below are
// IP addresses, not names, because the code under test may parse them.

func serverAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
}

func clientAddr(n int) net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1024 + n%(1<<16-1024)}
}
