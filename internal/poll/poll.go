// Package poll writes to sockets without a goroutine for each of them, and
// reports when a socket has room again or its peer has closed the connection.
// On Linux it stands on epoll and, where the kernel allows it, io_uring; other
// systems have no [Poller].
//
// The package knows sockets and bytes, and nothing of the package sse.
package poll

import (
	"net"
	"reflect"
	"time"
)

// Batch is the largest number of outputs that [Poller.WriteAll] writes with one
// system call. It accepts more, and then takes several calls.
const Batch = 256

// Poller is the part of the operating system that parked streams need. It is
// small, so that a fake can stand for it and everything above it can be tested
// in fake time.
//
// Adopts, Adopt, Write, Close and Stop may be called concurrently. One goroutine calls
// Wait, and one calls WriteAll.
type Poller interface {
	// Adopts reports whether Adopt accepts connections of a type. It accepts no type
	// that wraps a socket, because the methods of a wrapper may do more than those of
	// the socket.
	Adopts(conn reflect.Type) bool

	// Adopt takes conn over: it duplicates the socket's descriptor, closes conn,
	// and returns the duplicate. From then on Wait reports events of the socket
	// with the token. If timeout is positive, the kernel closes a connection whose
	// peer has acknowledged nothing for that long. On error, conn is unchanged.
	Adopt(conn net.Conn, token uint64, timeout time.Duration) (fd int, err error)

	// Write writes as much of out as the socket has room for, which may be
	// nothing. It does not block.
	Write(out *Output)

	// WriteAll is Write for several outputs.
	WriteAll(outs []*Output)

	// Wait blocks until an event has occurred, and stores events in the slice. It
	// returns an error only after Stop was called.
	Wait(events []Readiness) (int, error)

	// Close closes a descriptor. After it has returned, Wait reports no more
	// events of that descriptor, except events it has returned already.
	Close(fd int)

	// Stop unblocks Wait. Further calls of Wait do not block. Descriptors stay
	// open.
	Stop()

	// Free releases the memory that writing needs. It is the last call.
	Free()
}

// Output is data to write to a descriptor, and the result.
type Output struct {
	FD   int
	Data []byte
	N    int   // bytes of Data written so far
	Err  error // of a write that failed for a reason other than a lack of room
}

// Readiness is an event of a socket: there is room again after a write that found
// too little, or the peer has closed the connection. Wait may report room once
// too often.
type Readiness struct {
	Token uint64
	Gone  bool
}
