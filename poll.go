package sse

import (
	"net"
	"time"
)

// poller is what parked streams need of the system. It is thin, so that all else
// can be tested in fake time.
type poller interface {
	// adopt takes a connection over, closes it, and returns a descriptor of its
	// socket. From then on wait reports what happens to it under the token. A
	// peer that acknowledges nothing for the timeout, if that is positive, is
	// gone. On error the connection is as it was.
	adopt(conn net.Conn, token uint64, timeout time.Duration) (fd int, err error)

	// write writes what there is room for, which may be nothing.
	write(out *output)

	// writeAll is write for many. The loop alone calls it.
	writeAll(outs []*output)

	// wait blocks until something has happened, and says what. The error says that
	// stop was called.
	wait(events []readiness) (int, error)

	// close closes a descriptor. No more events of it are reported once it has
	// returned, but for those that wait has returned already.
	close(fd int)

	stop()

	// free gives back what writing takes. It is called last.
	free()
}

// output is what is to be written to a descriptor, and how far that went: as far as
// there was room, unless there is an error.
type output struct {
	fd   int
	data []byte
	n    int
	err  error
}

// readiness is that there is room again after a write that found too little, or
// that the peer has gone. Of room there may be a report too many.
type readiness struct {
	token uint64
	gone  bool
}
