package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// DefaultBufferSize is the size of a buffer, in bytes, if none is given.
const DefaultBufferSize = 64 << 10

// Conn is one end of a connection. It implements [net.Conn], so all its methods
// are safe for concurrent use, a deadline in the past fails calls that are under
// way, and Close unblocks them.
type Conn struct {
	link          *link
	in, out       *flow // in is the peer's out
	local, remote net.Addr
	dialed        bool
	onClose       func(*Conn) // called once, by Close, without locks; may be nil

	closed bool // guarded by link.mu
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a new connection whose buffers hold size bytes in
// each direction. If size is zero or negative, it is [DefaultBufferSize].
func Pipe(size int) (*Conn, *Conn) {
	return newPair(size, serverAddr(), clientAddr(0))
}

func newPair(size int, server, client net.Addr) (dialed, accepted *Conn) {
	if size <= 0 {
		size = DefaultBufferSize
	}
	l := &link{}
	up, down := newFlow(l, size), newFlow(l, size)
	dialed = &Conn{link: l, in: down, out: up, local: client, remote: server, dialed: true}
	accepted = &Conn{link: l, in: up, out: down, local: server, remote: client}
	return dialed, accepted
}

// link is what the two ends of a connection share. One lock for both directions
// makes a cut atomic: no end sees the other dead before it is dead itself.
type link struct {
	mu    sync.Mutex // guards the following, both flows, and Conn.closed
	cut   bool
	hole  bool
	flows []*flow
}

// wakeLocked lets everyone who waits for anything on the link look again.
func (l *link) wakeLocked() {
	for _, f := range l.flows {
		f.changed.Broadcast()
	}
}

// Read reads what the peer has written. It blocks while there is nothing, and
// until the read deadline, Close or Cut. When the peer has closed and all is
// read, the error is [io.EOF].
func (c *Conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.opError("read", net.ErrClosed)
		case len(p) == 0:
			return 0, nil
		case c.in.readBy.expired:
			// Before the bytes: a past deadline fails even a Read that need
			// not wait. net/http's server interrupts its own reads so.
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		case c.link.cut:
			return 0, c.opError("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case c.link.hole:
			// Neither bytes nor the peer's Close get through.
		case c.in.buf.Len() > 0:
			return c.in.take(p), nil
		case c.in.ended:
			return 0, io.EOF
		}
		c.in.changed.Wait()
	}
}

// Write puts p into the buffer towards the peer. It blocks while the buffer is
// full, and until the write deadline, Close, Cut or the peer's Close; then it
// returns how many bytes went in before. Bytes of concurrent Writes do not mix.
func (c *Conn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()

	// A flag and not a mutex: to wait for a mutex is not durable.
	for c.out.writing {
		if err := c.writeErrorLocked(); err != nil {
			return 0, err
		}
		c.out.changed.Wait()
	}
	c.out.writing = true
	defer func() {
		c.out.writing = false
		c.out.changed.Broadcast()
	}()

	for written := 0; ; {
		if err := c.writeErrorLocked(); err != nil {
			return written, err
		}
		written += c.out.put(p[written:])
		if written == len(p) {
			return written, nil
		}
		c.out.changed.Wait()
	}
}

// writeErrorLocked returns the reason why nothing more can be written, or nil.
func (c *Conn) writeErrorLocked() error {
	switch {
	case c.closed:
		return c.opError("write", net.ErrClosed)
	case c.out.writeBy.expired:
		return c.opError("write", os.ErrDeadlineExceeded)
	case c.link.cut:
		return c.opError("write", os.NewSyscallError("write", syscall.ECONNRESET))
	case c.out.ended, c.out.abandoned && !c.link.hole:
		return c.opError("write", os.NewSyscallError("write", syscall.EPIPE))
	}
	return nil
}

// Close closes this end and fails its calls that are under way. The peer can
// read what was written before, then gets [io.EOF]; its writes fail with
// [syscall.EPIPE]. It never blocks. The second Close returns [net.ErrClosed].
func (c *Conn) Close() error {
	c.link.mu.Lock()
	if c.closed {
		c.link.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.out.ended = true
	c.in.abandoned = true
	c.in.readBy.stop()
	c.out.writeBy.stop()
	c.link.wakeLocked()
	c.link.mu.Unlock()

	if c.onClose != nil {
		c.onClose(c)
	}
	return nil
}

// CloseWrite ends the direction to the peer, as Close does, and leaves the other
// open. It never blocks.
func (c *Conn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.ended = true
	c.link.wakeLocked()
	return nil
}

// Cut breaks the connection, as a router does that forgets it: from now on, and
// also where they wait already, reads and writes of both ends fail with
// [syscall.ECONNRESET], and bytes that were not read are lost. Both ends are
// still to be closed by their owners. It never blocks.
func (c *Conn) Cut() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.cut = true
	c.link.wakeLocked()
}

// BlackHole makes the network swallow everything, in both directions: writes
// succeed until the buffer is full, then block; nothing arrives, not even that
// the peer has closed. Only deadlines tell, and Cut. It never blocks.
func (c *Conn) BlackHole() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.hole = true
}

// Heal ends a black hole: what was written meanwhile arrives, as TCP would have
// it by sending again. It never blocks.
func (c *Conn) Heal() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.hole = false
	c.link.wakeLocked()
}

// BytesRead returns how many bytes Read has returned at this end.
func (c *Conn) BytesRead() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.in.taken
}

// BytesWritten returns how many bytes Write has accepted at this end.
func (c *Conn) BytesWritten() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.out.accepted
}

// LocalAddr returns the address of this end, a [*net.TCPAddr] in a range that
// is reserved for documentation.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the read and the write deadline. The zero time means none.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, true, true) }

// SetReadDeadline sets when reads begin to fail with [os.ErrDeadlineExceeded],
// also those that wait already. The zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline sets when writes begin to fail with [os.ErrDeadlineExceeded],
// also those that wait already. The zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, false, true) }

func (c *Conn) setDeadlines(t time.Time, read, write bool) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	if read {
		c.in.readBy.setLocked(t, c.in)
	}
	if write {
		c.out.writeBy.setLocked(t, c.out)
	}
	return nil
}

// opError wraps err as package net does. net/http looks for that: an error of
// its connection that is no *net.OpError counts as a bug, and is logged.
func (c *Conn) opError(op string, err error) error {
	return &net.OpError{
		Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err,
	}
}
