package sse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse/internal/epoch"
)

// state is the internal state of a Broker. mu guards its parts, such as window and
// timers, because they have no locks of their own. The comments of the parts name the
// exceptions.
//
// Lock order: startMu, then largeMu, then mu. A transport (the way in which a subscriber waits and
// writes) holds no lock of its own while it acquires mu. A goroutine that holds mu must
// not block: it does not write, and does not call a hook, a filter or the log.
type state struct {
	started   atomic.Bool
	startMu   chanMutex // held while start runs; made by startOnce
	startOnce sync.Once // makes startMu
	checked   bool      // checkConfig has set configErr; guarded by startMu, like configErr
	configErr error     // result of Broker.Validate; if not nil, every call of start returns it
	logConfig sync.Once // logs configErr once

	// Set by start, and constant afterwards.
	broker   *Broker
	stream   AcceptOptions // from Broker.Streams, with defaults
	log      EventLog
	logger   *slog.Logger
	hooks    hooks
	renderer renderer
	pages    pageReader

	lastOptions atomic.Pointer[deliveryOptions] // of the newest subscriber without a filter

	// largeMu is held by a publisher of many topics or many events, so that only one of them
	// at a time waits for mu again and again. It guards nothing.
	largeMu sync.Mutex

	mu            sync.Mutex // guards the following fields and the objects they point to
	window        window
	limits        streamLimits
	timers        timers
	subscribers   []*subscriber
	comments      comments
	starting      int           // streams that are about to begin: see beginStream
	disconnecting int           // streams that have left subscribers, but whose OnDisconnect runs
	lastID        uint64        // subscriber.id of the newest subscriber
	dirtyChains   []*chain      // chains whose subscribers wakeDirty must wake
	waking        bool          // wakeDirty runs
	draining      bool          // Shutdown has begun: no more subscribers are accepted
	closed        bool          // no more subscribers and no more events are accepted
	allLeft       chan struct{} // made by Shutdown, closed when no stream is left
	retrySpread   time.Duration // time over which clients reconnect after Shutdown
	appends       logAppends    // used only with a log

	follower follower // used only with a log
	loops    loops
}

// start prepares the broker for use, unless that was done before. It blocks until the
// log has returned its last position, or until ctx is done.
func (st *state) start(ctx context.Context, b *Broker) error {
	st.startOnce.Do(func() { st.startMu = newChanMutex() })
	select {
	case st.startMu <- struct{}{}:
		defer st.startMu.Unlock()
	case <-ctx.Done():
		return fmt.Errorf("sse: %w", context.Cause(ctx))
	}
	if st.started.Load() {
		return nil
	}
	if err := st.checkConfig(b); err != nil {
		return err
	}
	stream := b.Streams.acceptOptions(b.Logger)
	heartbeat, err := stream.heartbeatBytes()
	if err != nil {
		return err // impossible: checkConfig has checked the form of the heartbeat
	}
	end := Position{Epoch: epoch.New()}
	if b.Log != nil {
		page, err := b.Log.Locate(ctx, Start{}, Selection{})
		if err != nil {
			return fmt.Errorf("sse: Broker.Log: %w", err)
		}
		end = page.Next
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed || st.draining {
		return ErrShutdown
	}
	st.broker, st.stream, st.log, st.logger = b, stream, b.Log, stream.Logger
	st.hooks = hooks{broker: b, mu: &st.mu}
	st.renderer = renderer{
		heartbeat: heartbeat, needsBeat: b.Streams.HeartbeatEvent != "",
		blankAfterComment: b.Streams.HeartbeatBlock, final: stream.Final,
	}
	st.limits = streamLimits{
		maxTotal: b.MaxSubscribers, maxPerRemote: b.MaxPerRemote, maxPerKey: b.MaxPerKey,
	}
	st.window = newWindow(b.Retention, b.TopicRetention)
	st.window.mu = &st.mu
	st.window.begin(end)
	st.timers.init(st, time.Now(), stream.Heartbeat, stream.WriteTimeout)
	st.stream.Heartbeat = -1 // the streams send no heartbeats, because the timers do
	if st.log != nil {
		st.window.lossless, st.window.rules = true, nil
		st.pages.permits = make(chan struct{}, maxPages)
		st.appends.waiters = make(map[Position]chan struct{})
		st.follower.start(st, end)
	}
	st.pages.log, st.pages.logger, st.pages.mu = st.log, st.logger, &st.mu
	st.pages.window, st.pages.comments = &st.window, &st.comments
	st.started.Store(true)
	return nil
}

// checkConfig calls Broker.Validate once, and returns its error at every call. The
// caller holds startMu.
func (st *state) checkConfig(b *Broker) error {
	if !st.checked {
		st.checked, st.configErr = true, b.Validate()
	}
	return st.configErr
}

// enter adds a subscriber to the broker. It fails if the broker shuts down. It also
// fails if the log has begun a new epoch (see Position) since the subscriber's cursor
// was set.
func (st *state) enter(s *subscriber, topics []string, patterns []Pattern) error {
	now := time.Now()
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.closed || st.draining:
		return ErrShutdown
	case s.cursor.Epoch != st.window.epoch:
		return errNewEpoch
	}
	st.lastID++
	s.id = st.lastID
	s.connectedAt, s.lastActivity = now.UnixNano(), now.UnixNano()
	s.listIndex = int32(len(st.subscribers))
	s.lastComment = st.comments.last
	st.subscribers = append(st.subscribers, s)
	s.join(&st.window, topics, patterns)
	st.timers.enter(s, now)
	return nil
}

