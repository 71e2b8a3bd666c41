package memnet

import "net"

// TryWrite is Write without waiting: it puts into the buffer what there is room
// for, and returns how much that was. What did not fit makes [Conn.Await] report
// when there is room.
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

// Await blocks until the peer has gone (it has closed its end or its half, or the
// connection was cut), or until there is room again after a TryWrite that found
// too little. When this end is closed, the error is [net.ErrClosed].
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
		// One of the two flows changes, but only one can be waited for: whoever
		// changes the other wakes all of the link.
		c.out.changed.Wait()
	}
}
