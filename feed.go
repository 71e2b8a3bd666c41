package sse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// followAgain is how long to wait before a log that has failed is asked again.
const followAgain = time.Second

// errNewEpoch ends the streams when the log begins a new life: their clients come
// back, and are told a gap.
var errNewEpoch = fmt.Errorf("%w: the log has begun a new epoch", ErrClosed)

// follow puts what the log keeps into the window, until ctx is done.
func (c *core) follow(ctx context.Context, at Position) {
	for ctx.Err() == nil {
		for x, err := range c.log.Follow(ctx, at) {
			if err == nil {
				c.insert(&x)
				at = x.Position
			} else if ctx.Err() == nil {
				c.logger.Error("sse: following the log", "error", err)
			}
		}
		timer := time.NewTimer(followAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// insert makes an entry of the log visible.
func (c *core) insert(x *Entry) {
	e := kept(x)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case x.Position.Epoch != c.win.epoch:
		c.beginAnew(x.Position)
	case x.Position.Seq <= c.win.last.Seq:
		return // a log that repeats itself
	case x.Position.Seq > c.win.last.Seq+1:
		// Numbers were left out, or the log has removed what was there before it
		// could be followed. It knows which, so it is asked for what is before x.
		c.win.base = Position{Epoch: c.win.epoch, Seq: x.Position.Seq - 1}
	}
	c.win.append(e, x.Topics)
	c.announce(e)
	c.release(Position{Epoch: c.win.epoch, Seq: e.seq})
}

// beginAnew replaces the window by an empty one right before a position of another
// epoch.
func (c *core) beginAnew(p Position) {
	for _, s := range c.all {
		c.endLocked(s, errNewEpoch)
	}
	c.dirty = nil
	c.win = newWindow(c.opts.Retention, nil)
	c.win.lossless = true
	c.win.begin(Position{Epoch: p.Epoch, Seq: p.Seq - 1})
	c.released = p.Seq // so that release looks at all who wait
}

// publishLog is Publish with a log.
func (c *core) publishLog(ctx context.Context, event Event, topics []string) (Position, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return Position{}, ErrShutdown
	}
	c.publishing.Add(1)
	c.mu.Unlock()
	defer c.publishing.Done()
	at, err := c.log.Append(ctx, Entry{
		Time: time.Now(), Topics: slices.Clone(topics), Event: normal(event),
	})
	switch {
	case len(at) == 1:
		c.await(ctx, at[0])
		return at[0], nil
	case err == nil:
		err = errors.New("it kept the event, and returned no position")
	}
	return Position{}, fmt.Errorf("sse: Broker.Log: %w", err)
}

// await waits until a position is in the window, or for as long as ctx allows: the
// event is kept in any case.
func (c *core) await(ctx context.Context, p Position) {
	c.mu.Lock()
	if c.closed || c.win.epoch == p.Epoch && c.win.last.Seq >= p.Seq {
		c.mu.Unlock()
		return
	}
	p.Check = 0
	visible := c.waiting[p]
	if visible == nil {
		visible = make(chan struct{})
		c.waiting[p] = visible
	}
	c.mu.Unlock()
	select {
	case <-visible:
	case <-ctx.Done():
	}
}

// release lets go on who waits for a position. The log may leave out others
// before it, as they have been removed already, and all of another epoch.
func (c *core) release(p Position) {
	if visible := c.waiting[p]; visible != nil {
		close(visible)
		delete(c.waiting, p)
	}
	if p.Seq%1024 != 0 && p.Seq == c.released+1 {
		c.released = p.Seq
		return
	}
	c.released = p.Seq
	for waiting, visible := range c.waiting {
		if waiting.Epoch != p.Epoch || waiting.Seq < p.Seq {
			close(visible)
			delete(c.waiting, waiting)
		}
	}
}

// known are the topics with these names. Those that the window does not know are
// made up, and not kept.
func (w *window) known(names []string) []*topic {
	topics := make([]*topic, len(names))
	for i, name := range names {
		if topics[i] = w.topics[name]; topics[i] == nil {
			topics[i] = &topic{name: name}
		}
	}
	return topics
}
