package memnet

import "net"

// TryWrite writes as much of p as fits into the buffer, without blocking. It
// returns the number of bytes written. If not all of p fits, a running or later
// [Conn.Await] returns when the buffer has room again.
func (c *Conn) TryWrite(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if err := c.writeErrorLocked(); err != nil {
		return 0, err
	}
	n := c.out.put(p)
	if n < len(p) {
		c.out.starved = true
		c.link.wakeLocked()
	}
	return n, nil
}

// Await blocks until the peer is gone. After a TryWrite that did not write all
// bytes, Await also returns when the buffer has room again; gone is then false.
// The peer is gone if it has called Close or CloseWrite, or if the connection was
// cut. If this end is closed, Await returns an error that wraps [net.ErrClosed].
func (c *Conn) Await() (gone bool, err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		switch {
		case c.closed:
			return false, c.opError("await", net.ErrClosed)
		case c.link.cut, !c.link.hole && (c.in.ended || c.out.abandoned):
			return true, nil
		case c.out.starved && c.out.buf.Len() < c.out.size:
			c.out.starved = false
			return false, nil
		}
		// The conditions above depend on both flows, but Wait waits only for changes
		// of this one. So Close, CloseWrite, Cut and Heal call wakeLocked.
		c.out.changed.Wait()
	}
}
