package sse

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxPages is how many pages of the log are in memory at the same time, for
	// all subscribers together.
	maxPages = 16

	// pageSize is the number of bytes of a page, unless one event has more.
	pageSize = 32 << 10

	// pagePermitGrace is how long a page that is being written to a held stream
	// counts as a page in memory. After that time another page may be read, so
	// that a peer which takes nothing does not block other subscribers.
	pagePermitGrace = 100 * time.Millisecond
)

// pageReader reads pages of the log for subscribers whose cursor is before the
// window.
type pageReader struct {
	log      EventLog
	logger   *slog.Logger
	mu       *sync.Mutex   // state.mu, which guards window, comments and subscribers
	window   *window       // of the broker
	comments *comments     // of the broker
	permits  chan struct{} // semaphore, bound: maxPages
}

// acquire blocks until a permit is available or ctx is done.
func (r *pageReader) acquire(ctx context.Context) (*pagePermit, error) {
	select {
	case r.permits <- struct{}{}:
		return &pagePermit{permits: r.permits}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// next sets b to the next batch of s: it is pull, unless b was pulled already,
// followed by read if the events are no longer in the window. It blocks only while
// it reads. ctx is the stream's context. During a read, *stop cancels it; state.mu
// guards stop.
func (r *pageReader) next(ctx context.Context, s *subscriber, b *batch, stop *context.CancelFunc,
	pulled bool) {
	for again := true; again; pulled = false {
		if pulled && !b.fetch {
			return
		}
		r.mu.Lock()
		if !pulled {
			s.pull(r.window, r.comments, b, heldBatch, time.Now())
		}
		if !b.fetch {
			r.mu.Unlock()
			return
		}
		reading, cancel := context.WithCancel(ctx)
		*stop = cancel
		r.mu.Unlock()
		again = r.read(reading, s, b)
		cancel()
		r.mu.Lock()
		*stop = nil
		r.mu.Unlock()
	}
}

// read reads the page that b asks for, and sets b to its content. It reports
// whether the page had nothing for s, so that the caller should pull again. If b
// has entries afterwards, the caller must release b.permit.
func (r *pageReader) read(ctx context.Context, s *subscriber, b *batch) (again bool) {
	r.mu.Lock()
	sel, end := s.selection(), s.endCause
	r.mu.Unlock()
	if end != nil {
		*b = batch{endCause: end}
		return false
	}
	permit, err := r.acquire(ctx)
	defer func() {
		if b.permit != permit {
			permit.release()
		}
	}()
	var page Page
	if err == nil {
		page, err = r.log.Read(ctx, ReadRequest{
			After: b.after, Through: b.through, Selection: sel, Limit: pageSize,
		})
	}
	var entries []*entry
	for i := range page.Entries {
		entries = append(entries, entryFromLog(&page.Entries[i]))
	}
	if err != nil && ctx.Err() == nil {
		r.logger.Error("sse: a stream ends because Broker.Log cannot be read", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.endCause != nil:
		*b = batch{endCause: s.endCause}
		return false
	case err != nil && ctx.Err() != nil:
		*b = batch{endCause: context.Cause(ctx)}
		return false
	case err != nil:
		*b = batch{endCause: fmt.Errorf("%w: Broker.Log: %w", ErrClosed, err)}
		return false
	}
	for i, e := range entries {
		e.topics = r.window.topicStates(page.Entries[i].Topics)
	}
	s.takePage(r.window, &page, entries, b, time.Now())
	if b.endCause != nil || b.gap != nil || len(b.entries) == 0 {
		return b.endCause == nil && b.gap == nil
	}
	b.permit = permit
	return false
}
