package sse

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
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

func (n *nowhere) write(_ int, p []byte) (int, error) {
	if n.written.Add(1) == n.want {
		n.reached <- struct{}{}
	}
	return len(p), nil
}

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
		if err := c.adopt(&parked{subscriber: *s, chunked: true}, nil, &sel); err != nil {
			tb.Fatal(err)
		}
	}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What the broker costs for many parked subscribers of one topic, without the
// write: bytes for each, and CPU time for each to subscribe, to be reached by an
// event, and to be removed.
func BenchmarkManyParked(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			to := newNowhere()
			broker := &Broker{Park: true, Stream: AcceptOptions{Heartbeat: -1}}
			broker.core.loops.create = func() (poller, error) { return to, nil }
			before, began := heap(), cpuTime()
			subscribeNowhere(b, broker, n, func(int) string { return "news" })
			subscribed := cpuTime() - began
			bytes := heap() - before

			began = cpuTime()
			rounds := 0
			for b.Loop() {
				rounds++
				to.want = to.written.Load() + int64(n)
				if _, err := broker.Publish(context.Background(), Event{Data: "hello"}, "news"); err != nil {
					b.Fatal(err)
				}
				<-to.reached
			}
			reached := cpuTime() - began
			began = cpuTime()
			if err := broker.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
			removed := cpuTime() - began
			each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n) }
			b.ReportMetric(float64(bytes)/float64(n), "B/sub")
			b.ReportMetric(each(subscribed), "ns-subscribe/sub")
			b.ReportMetric(each(reached)/float64(rounds), "ns-reach/sub")
			b.ReportMetric(each(removed), "ns-remove/sub")
		})
	}
}
