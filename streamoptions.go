package sse

import (
	"log/slog"
	"time"
)

// StreamOptions configures the streams of a [Broker]. The zero value works.
type StreamOptions struct {
	// Retry is the time that clients should wait before they reconnect. Every
	// stream begins with a retry field that contains it. If zero, each client
	// decides. When [Broker.Shutdown] ends a stream, it sends a random time instead.
	Retry time.Duration

	// Heartbeat is the time of silence after which a heartbeat is sent. If zero,
	// 15 seconds. If negative, the broker sends no heartbeats;
	// [AcceptOptions.Heartbeat] describes the consequences.
	Heartbeat time.Duration

	// HeartbeatEvent and HeartbeatBlock select the form of the heartbeats, as
	// the fields of [AcceptOptions] with these names do.
	HeartbeatEvent string
	HeartbeatBlock bool

	// WriteTimeout limits the time that the peer takes to accept each 16 KiB
	// that are sent to it. On a parked stream (see [Broker.Park]), WriteTimeout
	// limits the time during which a blocked write makes no progress. If the
	// peer exceeds the limit, the stream ends with [ErrPeerGone]. If zero, 30
	// seconds. If negative, there is no limit.
	//
	// If a peer vanishes without closing the connection, the server notices this
	// after Heartbeat + WriteTimeout, but only on Linux and for HTTP/1, and only if
	// the stream is parked or [ConnContext] is installed. [Broker.Attach] installs
	// ConnContext. [AcceptOptions.WriteTimeout] describes all other cases.
	WriteTimeout time.Duration

	// Final, if not nil, is the last event of every stream that the broker
	// ends.
	Final *Event
}

// acceptOptions returns the options with which the broker calls accept, with
// their defaults.
func (o *StreamOptions) acceptOptions(logger *slog.Logger) AcceptOptions {
	opts := AcceptOptions{
		Retry: o.Retry, Heartbeat: o.Heartbeat, HeartbeatEvent: o.HeartbeatEvent,
		HeartbeatBlock: o.HeartbeatBlock, WriteTimeout: o.WriteTimeout, Final: o.Final,
		Logger: logger,
	}
	return opts.withDefaults()
}