// leave removes a subscriber from the broker.
func (st *state) leave(s *subscriber) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s.leave(&st.window)
	st.timers.leave(s)
	last := len(st.subscribers) - 1
	st.subscribers[s.listIndex] = st.subscribers[last]
	st.subscribers[s.listIndex].listIndex = s.listIndex
	st.subscribers[last] = nil
	if st.subscribers = st.subscribers[:last]; cap(st.subscribers) > 4*last && last > 64 {
		st.subscribers = append(make([]*subscriber, 0, 2*last), st.subscribers...)
	}
	if st.broker.OnDisconnect != nil {
		st.disconnecting++ // until the hook has returned
	}
	st.checkAllLeft()
}

// disconnect removes a subscriber from the broker, and calls OnDisconnect. A nil cause
// means that a hook or a filter has panicked.
func (st *state) disconnect(s *subscriber, cause error) {
	hook := st.broker.OnDisconnect
	if hook == nil {
		st.leave(s)
		return
	}
	description := st.hooks.describe(s)
	st.leave(s)
	defer func() { // runs even if the hook panics
		st.mu.Lock()
		defer st.mu.Unlock()
		st.disconnecting--
		st.checkAllLeft()
	}()
	hook(description, disconnectReason(cause))
}

// endLocked makes a subscriber end, with cause as the reason. It does nothing if the
// subscriber is ending already. It does not wait until the subscriber has ended. The
// caller holds mu.
func (st *state) endLocked(s *subscriber, cause error) {
	if s.endCause != nil {
		return
	}
	s.endCause = cause
	if s.idle {
		s.idle = false
		s.transport.wake()
	}
	s.transport.interrupt(cause) // even if s was idle: s may still be writing its last batch
}

// described iterates over the current subscribers and their descriptions. It leaves out
// a subscriber that leaves before its description is made. It does not hold mu while
// the body of the loop runs.
func (st *state) described() iter.Seq2[*subscriber, Subscriber] {
	return func(yield func(*subscriber, Subscriber) bool) {
		st.mu.Lock()
		all := slices.Clone(st.subscribers)
		st.mu.Unlock()
		descriptions := make([]Subscriber, wakeBatch)
		for some := range slices.Chunk(all, wakeBatch) {
			st.mu.Lock()
			some = slices.DeleteFunc(some, func(s *subscriber) bool {
				return s.links() == nil // it has left
			})
			for i, s := range some {
				descriptions[i] = s.describe(&st.window, time.Now())
			}
			st.mu.Unlock()
			for i, s := range some {
				if !yield(s, descriptions[i]) {
					return
				}
			}
		}
	}
}

// kick ends a subscriber with ErrKicked. It returns false, and does nothing, if the
// subscriber has left or is ending already.
func (st *state) kick(s *subscriber) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if s.links() == nil || s.endCause != nil {
		return false
	}
	st.endLocked(s, ErrKicked)
	return true
}

// streams returns the number of streams, including streams that are about to begin
// and streams whose OnDisconnect runs. The caller holds mu.
func (st *state) streams() int { return len(st.subscribers) + st.starting + st.disconnecting }

// checkAllLeft unblocks Shutdown if no stream is left. The caller holds mu.
func (st *state) checkAllLeft() {
	if st.allLeft != nil && st.streams() == 0 {
		close(st.allLeft)
		st.allLeft = nil
	}
}

// beginStream registers a stream that is about to begin: Shutdown waits until
// streamBegun is called for it.
func (st *state) beginStream(p *pendingStream) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.starting++
	p.registered = true
}

// streamBegun undoes beginStream, because the stream has begun or has failed to begin.
// If the stream is not registered, it does nothing.
func (st *state) streamBegun(p *pendingStream) {
	if !p.registered {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p.registered = false
	st.starting--
	st.checkAllLeft()
}

// retryFor returns the time after which the client of a stream should reconnect. cause
// is the reason why the stream ends. If cause is not ErrShutdown, the time is zero: the
// client decides.
func (st *state) retryFor(cause error) time.Duration {
	if !errors.Is(cause, ErrShutdown) {
		return 0
	}
	st.mu.Lock()
	spread := st.retrySpread
	st.mu.Unlock()
	return reconnectDelay(spread)
}

// reconnectDelay returns a random delay for a client, for example 2.5 to 12.5 seconds if
// spread is 10 seconds. The shortest delay leaves the new process time to start. Often
// that process starts only after all streams of this one have ended. More streams take
// longer to end. Therefore the shortest delay grows with spread (see spreadFor).
func reconnectDelay(spread time.Duration) time.Duration {
	const soonest = 500 * time.Millisecond
	return soonest + spread/5 + rand.N(max(spread, soonest))
}
