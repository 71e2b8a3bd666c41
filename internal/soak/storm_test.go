package soak_test

import (
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/heap"
)

// All clients reconnect at the same time, and ask for events that are in the log but
// not in the broker's memory. The broker must limit how many pages of the log it
// reads at the same time, and how much memory it uses.
func TestStorm(t *testing.T) {
	clients, events := 1000, 300
	switch {
	case brokertest.Soak:
		clients, events = 10_000, 1000
	case testing.Short():
		clients = 200
	}
	brokertest.OnSockets(t, func(t *testing.T, park bool) { testStorm(t, park, clients, events) })
}

func testStorm(t *testing.T, park bool, clients, events int) {
	log, first := brokertest.NewWatchedLog(t, events, 100)
	broker := &sse.Broker{Log: log, Park: park}
	crowd := &brokertest.Crowd{Addr: brokertest.NewServer(t, broker, broker),
		LastID: first.String(), Readers: clients, Events: events, Step: events}
	process := crowd.Start(t)
	before := heap.InUse()
	start := time.Now()
	process.Request()
	process.Await(events)
	elapsed := time.Since(start)
	after := heap.InUse()
	if reads := log.MostReads(); reads > 16 {
		t.Errorf("%d pages were read at the same time, want at most 16", reads)
	}
	// 8 MB for at most 16 pages, and 4 KB for each stream that begins. A held
	// stream also has up to 16 KB of encoded events while it writes, and on a busy
	// machine all streams write at the same time.
	perStream := uint64(4 << 10)
	if !park {
		perStream += 16 << 10
	}
	size, inUse := log.MostHeap()
	if limit := max(before, after) + 8<<20 + uint64(clients)*perStream; inUse > limit {
		t.Errorf("%d bytes were in use, want at most %d", inUse, limit)
	}
	waiting := 0
	for _, s := range broker.Subscribers() {
		if s.Wait == brokertest.WaitName(park) && s.Lag == 0 {
			waiting++
		}
	}
	if waiting != clients {
		t.Errorf("%d subscribers have all events and are %s, want %d",
			waiting, brokertest.WaitName(park), clients)
	}
	t.Logf("%d clients read %d events each in %v and %d pages; the heap had %d MB before, "+
		"at most %d MB with garbage and %d MB without, and %d MB when all clients waited",
		clients, events, elapsed.Round(time.Millisecond), log.Reads(),
		before>>20, size>>20, inUse>>20, after>>20)
}
