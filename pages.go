package sse

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// next is pull, and the fetching of what is not in the window. It blocks only for
// that. The context is that of the stream. While a page is fetched, stop is what
// stops that; it is guarded by the lock.
func (c *core) next(ctx context.Context, s *subscriber, b *batch, stop *context.CancelFunc) {
	for again := true; again; {
		c.mu.Lock()
		s.pull(&c.win, b, heldBatch, time.Now())
		if !b.fetch {
			c.mu.Unlock()
			return
		}
		fetching, cancel := context.WithCancel(ctx)
		*stop = cancel
		c.mu.Unlock()
		again = c.fetch(fetching, s, b)
		cancel()
		c.mu.Lock()
		*stop = nil
		c.mu.Unlock()
	}
}

// patience is for how long a page that is being written to a held stream counts
// as one of those in memory: a peer that does not take it must not keep others from
// theirs.
const patience = 100 * time.Millisecond

// seat is one of the places for pages in memory. It is taken before a page is read
// and given up when that was written. A nil seat is none.
type seat struct {
	c    *core
	once sync.Once
}

func (c *core) sit(ctx context.Context) (*seat, error) {
	select {
	case c.pages <- struct{}{}:
		return &seat{c: c}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *seat) leave() {
	if s != nil {
		s.once.Do(func() { <-s.c.pages })
	}
}

// fetch gets a page from the log. It reports whether to pull instead, as nothing
// came of it. Who gets a page gives up its seat.
func (c *core) fetch(ctx context.Context, s *subscriber, b *batch) (again bool) {
	c.mu.Lock()
	sel, end := s.selection(), s.end
	c.mu.Unlock()
	if end != nil {
		*b = batch{end: end}
		return false
	}
	place, err := c.sit(ctx)
	defer func() {
		if b.seat != place {
			place.leave()
		}
	}()
	var page Page
	if err == nil {
		page, err = c.log.Read(ctx, b.after, b.through, sel, pageSize)
	}
	var entries []*entry
	for i := range page.Entries {
		entries = append(entries, kept(&page.Entries[i]))
	}
	if err != nil && ctx.Err() == nil {
		c.logger.Error("sse: the log cannot be read; a stream ends", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.end != nil:
		*b = batch{end: s.end}
		return false
	case err != nil && ctx.Err() != nil:
		*b = batch{end: context.Cause(ctx)}
		return false
	case err != nil:
		*b = batch{end: fmt.Errorf("%w: Broker.Log: %w", ErrClosed, err)}
		return false
	}
	for i, e := range entries {
		e.topics = c.win.known(page.Entries[i].Topics)
	}
	s.settle(&c.win, &page, entries, b, time.Now())
	if b.end != nil || b.gap != nil || len(b.entries) == 0 {
		return b.end == nil && b.gap == nil
	}
	b.seat = place
	return false
}

// page is a part of the log for one parked stream. Whoever has fetched it waits
// until it was written or thrown away, which bounds how many there are.
type page struct {
	batch
	before place
	done   chan struct{} // closed when nothing of it is needed any more
}

// fetchPage asks for a page of the log for a parked stream. Called with mu held.
func (p *parked) fetchPage(b *batch) {
	c := p.loop.c
	p.page = &page{batch: batch{after: b.after, through: b.through, fetch: true}, before: p.place()}
	l := &c.loops
	l.fetching = append(l.fetching, p)
	if l.fetchers < pagesAtOnce {
		l.fetchers++
		l.wait.Go(c.fetchPages)
	}
}

// fetchPages fetches pages while there are streams that wait for one, and has one
// at a time.
func (c *core) fetchPages() {
	l := &c.loops
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(l.fetching) > 0 {
		p := l.fetching[0]
		l.fetching[0] = nil
		l.fetching = l.fetching[1:]
		page := p.page
		if page == nil || p.end != nil {
			continue // it has ended
		}
		c.mu.Unlock()
		c.fetch(l.ctx, &p.subscriber, &page.batch)
		c.mu.Lock()
		if p.page == page {
			page.done = make(chan struct{})
			p.push()
			c.mu.Unlock()
			<-page.done
			c.mu.Lock()
		}
		page.seat.leave()
	}
	l.fetching = nil
	l.fetchers--
}

// dropPage lets go of the page.
func (p *parked) dropPage() {
	if p.page != nil && p.page.done != nil {
		close(p.page.done)
	}
	p.page = nil
}
