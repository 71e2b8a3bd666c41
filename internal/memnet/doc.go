// Package memnet is a network in memory. With it, tests run in the fake time of
// [testing/synctest].
//
// [Listen] returns a [Listener], [Listener.Dial] connects to it, and [Pipe]
// returns a connection without a listener. The two ends of a connection are
// [Conn]s. They fulfill the contract of [net.Conn] and fail like TCP
// connections: their errors are [*net.OpError]s that wrap, for example,
// [syscall.ECONNRESET], [syscall.EPIPE], [syscall.ECONNREFUSED],
// [os.ErrDeadlineExceeded] or [net.ErrClosed]. At the end of the bytes, a read
// returns [io.EOF] unwrapped.
//
//	     write              read
//	a ──────────▶ [buffer] ──────────▶ b
//	a ◀────────── [buffer] ◀────────── b
//	      read              write
//
// Unlike [net.Pipe], each direction has a buffer of a fixed size, so that a
// write blocks only when the buffer is full, as on a socket. A test can make
// the network fail: it can cut a connection ([Conn.Cut]), make it drop all
// bytes silently ([Conn.BlackHole]), and make a listener refuse connections
// ([Listener.Refuse]).
//
// A bubble is a test that [testing/synctest] runs, with its goroutines and its own
// clock. In a bubble, all blocking calls of this package block durably: when all
// goroutines of the bubble are blocked in this way, the clock of the bubble advances to
// the next timer. The listener or pipe must have been created in the same bubble.
// Outside a bubble, the package works in real time.
package memnet
