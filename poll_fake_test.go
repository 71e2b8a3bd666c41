package sse

import (
	"net"
	"time"

	"github.com/sse-go/sse/internal/poll"
	"github.com/sse-go/sse/internal/poll/polltest"
)

// ParkInMemory makes a broker park the streams of connections in memory. The
// caller must call it before the broker is used.
func ParkInMemory(b *Broker) {
	b.Park = true
	b.state.loops.newPoller = func() (poll.Poller, error) { return polltest.NewFake(), nil }
}

// ParkInMemoryAfter is ParkInMemory, and calls f for each stream when the head of
// its response has been sent, before anything else happens to it.
func ParkInMemoryAfter(b *Broker, f func()) {
	b.Park = true
	b.state.loops.newPoller = func() (poll.Poller, error) { return latePoller{polltest.NewFake(), f}, nil }
}

type latePoller struct {
	*polltest.Fake
	before func()
}

func (l latePoller) Adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	l.before()
	return l.Fake.Adopt(conn, token, timeout)
}
