// Package memnet is a network in memory, for tests in fake time.
//
// [Listen] returns a [Listener], [Listener.Dial] connects to it, and [Pipe]
// returns a connection without a listener. The two ends of a connection are
// [Conn]s. They fulfill the contract of [net.Conn] and fail like TCP
// connections: the errors are [*net.OpError]s that wrap [syscall.ECONNRESET],
// [syscall.EPIPE], [syscall.ECONNREFUSED], [os.ErrDeadlineExceeded] or
// [net.ErrClosed].
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
// All blocking calls block durably in the sense of [testing/synctest], if the
// listener or pipe was created in the bubble that uses it. So the time of a
// bubble advances while all its goroutines wait for the network. The package
// also works outside a bubble, in real time.
package memnet
