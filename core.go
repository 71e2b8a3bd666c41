package sse

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// core is the inside of a Broker.
//
// Locks: startMu before mu. A subscriber's transport has none that is held while
// mu is taken. Nothing blocks while mu is held: no write, no hook, no filter, no
// call of the log.
type core struct {
	ready    atomic.Bool
	startMu  lock          // held while start runs; made by lazy
	lazy     sync.Once     // makes startMu
	opts     *Broker       // set by start, like the following
	stream   AcceptOptions // with defaults
	log      EventLog
	logger   *slog.Logger
	beat     []byte        // a heartbeat that says nothing
	interval time.Duration // of heartbeats
	pages    chan struct{} // a place for each page that is being fetched, or written

	terms atomic.Pointer[terms] // those of the last subscriber

	mu       sync.Mutex // guards the following, and all of what they point to
	win      window
	all      []*subscriber
	coming   int // streams that are about to begin
	leaving  int // those that are no longer in all, and whose OnDisconnect runs
	lastID   uint64
	counts   counts
	wheel    wheel
	dirty    []*chain      // whose members are to be woken
	waking   bool          // by a goroutine of its own
	closed   bool          // no more subscribers or events
	draining bool          // no more subscribers
	gone     chan struct{} // closed when closed or draining, and nobody is left

	waiting  map[Position]chan struct{} // publishers, by the place they wait for, without Check
	released uint64                     // the last sequence that was released
	spread   atomic.Int64               // over which clients come back, in nanoseconds
	stop     context.CancelFunc         // ends the feed
	feed     sync.WaitGroup

	publishing sync.WaitGroup // calls of the log's Append; none begins when closed
	loops      loops
}

const (
	// pagesAtOnce is how many pages of the log are in memory at the same time, and
	// pageSize about how many bytes each has.
	pagesAtOnce = 16
	pageSize    = 32 << 10

	// wakeInline is how many subscribers a publisher wakes itself, rather than
	// let a goroutine do it.
	wakeInline = 8

	// wakeBatch is how many are woken without letting go of the lock.
	wakeBatch = 64
)

func (c *core) start(ctx context.Context, b *Broker) error {
	c.lazy.Do(func() { c.startMu = newLock() })
	select {
	case c.startMu <- struct{}{}:
		defer c.startMu.Unlock()
	case <-ctx.Done():
		return fmt.Errorf("sse: %w", context.Cause(ctx))
	}
	if c.ready.Load() {
		return nil
	}
	stream := b.Stream.withDefaults()
	beat, err := heartbeatBytes(stream.HeartbeatForm)
	if err != nil {
		return fmt.Errorf("sse: Broker.Stream.HeartbeatForm: %w", err)
	}
	at := Position{Epoch: newEpoch()}
	if b.Log != nil {
		if at, err = b.Log.Locate(ctx, Start{}, Selection{}); err != nil {
			return fmt.Errorf("sse: Broker.Log: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.draining {
		return ErrShutdown
	}
	c.opts = b
	c.stream, c.beat, c.logger = stream, beat, stream.Logger
	c.interval = stream.Heartbeat
	c.log = b.Log
	c.win = newWindow(b.Retention, b.TopicRetention)
	c.win.begin(at)
	c.wheel.init(time.Now(), c.stream.Heartbeat)
	c.stream.Heartbeat = -1 // the wheel sends them
	if c.log != nil {
		c.win.lossless, c.win.rules = true, nil
		c.pages = make(chan struct{}, pagesAtOnce)
		c.waiting = make(map[Position]chan struct{})
		ctx, stop := context.WithCancel(context.Background())
		c.stop = stop
		c.feed.Go(func() { c.follow(ctx, at) })
	}
	c.ready.Store(true)
	return nil
}

// announce wakes who has selected an event. Called with mu held.
func (c *core) announce(e *entry) {
	room := wakeInline
	for _, chain := range c.win.chainsOf(e) {
		switch n := len(chain.members); {
		case n == 0 || chain.dirty:
		case n <= room:
			room -= n
			for i := range chain.members {
				c.tell(chain.members[i].subscriber)
			}
		default:
			chain.dirty = true
			c.dirty = append(c.dirty, chain)
		}
	}
	if len(c.dirty) > 0 && !c.waking {
		c.waking = true
		go c.wakeAll()
	}
}

// tell wakes a subscriber that waits, and ends one that has fallen too far behind
// while its connection took nothing. Called with mu held.
func (c *core) tell(s *subscriber) {
	switch {
	case s.idle:
		s.idle = false
		s.wait.wake()
	case s.end == nil && s.terms.lag == LagDisconnect && s.behind(&c.win):
		c.endLocked(s, ErrLagging)
	}
}

// wakeAll wakes the members of all dirty chains, and lets others have the lock in
// between. It ends when there are none: a publisher starts it again.
func (c *core) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.dirty) > 0 {
		// In turn: one that is always dirty again must not keep the others waiting.
		chain := c.dirty[0]
		c.dirty[0] = nil
		c.dirty = c.dirty[1:]
		chain.dirty = false
		// From the end to the front: see chain.remove. Who joins meanwhile looks
		// for itself.
		for i, n := len(chain.members)-1, 0; i >= 0; i, n = min(i, len(chain.members))-1, n+1 {
			c.tell(chain.members[i].subscriber)
			if n%wakeBatch == wakeBatch-1 {
				c.mu.Unlock()
				c.mu.Lock()
			}
		}
	}
	c.dirty = nil
	c.waking = false
}

// endLocked makes a subscriber end, for a reason.
func (c *core) endLocked(s *subscriber, cause error) {
	if s.end != nil {
		return
	}
	s.end = cause
	if s.idle {
		s.idle = false
		s.wait.wake()
	}
	s.wait.interrupt(cause) // it may be idle, and yet be writing
}

// enter makes a subscriber one of this broker's. It fails if the broker is
// shutting down, or if the log has begun anew.
func (c *core) enter(s *subscriber, topics []string, patterns []Pattern) error {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed || c.draining:
		return ErrShutdown
	case s.cursor.Epoch != c.win.epoch:
		return errNewEpoch // since it was located
	}
	c.lastID++
	s.id = c.lastID
	s.since, s.active = now.UnixNano(), now.UnixNano()
	s.listed = int32(len(c.all))
	c.all = append(c.all, s)
	s.join(&c.win, topics, patterns)
	c.schedule(s, now)
	return nil
}

// leave undoes enter.
func (c *core) leave(s *subscriber) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.leave(&c.win)
	c.wheel.remove(s)
	last := len(c.all) - 1
	c.all[s.listed] = c.all[last]
	c.all[s.listed].listed = s.listed
	c.all[last] = nil
	if c.all = c.all[:last]; cap(c.all) > 4*last && last > 64 {
		c.all = append(make([]*subscriber, 0, 2*last), c.all...)
	}
	if c.opts.OnDisconnect != nil {
		c.leaving++ // until it has returned
	}
	c.checkGone()
}

// present is how many there are, or are about to come, or about to leave. Called with mu
// held.
func (c *core) present() int { return len(c.all) + c.coming + c.leaving }

// checkGone lets Shutdown go on if nobody is left. Called with mu held.
func (c *core) checkGone() {
	if c.gone != nil && c.present() == 0 {
		close(c.gone)
		c.gone = nil
	}
}
