// Package poll writes to many sockets without a goroutine for each of them. It
// reports when a socket has room again and when its peer has closed the
// connection. On Linux the package uses epoll. It also uses io_uring if the
// kernel allows it. On other systems [New] returns an error.
//
// A parked stream of package sse is a stream without a goroutine. Such streams
// are written with this package.
package poll

import (
	"net"
	"reflect"
	"time"
)

// Batch is the largest number of outputs that [Poller.WriteAll] can write with one
// system call. This needs io_uring. In all other cases WriteAll makes at least one
// system call for each output.
const Batch = 256

// Poller provides the system calls that parked streams need. The interface is
// small, so that tests can replace it with a fake and run in fake time.
//
// Adopts, Adopt, Write, Close and Stop may be called concurrently. Only one
// goroutine at a time may call Wait, and only one may call WriteAll.
type Poller interface {
	// Adopts reports whether Adopt accepts connections of type conn. Adopt accepts
	// no wrapper of a connection, because it would bypass the wrapper's methods.
	// For example, writing to the socket of a *tls.Conn would not encrypt.
	Adopts(conn reflect.Type) bool

	// Adopt duplicates the descriptor of conn's socket, closes conn, and returns
	// the duplicate. From then on, Wait reports events of the socket with the
	// token. If timeout is positive, the kernel closes a TCP connection when data
	// has stayed unacknowledged for that long, except on Multipath TCP. If Adopt
	// returns an error, conn is still open, but the options of its socket may have
	// changed.
	Adopt(conn net.Conn, token uint64, timeout time.Duration) (fd int, err error)

	// Write writes as much of out.Data as the socket has room for, starting at
	// out.N. It updates out.N and out.Err, and does nothing if out.Err is already
	// set. It does not block: a socket without room takes zero bytes, without an
	// error.
	Write(out *Output)

	// WriteAll does for each output what Write does.
	WriteAll(outs []*Output)

	// Wait blocks until an event has occurred or Stop is called. It stores events
	// in the slice and returns their number. It returns an error only after Stop
	// was called.
	Wait(events []Readiness) (int, error)

	// Close closes a descriptor that Adopt returned. A Wait that begins after
	// Close has returned reports no events of that descriptor.
	Close(fd int)

	// Stop unblocks Wait. Further calls of Wait do not block. The descriptors
	// that Adopt returned stay open.
	Stop()

	// Free releases the memory that WriteAll uses. It must be the last call.
	Free()
}

// Output is data to write to a descriptor, and the result of the write.
type Output struct {
	FD   int
	Data []byte
	N    int   // bytes of Data written so far
	Err  error // why the write failed; nil if the socket only had too little room
}

// Readiness is an event of a socket: either there is room again after a write
// that found too little, or the connection has ended. Wait may report room
// although no write lacked it, for example after Adopt.
type Readiness struct {
	Token uint64 // as passed to Adopt
	Gone  bool   // the peer has closed the connection, or the connection has failed
}
