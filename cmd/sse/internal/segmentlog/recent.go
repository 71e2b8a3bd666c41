package segmentlog

import (
	"sort"
	"sync"

	"github.com/sse-go/sse"
)

// recent has the newest entries as they were appended, so that Follow need not read and
// decode them.
type recent struct {
	mu      sync.RWMutex // guards the following
	batches []batch      // of consecutive entries, in order
	bytes   int
}

// batch is the entries of one request.
type batch struct {
	entries []sse.Entry
	bytes   int
}

// maxRecent is the number of bytes of entries that remain in memory.
const maxRecent = 1 << 20

// add adds the entries of a group that was stored.
func (r *recent) add(group []*request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range group {
		if len(request.entries) > 0 {
			r.batches = append(r.batches, batch{request.entries, len(request.bodies)})
			r.bytes += len(request.bodies)
		}
	}
	n := 0
	for r.bytes > maxRecent {
		r.bytes -= r.batches[n].bytes
		r.batches[n] = batch{}
		n++
	}
	r.batches = r.batches[n:]
}

// after returns entries that follow a number, or nil if the next entry is not here.
func (r *recent) after(seq uint64) []sse.Entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	i := sort.Search(len(r.batches), func(i int) bool {
		entries := r.batches[i].entries
		return entries[len(entries)-1].Position.Seq > seq
	})
	if i == len(r.batches) {
		return nil
	}
	entries := r.batches[i].entries
	first := entries[0].Position.Seq
	if first > seq+1 {
		return nil
	}
	return entries[seq+1-first:]
}
