package sse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// returnRate is how many clients a successor is asked to take in a second, when
// all streams end at once.
const returnRate = 2000

// shutdown is Broker.Shutdown.
func (c *core) shutdown(ctx context.Context, over time.Duration) error {
	c.mu.Lock()
	c.draining = true
	rest := append([]*subscriber(nil), c.all...)
	over = max(over, 0)
	if c.spread.Store(int64(time.Second)); over == 0 {
		c.spread.Store(int64(spreadOf(len(rest))))
	}
	if c.gone == nil && c.present() > 0 {
		c.gone = make(chan struct{})
	}
	gone := c.gone
	c.mu.Unlock()

	if gone != nil {
		c.endEvenly(ctx, rest, over, gone)
	}

	c.mu.Lock()
	c.closed = true
	for _, s := range c.all {
		c.endLocked(s, ErrShutdown) // those who came in at the last moment
	}
	c.releaseAll() // before hooks are waited for, of which one may publish
	c.mu.Unlock()
	err := c.awaitGone(ctx, gone)
	if busy := c.stopLoops(ctx); err == nil {
		err = busy
	}
	if c.stop != nil {
		c.stop()
	}
	if unused := c.logUnused(ctx); err == nil {
		err = unused
	}
	return err
}

// spreadOf is the time over which so many streams that end at once come back.
func spreadOf(streams int) time.Duration {
	return time.Duration(max(1, streams/returnRate)) * time.Second
}

// logUnused waits until nothing uses the log any more.
func (c *core) logUnused(ctx context.Context) error {
	if c.log == nil {
		return nil
	}
	unused := make(chan struct{})
	go func() { // ends when the log's calls do, which is the log's business
		c.feed.Wait()
		c.publishing.Wait()
		close(unused)
	}()
	select {
	case <-unused:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sse: Broker.Log is still busy at shutdown: %w", context.Cause(ctx))
	}
}

// endEvenly ends the streams one by one, at random, spread over a time. It
// returns at once if ctx is done, or when all are gone.
func (c *core) endEvenly(ctx context.Context, rest []*subscriber, over time.Duration,
	gone <-chan struct{}) {
	due := func(i int) time.Duration {
		return time.Duration(float64(over) * float64(i+1) / float64(len(rest)))
	}
	if over > 0 {
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, n := 0, len(rest); i < n; {
		timer.Reset(time.Until(began.Add(due(i))))
		select {
		case <-timer.C:
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
		// All that are due by now: a timer that is late must not delay the others.
		passed := time.Since(began)
		c.mu.Lock()
		for ; i < n && due(i) <= passed; i++ {
			if rest[i].links() != nil { // it has not left on its own
				c.endLocked(rest[i], ErrShutdown)
			}
		}
		c.mu.Unlock()
	}
}

// awaitGone waits until nobody is left, or cuts the rest off.
func (c *core) awaitGone(ctx context.Context, gone <-chan struct{}) error {
	if gone == nil {
		return nil
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	left, hooks := len(c.all), c.leaving
	for _, s := range c.all {
		s.wait.cut()
	}
	c.mu.Unlock()
	switch {
	case left == 0 && hooks == 0:
		return nil
	case left == 0:
		return fmt.Errorf("sse: OnDisconnect is still running at shutdown: %w", context.Cause(ctx))
	}
	return fmt.Errorf("sse: %d streams were cut off at shutdown: %w", left, context.Cause(ctx))
}

// releaseAll lets go on all publishers that wait for what will not be seen here. Called
// with mu held.
func (c *core) releaseAll() {
	for seq, visible := range c.waiting {
		close(visible)
		delete(c.waiting, seq)
	}
}
