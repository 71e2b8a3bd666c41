package memnet

import "net"

// TryWrite writes as much of p as fits into the buffer, without blocking, and
// returns the number of bytes. If not all of p fits, [Conn.Await] returns when
// the buffer has space again.
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

// Await blocks until the peer is gone or, after a TryWrite that did not write
// all bytes, until the buffer has space again. The peer is gone if it has
// closed its end or its writing half, or if the connection was cut. If this end
// is closed, Await returns [net.ErrClosed].
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
		// Both flows may change, but Wait waits for this flow only. Therefore
		// calls that change the other flow wake all waiting calls of the link.
		c.out.changed.Wait()
	}
}
