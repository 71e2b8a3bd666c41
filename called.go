package sse

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// called is the transport (see subscriber.go) of a subscription by
// [Broker.Subscribe]. The subscription waits in the goroutine of the caller's loop. The
// name of the type is the value of [Subscriber.Wait] for such a subscription.
type called struct {
	st          *state
	s           *subscriber
	woken       chan struct{}      // has room for 1; wake sends to it when s is no longer idle
	stopReading context.CancelFunc // cancels the read of a page of the log; nil if none runs
}

func (l *called) wake() { l.woken <- struct{}{} }

// interrupt cancels a read of the log. It cannot interrupt the body of the caller's
// loop.
func (l *called) interrupt(error) {
	if l.stopReading != nil {
		l.stopReading()
	}
}

func (l *called) abort() {}

func (l *called) stalledSince() int64 { return 0 }

func (l *called) kind() (_, _ string) { return "called", "" }

// call runs a subscription for Broker.Subscribe. It returns nil if yield has
// returned false, and otherwise the reason why the subscription ended.
func call(ctx context.Context, st *state, sel Selection, start Start,
	yield func(Event, error) bool) error {
	s, err := st.admit(ctx, &sel, start, "", "")
	if err != nil {
		return err
	}
	l := &called{st: st, s: s, woken: make(chan struct{}, 1)}
	s.transport = l
	if err := st.enter(s, sel.topicNames(), sel.Patterns); err != nil {
		return err
	}
	cause := ErrClosed
	defer func() { st.disconnect(s, cause) }()
	st.hooks.callOnConnect(s)
	var b batch
	for {
		st.pages.next(ctx, s, &b, &l.stopReading, false)
		st.hooks.callBatchHooks(s, &b)
		if b.endCause != nil {
			cause = b.endCause
			return b.endCause
		}
		b.permit.release() // not after the loop, because the body of the loop may take any time
		for event := range l.events(&b) {
			if s.expires() != 0 && s.expired(time.Now()) { // an earlier yield may take hours
				cause = ErrExpired
				return ErrExpired
			}
			if !yield(event, nil) {
				return nil
			}
		}
		b.release()
		if !b.idle && ctx.Err() == nil {
			continue
		}
		select {
		case <-l.woken:
		case <-ctx.Done():
			return fmt.Errorf("sse: %w", context.Cause(ctx))
		}
	}
}

// events returns an iterator over the events of a batch: its gap, or its entries that
// the filter accepts.
func (l *called) events(b *batch) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		if b.gap != nil {
			event := gapEvent(b.gap, b.gapPosition)
			event.LastEventID = event.ID
			yield(event)
			return
		}
		for _, e := range b.entries {
			if !l.s.passesFilter(e, b.epoch) {
				continue
			}
			event := e.event()
			event.LastEventID = event.ID
			if l.s.opts.withTopic {
				event.Topic = l.s.topicOf(e)
			}
			if !yield(event) {
				return
			}
		}
	}
}
