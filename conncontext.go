package sse

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// connKey is the context key under which ConnContext keeps the connection.
type connKey struct{}

// ConnContext is for the field of that name in [http.Server]. It lets a stream
// on HTTP/1 reach its socket, so that a peer that has vanished without a trace
// (a pulled cable, a NAT that forgot) is noticed: on Linux what was sent, a
// heartbeat at the latest, must be acknowledged within WriteTimeout
// (TCP_USER_TIMEOUT, RFC 5482), also through TLS.
//
//	server := &http.Server{ConnContext: sse.ConnContext}
//
// Clients that speak Multipath TCP, which Go's listeners accept, are left out:
// the kernel has no such option for them. A listener made with
// [net.ListenConfig] and SetMultipathTCP(false) makes them speak TCP.
//
// Without it, and on other systems, such a peer is noticed only when TCP gives
// up retransmitting, after about 15 minutes on Linux. On HTTP/2 a connection
// has many streams, and the server itself should ask whether the peer is
// there: set SendPingTimeout and PingTimeout in http.Server.HTTP2.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// limitUnacknowledged bounds how long data sent on the connection that
// ConnContext put into ctx may stay unacknowledged. It returns a function that
// undoes it, as the connection may outlive the stream, or nil.
func limitUnacknowledged(ctx context.Context, d time.Duration, log *slog.Logger) func() {
	conn, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return nil
	}
	for {
		wrapped, ok := conn.(interface{ NetConn() net.Conn }) // *tls.Conn, and others
		if !ok {
			break
		}
		conn = wrapped.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		log.Debug("sse: a peer that vanishes will be noticed late",
			"error", fmt.Sprintf("%T has neither SyscallConn nor NetConn", conn))
		return nil
	}
	before, err := swapUserTimeout(socket, d)
	if err != nil {
		log.Debug("sse: a peer that vanishes will be noticed late", "error", err)
		return nil
	}
	return func() {
		if _, err := swapUserTimeout(socket, before); err != nil {
			log.Debug("sse: TCP_USER_TIMEOUT stays set", "error", err)
		}
	}
}
