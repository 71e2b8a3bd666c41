package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// DefaultBufferSize is the default size of a buffer in bytes.
const DefaultBufferSize = 64 << 10

// Conn is one end of a connection. It implements [net.Conn]: all its methods
// are safe for concurrent use, and both a deadline and Close unblock Read and
// Write.
type Conn struct {
	link          *link
	in, out       *flow // this end's in is the peer's out
	local, remote net.Addr
	dialed        bool        // the client's end; false for the accepted end
	onClose       func(*Conn) // called once by Close, without a lock; may be nil

	closed bool // guarded by link.mu
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a new connection with a buffer of size bytes in
// each direction. If size is zero or negative, the buffers have
// [DefaultBufferSize].
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

// link is the shared state of the two ends of a connection. One lock guards both
// directions, so that Cut breaks both ends at the same moment.
type link struct {
	mu    sync.Mutex // guards the following, both flows, and Conn.closed
	cut   bool       // Cut was called
	hole  bool       // BlackHole was called, and Heal was not called after it
	flows []*flow    // one for each direction
}

// wakeLocked wakes all calls that wait on either flow, so that they check their
// conditions again.
func (l *link) wakeLocked() {
	for _, f := range l.flows {
		f.changed.Broadcast()
	}
}

// Read reads bytes that the peer has written. If there are none, Read blocks until
// the peer writes, or calls Close or CloseWrite, until the read deadline, or until
// this end is closed or the connection is cut. After the peer has called Close or
// CloseWrite and all bytes are read, Read returns [io.EOF].
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
			// This case precedes the case in which there are bytes to read: an
			// expired deadline fails even a Read that need not wait. The server of
			// net/http interrupts its own reads with such a deadline.
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		case c.link.cut:
			return 0, c.opError("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case c.link.hole:
			// Neither bytes nor the Close of the peer arrive.
		case c.in.buf.Len() > 0:
			return c.in.take(p), nil
		case c.in.ended:
			return 0, io.EOF
		}
		c.in.changed.Wait()
	}
}

// Write copies p into the buffer towards the peer. While the buffer is full, Write
// waits for room. If the write deadline, Close, CloseWrite, Cut or the peer's Close
// comes first, Write returns an error and the number of bytes copied so far. Concurrent
// Writes run one after the other, so that their bytes do not mix.
func (c *Conn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()

	// Writes wait for a flag, not for a mutex, because a goroutine that waits for a
	// mutex is not durably blocked (testing/synctest), so fake time would stop.
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

// writeErrorLocked returns the error with which a Write would fail now, or nil.
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

// Close closes this end and makes its blocked calls fail. The peer can still read
// the bytes that this end has written; after them it reads [io.EOF]. Writes of the
// peer fail with [syscall.EPIPE]. Close never blocks. A second Close returns an
// error that wraps [net.ErrClosed].
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

// CloseWrite closes only the direction to the peer: later writes of this end fail
// with [syscall.EPIPE], and the peer reads [io.EOF] after the bytes written so
// far. This end can still read. CloseWrite never blocks.
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

// Cut breaks the connection, as a router does that has lost its state: blocked and
// later reads and writes of both ends fail, and unread bytes are lost. The error is
// [syscall.ECONNRESET], unless the end was closed or its deadline has expired. Both ends
// must still be closed. Cut never blocks.
func (c *Conn) Cut() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.cut = true
	c.link.wakeLocked()
}

// BlackHole makes the network silent in both directions: neither bytes nor the
// Close of an end reach the other end. Reads block, even if there are unread bytes.
// Writes succeed until the buffer is full, and then block. A blocked call returns only
// after its deadline, after Cut, after Close of the same end, or, if Heal was called,
// as usual. CloseWrite of the same end also ends a blocked Write. BlackHole itself never
// blocks.
func (c *Conn) BlackHole() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.hole = true
}

// Heal ends the effect of BlackHole. The bytes that were written in the meantime
// arrive, as if TCP had retransmitted them. Heal never blocks.
func (c *Conn) Heal() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.link.hole = false
	c.link.wakeLocked()
}

// BytesRead returns the number of bytes that Read has returned at this end.
func (c *Conn) BytesRead() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.in.taken
}

// BytesWritten returns the number of bytes that Write has accepted at this end.
func (c *Conn) BytesWritten() int64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.out.accepted
}

// LocalAddr returns the address of this end: a [*net.TCPAddr] in a range that
// is reserved for documentation.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the read and the write deadline. The zero time means no
// deadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, true, true) }

// SetReadDeadline sets the time from which blocked and later reads fail with
// [os.ErrDeadlineExceeded]. The zero time means that there is no deadline.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline sets the time from which blocked and later writes fail with
// [os.ErrDeadlineExceeded]. The zero time means that there is no deadline.
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

// opError wraps err in a *net.OpError, as package net does. net/http depends on this:
// after a read error that is not a *net.OpError, its HTTP/1 server would answer 400
// instead of just closing the connection.
func (c *Conn) opError(op string, err error) error {
	return &net.OpError{
		Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err,
	}
}
