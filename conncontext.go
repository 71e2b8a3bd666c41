package sse

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/sse-go/sse/internal/poll"
)

// connKey is the context key under which ConnContext stores the connection.
type connKey struct{}

// ConnContext lets the server notice a peer that has vanished without closing
// its connection, for example because a cable was pulled or a NAT router has dropped
// the connection. Set it as the field of the same name in [http.Server]:
//
//	server := &http.Server{ConnContext: sse.ConnContext}
//
// [Broker.Attach] sets it, too.
//
// With ConnContext, a stream on HTTP/1 can reach its socket, even if the connection
// uses TLS. On Linux, the stream sets the socket option TCP_USER_TIMEOUT (RFC 5482)
// to its WriteTimeout: the kernel closes the connection when sent bytes were not
// acknowledged for this time. Unless Heartbeat is negative, a stream is never
// silent for longer than Heartbeat, so there are always bytes to acknowledge.
//
// The kernel has no such option for Multipath TCP, and Go's listeners accept
// Multipath TCP by default. To accept only plain TCP, call SetMultipathTCP(false)
// on a [net.ListenConfig], and create the listener with it.
//
// Without ConnContext, and on other systems, the server notices such a peer only
// when TCP stops retransmitting, after about 15 minutes on Linux. A parked stream (see
// [Broker.Park]) sets the socket option even without ConnContext.
//
// ConnContext has no effect on HTTP/2, because many streams share a connection
// there. Set SendPingTimeout and PingTimeout in http.Server.HTTP2 instead, so that
// the server pings the peer.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// limitUnacknowledged limits the time that data may stay unacknowledged on the
// connection that ConnContext put into ctx. It returns a function that restores the
// previous limit, because the connection may outlive the stream. If it changed
// nothing, it returns nil.
func limitUnacknowledged(ctx context.Context, d time.Duration, log *slog.Logger) func() {
	conn, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return nil
	}
	for {
		wrapped, ok := conn.(interface{ NetConn() net.Conn }) // *tls.Conn and others
		if !ok {
			break
		}
		conn = wrapped.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		log.Debug("sse: a peer that vanishes will be noticed late",
			"error", fmt.Sprintf("%T must have a method SyscallConn or NetConn", conn))
		return nil
	}
	previous, err := poll.SwapUserTimeout(socket, d)
	if err != nil {
		log.Debug("sse: a peer that vanishes will be noticed late", "error", err)
		return nil
	}
	return func() {
		if _, err := poll.SwapUserTimeout(socket, previous); err != nil {
			log.Debug("sse: TCP_USER_TIMEOUT could not be restored", "error", err)
		}
	}
}
