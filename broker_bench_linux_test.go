package sse

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse/internal/heap"
	"github.com/sse-go/sse/internal/poll"
)

func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkManyParked has n parked subscribers of one topic, and a poller that
// discards all bytes. The results are for one subscriber: the bytes of memory, and
// the CPU time to subscribe it, to deliver an event to it, and to remove it.
func BenchmarkManyParked(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			to := newNowhere()
			broker := &Broker{Park: true, Streams: StreamOptions{Heartbeat: -1}}
			broker.state.loops.newPoller = func() (poll.Poller, error) { return to, nil }
			before, began := heap.InUse(), cpuTime()
			subscribeNowhere(b, broker, n, func(int) string { return "news" })
			subscribed := cpuTime() - began
			bytes := heap.InUse() - before

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
