package sse

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxPages limits how many pages the subscribers of a broker may read and write
	// at the same time. A page is the result of one call of EventLog.Read. A
	// subscriber acquires a permit before it reads a page, and releases the permit
	// when it has written the page. There are two exceptions, so more pages may be in
	// memory: a loop over Broker.Subscribe releases the permit when the page is read,
	// and a held stream that writes slowly releases it after pagePermitGrace.
	maxPages = 16

	// pageSize is about how many bytes of events a page has at most. An event that is
	// larger is a page of its own.
	pageSize = 32 << 10

	// pagePermitGrace limits how long the write of a page to a held stream (a stream
	// that its handler's goroutine writes) retains the permit of the page. After
	// this time the permit is released although the write continues, because a peer
	// that accepts no bytes must not block the pages of other subscribers.
	pagePermitGrace = 100 * time.Millisecond
)

// pageReader reads pages of Broker.Log for subscribers whose cursor is before the window
// (the part of the log that the broker has in memory).
type pageReader struct {
	log      EventLog
	logger   *slog.Logger
	mu       *sync.Mutex   // state.mu, which guards window, comments and subscribers
	window   *window       // of the broker
	comments *comments     // of the broker
	permits  chan struct{} // semaphore of maxPages permits; an element is an acquired permit
}

// acquire returns a permit for one page. It blocks until a permit is available. If ctx
// is done first, it returns the cause of ctx.
func (r *pageReader) acquire(ctx context.Context) (*pagePermit, error) {
	select {
	case r.permits <- struct{}{}:
		return &pagePermit{permits: r.permits}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// next sets b to the next batch of s. If pulled is true, b is already the result of
// subscriber.pull; otherwise next calls pull. If b asks for a page because the events
// are no longer in the window, next reads that page. If the page has nothing for s,
// next starts again with pull.
//
// ctx is the context of the stream, or of the caller of Broker.Subscribe. next blocks
// only while it waits for a permit or reads a page. During that time, *stop is the
// function that cancels the read. Otherwise *stop is nil. state.mu guards *stop.
func (r *pageReader) next(ctx context.Context, s *subscriber, b *batch, stop *context.CancelFunc,
	pulled bool) {
	for again := true; again; pulled = false {
		if pulled && !b.fetch {
			return
		}
		r.mu.Lock()
		if !pulled {
			now := time.Now()
			r.window.expire(now)
			s.pull(r.window, r.comments, b, heldBatch, now)
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

// read reads the page that b asks for, and sets b to the entries of the page, to a gap,
// or to the reason why s ends. If the page has neither entries nor a gap for s, read
// returns true, and the caller should pull again. If b has entries afterwards, the
// caller must release b.permit.
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
