// Package memnet is a network in memory, for tests whose time is fake.
//
// [Listen] makes a [Listener], [Listener.Dial] connects to it, [Pipe] makes a
// connection without a listener. The two ends are [Conn]s that keep to the
// contract of [net.Conn] and fail as TCP fails: the errors are [*net.OpError]s
// around [syscall.ECONNRESET], [syscall.EPIPE], [syscall.ECONNREFUSED],
// [os.ErrDeadlineExceeded] or [net.ErrClosed].
//
//	     write              read
//	a ──────────▶ [buffer] ──────────▶ b
//	a ◀────────── [buffer] ◀────────── b
//	      read              write
//
// Unlike [net.Pipe], each direction has a buffer of a fixed size, so that a
// writer runs ahead of its reader as far as it would on a socket, then blocks.
// And the network can misbehave on request: a connection can be cut
// ([Conn.Cut]), can swallow everything without a word ([Conn.BlackHole]), and a
// listener can refuse ([Listener.Refuse]).
//
// Everything that blocks here blocks durably in the sense of [testing/synctest],
// provided that the listener or pipe was made in the bubble that uses it: when
// all that a test does is wait for the network, time advances. The same code
// works outside a bubble, in real time.
package memnet
