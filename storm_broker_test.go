package sse_test

import (
	"context"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// watchedLog counts how many pages are read at once, and how large the heap is
// then.
type watchedLog struct {
	*reflog.Log
	reads, now, most atomic.Int64
	heap, live       atomic.Uint64 // the most that was seen, with garbage and without

	// gate keeps pages from being read while the heap is measured: what is
	// allocated during a collection counts as in use.
	gate sync.RWMutex
}

func (l *watchedLog) Read(ctx context.Context, after, through sse.Position, sel sse.Selection,
	limit int) (sse.Page, error) {
	raise(&l.most, l.now.Add(1))
	defer l.now.Add(-1)
	switch n := l.reads.Add(1); {
	case n%512 == 256:
		l.gate.Lock()
		raise(&l.live, heapInUse())
		l.gate.Unlock()
	case n%16 == 0:
		raise(&l.heap, heapSize())
	}
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.Log.Read(ctx, after, through, sel, limit)
}

// raise makes a the larger one of itself and n.
func raise[T int64 | uint64, A interface {
	Load() T
	CompareAndSwap(from, to T) bool
}](a A, n T) {
	for old := a.Load(); old < n; old = a.Load() {
		if a.CompareAndSwap(old, n) {
			return
		}
	}
}

// heapSize is the bytes of all objects, those included that nobody uses any more.
func heapSize() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Issue 4, acceptance 5: all come back at once, and ask for what is only in the
// log.
func TestStorm(t *testing.T) {
	clients, events := 1000, 300
	switch {
	case soak:
		clients, events = 10_000, 1000
	case testing.Short():
		clients = 200
	}
	onSockets(t, func(t *testing.T, park bool) { testStorm(t, park, clients, events) })
}

// newWatchedLog has one event, whose position it returns, and events behind it.
func newWatchedLog(t *testing.T, events, size int) (*watchedLog, sse.Position) {
	t.Helper()
	log := &watchedLog{Log: reflog.New(nil)}
	entry := func(data string) sse.Position {
		positions, err := log.Append(t.Context(), sse.Entry{
			Time: time.Now(), Topics: []string{""}, Event: sse.Event{Data: data},
		})
		if err != nil {
			t.Fatal(err)
		}
		return positions[0]
	}
	first := entry("before")
	for i := range events {
		entry(long(i, size))
	}
	return log, first
}

func testStorm(t *testing.T, park bool, clients, events int) {
	log, first := newWatchedLog(t, events, 100)
	broker := &sse.Broker{Log: log, Park: park}
	crowd := &crowd{Addr: newSocketServer(t, broker, broker), LastID: first.String(),
		Readers: clients, Events: events, Step: events}
	process := crowd.start(t)
	before := heapInUse()
	began := time.Now()
	process.ask()
	process.awaitAll(events)
	took := time.Since(began)
	after := heapInUse()
	if most := log.most.Load(); most > 16 {
		t.Errorf("%d pages were read at once, want 16 at most", most)
	}
	// Of pages there are 16 at most; the rest is what a stream needs to begin.
	if most := max(before, after) + 8<<20 + uint64(clients)*4<<10; log.live.Load() > most {
		t.Errorf("%d bytes were in use, want at most %d", log.live.Load(), most)
	}
	waiting := 0
	for _, s := range broker.Subscribers() {
		if s.Wait == waitName(park) && s.Lag == 0 {
			waiting++
		}
	}
	if waiting != clients {
		t.Errorf("%d subscribers have everything and are %s, want %d", waiting, waitName(park), clients)
	}
	t.Logf("%d clients, %d events behind each: %v, %d pages; heap %d MB before, at most %d MB, "+
		"at most %d MB in use, %d MB when all waited", clients, events, took.Round(time.Millisecond),
		log.reads.Load(), before>>20, log.heap.Load()>>20, log.live.Load()>>20, after>>20)
}

// A held stream keeps its place among those that have a page, lest all of them
// have one; but not for as long as its peer may take to read it.
func TestPagesOfHeldStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &brokerFixture{t: t}
		f.opts.BufferSize = 4 << 10
		log, first := newWatchedLog(t, 10, 32<<10)
		f.broker.Log = log
		f.serve()
		const clients = 40
		f.readers(clients, "?lastEventId="+first.String())
		for i, want := range []int64{16, 32, clients, clients} {
			synctest.Wait()
			if got := log.reads.Load(); got != want {
				t.Errorf("after %d × 100ms %d pages were read, want %d", i, got, want)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}
