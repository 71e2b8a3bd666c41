package sse

import (
	"context"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-go/sse/internal/poll"
	"github.com/sse-go/sse/internal/poll/polltest"
)

// These variables make private functions available to the tests in package sse_test.
var (
	CheckTopic   = checkTopic
	RequestStart = requestStart
	LastEventID  = (*Decoder).lastEventID
)

// ParkInMemory makes a broker park streams whose connections are in memory. It must be
// called before the broker is used.
func ParkInMemory(b *Broker) {
	b.Park = true
	b.state.loops.newPoller = func() (poll.Poller, error) { return polltest.NewFake(), nil }
}

// ParkInMemoryAfter is ParkInMemory, and also calls f for each stream: after the
// header of its response was sent, and before the poller takes its connection over.
func ParkInMemoryAfter(b *Broker, f func()) {
	b.Park = true
	b.state.loops.newPoller = func() (poll.Poller, error) { return latePoller{polltest.NewFake(), f}, nil }
}

// latePoller calls a function before it takes a connection over.
type latePoller struct {
	*polltest.Fake
	before func()
}

func (l latePoller) Adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	l.before()
	return l.Fake.Adopt(conn, token, timeout)
}

// nowhere is a poller without connections: it discards the bytes, and every write
// succeeds. So a benchmark with it measures only the cost of the broker.
type nowhere struct {
	written atomic.Int64
	reached chan struct{} // receives an element when written reaches want
	want    int64
	once    sync.Once
	done    chan struct{}
}

func newNowhere() *nowhere {
	return &nowhere{reached: make(chan struct{}, 1), done: make(chan struct{})}
}

func (n *nowhere) Adopts(reflect.Type) bool                           { return true }
func (n *nowhere) Adopt(net.Conn, uint64, time.Duration) (int, error) { return 0, nil }
func (n *nowhere) Close(int)                                          {}
func (n *nowhere) Stop()                                              { n.once.Do(func() { close(n.done) }) }

func (n *nowhere) Wait([]poll.Readiness) (int, error) {
	<-n.done
	return 0, net.ErrClosed
}

func (n *nowhere) Write(out *poll.Output) {
	if n.written.Add(1) == n.want {
		n.reached <- struct{}{}
	}
	out.N = len(out.Data)
}

func (n *nowhere) WriteAll(outs []*poll.Output) {
	for _, out := range outs {
		n.Write(out)
	}
}

func (n *nowhere) Free() {}

// subscribeNowhere adds n parked subscribers without connections to a broker whose
// pollers are of type nowhere. Subscriber i receives the events of topic(i).
func subscribeNowhere(tb testing.TB, b *Broker, n int, topic func(int) string) {
	tb.Helper()
	st, err := b.start(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	st.mu.Lock()
	err = st.loops.start(st)
	st.mu.Unlock()
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		sel := Selection{Topics: []string{topic(i)}}
		s, err := st.admit(context.Background(), &sel, Start{}, "", "192.0.2.1:1024")
		if err != nil {
			tb.Fatal(err)
		}
		if err := st.loops.adopt(&parked{subscriber: *s, chunked: true}, nil, &pendingStream{topics: sel.Topics}); err != nil {
			tb.Fatal(err)
		}
	}
}
