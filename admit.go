package sse

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// acquireStream counts a new stream from an IP address. If the broker shuts down
// or a limit is reached, it returns the error for the response instead.
func (st *state) acquireStream(remote string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed || st.draining {
		return unavailable(ErrShutdown)
	}
	return st.limits.acquire(remote)
}

// acquireKey counts a new stream with a key. If a limit is reached, it returns
// the error for the response instead.
func (st *state) acquireKey(key string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.limits.acquireKey(key)
}

// releaseStream undoes acquireStream and acquireKey.
func (st *state) releaseStream(remote, key string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.limits.release(remote, key)
}

// admit returns a subscriber to a selection, with its cursor at start. If asked
// is not empty, it becomes Gap.Asked of a gap at the start, instead of the text
// of start.
func (st *state) admit(ctx context.Context, sel *Selection, start Start, asked, remote string) (
	*subscriber, error) {
	if err := sel.check(); err != nil {
		return nil, refuseWith(http.StatusBadRequest, err)
	}
	if err := st.checkTopicCount(len(sel.Topics) + len(sel.Patterns)); err != nil {
		return nil, err
	}
	s := &subscriber{opts: st.deliveryOptions(sel)}
	s.setInfo(subscriberInfo{key: sel.Key, remote: remote, expires: st.expiry(sel.Expires)})
	gap, err := st.locate(ctx, s, sel, start)
	if err != nil {
		return nil, unreachable(err)
	}
	if gap != nil {
		s.gap = &Gap{Asked: gap.Asked, Why: gap.Why}
		if asked != "" {
			s.gap.Asked = asked
		}
	}
	return s, st.checkStart(ctx, s, sel)
}

// checkTopicCount returns the error for the response if, with n new topics and
// patterns, the broker would have more than maxAllTopics. It first removes the events
// that have become too old, so that topics with only such events do not count.
func (st *state) checkTopicCount(n int) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.window.expire(time.Now())
	if len(st.window.topics)+st.window.patternCount+n > maxAllTopics {
		return limitReached("topics and patterns", maxAllTopics)
	}
	return nil
}

// deliveryOptions returns the delivery options of a selection. If they equal the
// options of the last subscriber, the two subscribers share them.
func (st *state) deliveryOptions(sel *Selection) *deliveryOptions {
	opts := newDeliveryOptions(sel, st.broker.Cursor)
	if opts.filter == nil {
		if last := st.lastOptions.Load(); last != nil && last.equal(&opts) {
			return last
		}
		st.lastOptions.Store(&opts)
	}
	return &opts
}

// expiry returns the latest time at which a stream ends, in nanoseconds since
// 1970, or 0 if there is none. If MaxAge ends the stream, the time is random,
// and MaxAge is shortened by up to a tenth.
func (st *state) expiry(expires time.Time) int64 {
	var at int64
	if !expires.IsZero() {
		at = max(1, clampTime(expires).UnixNano())
	}
	if age := st.broker.MaxAge; age > 0 {
		latest := time.Now().Add(age - rand.N(age/10+1)).UnixNano()
		if at == 0 || latest < at {
			at = latest
		}
	}
	return at
}

// locate sets the cursor of a subscriber to the position that start selects. If
// there is no such position, it returns a gap.
func (st *state) locate(ctx context.Context, s *subscriber, sel *Selection, start Start) (
	gap *Gap, err error) {
	// A subscriber that starts at the earliest event, or with the last few, does
	// not ask for a certain event: losses before its first event are no gap.
	open := start.Earliest || start.Last > 0
	st.mu.Lock()
	// The window has no events that are too old, because checkTopicCount has removed them.
	// A log may have such events.
	now := time.Now()
	epoch, first := st.window.epoch, (*entry)(nil)
	if st.log != nil && start.Last > 0 {
		first = st.window.newest(start.Last, sel, now)
	}
	if st.log == nil || start == (Start{}) || st.window.covers(start.After) ||
		st.window.coversTime(start.Time) || first != nil {
		if first != nil {
			s.cursor = st.window.positionBefore(first)
		} else {
			s.cursor, gap = st.window.locate(start, sel, now)
		}
		s.cursor.Epoch = epoch // if the epoch has changed meanwhile, enter fails
		if open {
			lost := st.window.lostOf(sel)
			s.noteKnownLoss(Position{st.window.epoch, lost.seq, lost.check})
		}
		st.mu.Unlock()
		return gap, nil
	}
	st.mu.Unlock()
	s.acceptsPastLoss = open
	page, err := st.log.Locate(ctx, start, *sel)
	s.cursor = page.Next
	return page.Gap, err
}

// checkStart applies the loss policy before the stream begins.
func (st *state) checkStart(ctx context.Context, s *subscriber, sel *Selection) error {
	switch s.opts.lossPolicy {
	case LossNew:
		if s.gap != nil {
			st.mu.Lock()
			s.cursor = st.window.last
			st.mu.Unlock()
		}
	case LossRefuse:
		gap, err := st.lossAtStart(ctx, s, sel)
		if err != nil {
			return unreachable(err)
		}
		if gap != nil {
			return refuseWith(http.StatusGone, gap)
		}
	}
	return nil
}

// lossAtStart returns the gap that a subscriber would receive if it began now, or
// nil.
func (st *state) lossAtStart(ctx context.Context, s *subscriber, sel *Selection) (*Gap, error) {
	if s.gap != nil || s.acceptsPastLoss {
		return s.gap, nil
	}
	st.mu.Lock()
	lost := st.window.lostOf(sel).seq
	beforeWindow := s.cursor.Seq < st.window.base.Seq
	st.mu.Unlock()
	if beforeWindow {
		page, err := st.log.Read(ctx, ReadRequest{After: s.cursor, Selection: *sel, Limit: 1})
		if err != nil {
			return nil, err
		}
		lost = page.Lost.Seq
	}
	if lost > max(s.cursor.Seq, s.knownLossSeq) {
		return &Gap{Asked: s.cursor.String(), Why: GapTrimmed}, nil
	}
	return nil, nil
}

// pendingStream is a request that is about to become a subscriber. A
// pendingStream must be small, because it is on the goroutine's stack while
// net/http makes its deepest calls. If these calls make the stack grow, the stack
// stays twice as large until the stream ends.
type pendingStream struct {
	remote, key string // counted by streamLimits; an empty key is not
	subscriber  *subscriber
	topics      []string
	patterns    []Pattern
	registered  bool // counted by state.starting
}
