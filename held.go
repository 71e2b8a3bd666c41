package sse

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// held is the transport (see subscriber.go) of a stream that waits in the goroutine
// of its handler.
//
// wake itself pulls the next batch, that is, the next entries to write, because the
// caller of wake holds the broker's lock anyway. The goroutine then writes the
// batch without the lock. Otherwise a thousand goroutines that are woken at once
// would wait for the lock in turn.
//
//	waiting ── wake: pull, woken ──► working ── wake ──► behind
//	   ▲                                │                  │
//	   └──────── written, no more ──────┘◄─── pull ────────┘
//
// Invariants: while the phase is waiting, s is idle. Only wake changes waiting to
// working, and working to behind. The goroutine makes all other changes.
type held struct {
	st     *state
	s      *subscriber
	stream *Stream
	why    string
	phase  atomic.Int32

	// batch belongs to the goroutine, except from the moment at which the goroutine
	// changes the phase to waiting until wake has sent to woken: then it belongs to
	// wake.
	batch       batch
	single      [1]*entry          // memory for batch.entries
	woken       chan struct{}      // bound: 1; wake sends one element if the phase was waiting
	stopReading context.CancelFunc // cancels the read of a page of the log, or nil
}

// The phases of a held stream.
const (
	heldWorking int32 = iota // the goroutine pulls, or writes batch
	heldBehind               // as heldWorking, but the goroutine must then pull again
	heldWaiting              // the goroutine waits for woken
)

func (h *held) wake() {
	for !h.phase.CompareAndSwap(heldWorking, heldBehind) {
		if h.phase.CompareAndSwap(heldWaiting, heldWorking) {
			h.s.pull(&h.st.window, &h.st.comments, &h.batch, heldBatch, time.Now())
			h.woken <- struct{}{}
			return
		}
	}
}

// interrupt makes a write that is in progress fail: after shutdownGrace, or at once if
// cause is ErrLagging. Stream.Close waits for the goroutine that interrupt starts.
func (h *held) interrupt(cause error) {
	if h.stopReading != nil {
		h.stopReading()
	}
	grace := shutdownGrace
	if cause == ErrLagging {
		grace = 0
	}
	h.stream.goroutines.Go(func() { h.stream.endWithin(grace, cause) })
}

func (h *held) abort() {
	cause := h.s.endCause
	h.stream.cancel(cause)
	h.stream.goroutines.Go(func() { h.stream.endWithin(0, cause) })
}

func (h *held) stalledSince() int64 { return h.stream.writing.Load() }

func (h *held) kind() (wait, why string) { return "held", h.why }

// run delivers events to the stream until it ends, and returns the reason.
func (h *held) run() error {
	ctx := h.stream.Context()
	b := &h.batch
	b.entries = h.single[:0]
	defer func() { b.permit.release() }()
	defer context.AfterFunc(ctx, h.endWithRequest)()
	for pulled := false; ; {
		h.st.pages.next(ctx, h.s, b, &h.stopReading, pulled)
		h.st.hooks.callBatchHooks(h.s, b)
		if b.endCause != nil {
			if ctx.Err() != nil {
				return h.stream.endCause() // the request's context is done; endCause knows why
			}
			h.sendRetry(b.endCause)
			return b.endCause
		}
		if err := h.writeWithPermit(b); err != nil {
			h.sendRetry(err) // sends nothing if a failed write has ended the stream
			return err
		}
		clear(b.entries)
		if pulled = b.idle; !pulled {
			continue
		}
		b.entries = h.single[:0]
		if !h.phase.CompareAndSwap(heldWorking, heldWaiting) {
			h.phase.Store(heldWorking) // until s is idle again, wake is not called
			pulled = false
			continue
		}
		<-h.woken
	}
}

// endWithRequest ends the subscriber when the context of the request is done. So
// the goroutine of the stream need wait for only one channel, woken.
func (h *held) endWithRequest() {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	if h.s.links() != nil { // the stream has not ended by itself
		h.st.endLocked(h.s, ErrPeerGone)
	}
}

// writeWithPermit writes a batch. If the batch holds the permit of a page of the
// log, writeWithPermit releases it after the write, or after pagePermitGrace if the
// write takes longer.
func (h *held) writeWithPermit(b *batch) error {
	if b.permit != nil {
		defer b.permit.release()
		defer time.AfterFunc(pagePermitGrace, b.permit.release).Stop()
	}
	return h.write(b)
}

// writeBuffers has buffers for batches that are not written directly from one
// entry, for example several events.
var writeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// write writes a batch to the stream.
func (h *held) write(b *batch) error {
	switch opts := h.s.opts; {
	case b.empty():
		return nil
	case len(b.entries) == 1 && !opts.withTopic && opts.filter == nil:
		return h.stream.sendRaw(b.entries[0].wire())
	}
	buf := writeBuffers.Get().(*[]byte)
	out := h.st.renderer.append((*buf)[:0], h.s, b)
	b.passedFilter = len(b.entries) > 0 && len(out) > 0 && h.s.opts.filter != nil
	clear(b.entries) // so that a long write does not retain them
	err := h.stream.sendRaw(out)
	if cap(out) <= 2*heldBatch {
		*buf = out
	}
	writeBuffers.Put(buf)
	return err
}

// sendRetry sends the time after which the client should reconnect, if cause is a
// shutdown of the broker. It ignores errors, because a client that does not receive
// this time uses its own.
func (h *held) sendRetry(cause error) {
	if retry := h.st.retryFor(cause); retry > 0 {
		_ = h.stream.sendLast(append(wire.AppendRetry(nil, retry), '\n'))
	}
}
