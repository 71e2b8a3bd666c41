package sse

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nowhere is a poller whose connections take everything and are nowhere: what is
// left is what the broker itself costs.
type nowhere struct {
	written atomic.Int64
	reached chan struct{} // sent to when as many writes were made as wanted
	want    int64
	once    sync.Once
	done    chan struct{}
}

func newNowhere() *nowhere {
	return &nowhere{reached: make(chan struct{}, 1), done: make(chan struct{})}
}

func (n *nowhere) adopt(net.Conn, uint64, time.Duration) (int, error) { return 0, nil }
func (n *nowhere) close(int)                                          {}
func (n *nowhere) stop()                                              { n.once.Do(func() { close(n.done) }) }

func (n *nowhere) wait([]readiness) (int, error) {
	<-n.done
	return 0, net.ErrClosed
}

func (n *nowhere) write(out *output) {
	if n.written.Add(1) == n.want {
		n.reached <- struct{}{}
	}
	out.n = len(out.data)
}

func (n *nowhere) writeAll(outs []*output) {
	for _, out := range outs {
		n.write(out)
	}
}

func (n *nowhere) free() {}

// subscribeNowhere adds parked subscribers to a topic.
func subscribeNowhere(tb testing.TB, b *Broker, n int, topic func(int) string) {
	tb.Helper()
	c, err := b.start(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	c.mu.Lock()
	err = c.startLoops()
	c.mu.Unlock()
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		sel := Selection{Topics: []string{topic(i)}}
		s, err := c.admit(context.Background(), &sel, Start{}, "", "192.0.2.1:1024")
		if err != nil {
			tb.Fatal(err)
		}
		if err := c.adopt(&parked{subscriber: *s, chunked: true}, nil, &visit{topics: sel.Topics}); err != nil {
			tb.Fatal(err)
		}
	}
}
