package soak_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
)

// BenchmarkStall publishes events of 16 KB to 1,000 subscribers in another process.
// Either all subscribers read, or 100 of them have stopped reading. The benchmark
// measures how long Publish takes, and how long it takes until all readers have an
// event. "make stall" runs it.
//
// After every 8 events, the benchmark waits until all readers have received them, so
// that it does not measure how many events the readers can buffer.
func BenchmarkStall(b *testing.B) {
	for _, park := range []bool{false, true} {
		if park && runtime.GOOS != "linux" {
			continue
		}
		for _, stalled := range []int{0, 100} {
			b.Run(fmt.Sprint(brokertest.WaitName(park), "/", stalled), func(b *testing.B) {
				benchStall(b, park, stalled, 16<<10, 8)
			})
		}
	}
}

// BenchmarkPublishers does the same with small events and without stalled
// subscribers. It waits for the readers after every 64 events.
func BenchmarkPublishers(b *testing.B) {
	for _, park := range []bool{false, true} {
		if park && runtime.GOOS != "linux" {
			continue
		}
		b.Run(brokertest.WaitName(park), func(b *testing.B) { benchStall(b, park, 0, 100, 64) })
	}
}

func benchStall(b *testing.B, park bool, stalled, size, inFlight int) {
	broker := &sse.Broker{Park: park}
	broker.Streams.WriteTimeout = time.Hour
	broker.Select = func(*http.Request) (sse.Selection, error) {
		return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil
	}
	const subscribers = 1000
	rounds := (b.N + inFlight - 1) / inFlight
	crowd := &brokertest.Crowd{Addr: brokertest.NewServer(b, broker, broker), Readers: subscribers - stalled,
		Stalled: stalled, Events: rounds * inFlight, Step: inFlight}
	process := crowd.Start(b)
	process.Request()
	took := make([]time.Duration, 0, crowd.Events)
	b.ResetTimer()
	for i := range crowd.Events {
		data := brokertest.Numbered(i, size)
		start := time.Now()
		if _, err := broker.Publish(b.Context(), sse.Event{Data: data}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		if (i+1)%inFlight == 0 {
			process.Await(i + 1)
		}
	}
	b.StopTimer()
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "µs-publish-p50")
	b.ReportMetric(at(0.99), "µs-publish-p99")
	b.ReportMetric(at(1), "µs-publish-max")
}
