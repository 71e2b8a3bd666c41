package brokertest

import (
	"context"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/heap"
	"github.com/sse-go/sse/internal/reflog"
)

// WatchedLog is a [reflog.Log] that counts the calls of Read and the calls that run
// at the same time. During some of the calls, it measures the heap.
type WatchedLog struct {
	*reflog.Log

	reads, running, mostReads atomic.Int64
	size, inUse               atomic.Uint64 // results of MostHeap

	// gate blocks reads while the heap is measured, because memory that is
	// allocated during a garbage collection counts as in use.
	gate sync.RWMutex
}

// NewWatchedLog returns a log that contains one event and, after it, n events with
// the data Numbered(0, size), Numbered(1, size), and so on. It also returns the
// position of the first event, so that a test can read the n events after it.
func NewWatchedLog(tb testing.TB, n, size int) (*WatchedLog, sse.Position) {
	tb.Helper()
	log := &WatchedLog{Log: reflog.New(nil)}
	appendEvent := func(data string) sse.Position {
		result, err := log.Append(tb.Context(), sse.AppendRequest{Entries: []sse.Entry{{
			Time: time.Now(), Topics: []string{""}, Event: sse.Event{Data: data},
		}}})
		if err != nil {
			tb.Fatal(err)
		}
		return result.Positions[0]
	}
	first := appendEvent("before")
	for i := range n {
		appendEvent(Numbered(i, size))
	}
	return log, first
}

// Read implements [sse.EventLog].
func (l *WatchedLog) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	raise(&l.mostReads, l.running.Add(1))
	defer l.running.Add(-1)
	switch n := l.reads.Add(1); {
	case n%512 == 256:
		l.gate.Lock()
		raise(&l.inUse, heap.InUse())
		l.gate.Unlock()
	case n%16 == 0:
		raise(&l.size, heapSize())
	}
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.Log.Read(ctx, r)
}

// Reads returns how often Read was called.
func (l *WatchedLog) Reads() int64 { return l.reads.Load() }

// MostReads returns the largest number of reads that ran at the same time.
func (l *WatchedLog) MostReads() int64 { return l.mostReads.Load() }

// MostHeap returns the largest heap that was measured during a read, in bytes. The
// result size includes garbage; inUse does not. Read measures size in every 16th
// call and inUse in every 512th.
func (l *WatchedLog) MostHeap() (size, inUse uint64) { return l.size.Load(), l.inUse.Load() }

// raise sets a to n if n is larger.
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

// heapSize returns the size of all objects on the heap in bytes, including garbage.
func heapSize() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
