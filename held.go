package sse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// held is a stream that waits in the goroutine of its handler.
type held struct {
	c      *core
	s      *subscriber
	stream *Stream
	why    string
	woken  chan struct{}      // bound: 1; woken once for each time that s is idle
	stop   context.CancelFunc // what it waits for from the log, or nil
}

func (h *held) wake() { h.woken <- struct{}{} }

// interrupt lets a write that is under way go on for a moment, unless the peer
// is known to be too slow. The goroutine is one that Stream.Close waits for.
func (h *held) interrupt(cause error) {
	if h.stop != nil {
		h.stop()
	}
	grace := shutdownGrace
	if cause == ErrLagging {
		grace = 0
	}
	h.stream.watcher.Go(func() { h.stream.hurry(grace, cause) })
}

func (h *held) cut() {
	cause := h.s.end
	h.stream.cancel(cause)
	h.stream.watcher.Go(func() { h.stream.hurry(0, cause) })
}

func (h *held) overdue() int64 { return 0 } // the deadlines of its writes see to that

func (h *held) kind() (wait, why string) { return "held", h.why }

// run gives the stream what its subscriber gets, until it ends. It returns why.
func (h *held) run() error {
	ctx := h.stream.Context()
	var b batch
	defer func() { b.seat.leave() }()
	for {
		h.c.next(ctx, h.s, &b, &h.stop)
		h.c.report(h.s, &b)
		if b.end != nil {
			if ctx.Err() != nil {
				return h.stream.over() // which ended the fetching
			}
			h.farewell(b.end)
			return b.end
		}
		if err := h.writeSeated(&b); err != nil {
			h.farewell(err) // if it was not even begun
			return err
		}
		b.forget()
		if !b.idle {
			continue
		}
		select {
		case <-h.woken:
		case <-ctx.Done():
			return h.stream.over()
		}
	}
}

// writeSeated is write for a batch that may be a page.
func (h *held) writeSeated(b *batch) error {
	if b.seat != nil {
		defer b.seat.leave()
		defer time.AfterFunc(patience, b.seat.leave).Stop()
	}
	return h.write(b)
}

// forget lets go of the entries, which others may need no longer.
func (b *batch) forget() {
	if clear(b.entries); b.idle {
		b.entries = nil
	}
}

func (b *batch) empty() bool { return len(b.entries) == 0 && b.gap == nil && !b.beat }

// buffers are for what is written at once, if it is more than one event.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// write writes a batch.
func (h *held) write(b *batch) error {
	switch terms := h.s.terms; {
	case b.empty():
		return nil
	case len(b.entries) == 1 && !terms.withTopic && terms.filter == nil:
		return h.stream.sendRaw(b.entries[0].wire())
	}
	buf := buffers.Get().(*[]byte)
	out := h.c.render((*buf)[:0], h.s, b)
	b.filtered = len(out) > 0 && h.s.terms.filter != nil
	clear(b.entries) // to write may take long
	err := h.stream.sendRaw(out)
	if cap(out) <= 2*heldBatch {
		*buf = out
	}
	buffers.Put(buf)
	return err
}

// wants asks the filter.
func (s *subscriber) wants(e *entry, epoch uint64) bool {
	if s.terms.filter == nil {
		return true
	}
	x := e.export(epoch)
	return s.terms.filter(&x)
}

// render appends a batch in wire form.
func (c *core) render(dst []byte, s *subscriber, b *batch) []byte {
	if b.gap != nil {
		return appendGap(dst, b.gap, b.gapAt)
	}
	start := len(dst)
	for _, e := range b.entries {
		if !s.wants(e, b.epoch) {
			continue
		}
		if s.terms.withTopic {
			dst = appendTopicLine(dst, s.topicOf(e))
		}
		dst = append(dst, e.wire()...)
	}
	switch {
	case !b.beat || len(dst) > start:
	case b.cursor != (Position{}) && c.opts.Cursor != CursorOff:
		dst = appendCursor(dst, c.opts.Cursor, b.cursor)
	default:
		dst = append(dst, c.beat...)
	}
	return dst
}

// appendCursor appends what tells a client where it is.
func appendCursor(dst []byte, form CursorForm, p Position) []byte {
	dst = append(dst, generatedID...)
	dst = append(p.appendTo(dst), '\n')
	if form != CursorBlock {
		dst = append(dst, "event: "+typeCursor+"\ndata: \n"...)
	}
	return append(dst, '\n')
}

// gapEvent is a gap as subscribers get it.
func gapEvent(gap *Gap, at Position) Event {
	return Event{ID: at.String(), Type: typeGap, Data: gap.json()}
}

func appendGap(dst []byte, gap *Gap, at Position) []byte {
	dst, err := AppendEvent(dst, gapEvent(gap, at))
	if err != nil {
		panic(err) // all of it is ours
	}
	return dst
}

// farewell tells the client when to come back, if the server is going away. If
// it does not take it, nothing is lost.
func (h *held) farewell(cause error) {
	if errors.Is(cause, ErrShutdown) {
		_ = h.stream.sendLast(append(wire.AppendRetry(nil, h.c.comeBack()), '\n'))
	}
}

// comeBack draws the time after which a client is to return: not before there can be
// a successor, which takes the longer the more streams have to end first.
func (c *core) comeBack() time.Duration {
	const soonest = 500 * time.Millisecond
	spread := time.Duration(c.spread.Load())
	return soonest + spread/5 + rand.N(max(spread, soonest))
}

// report calls the hooks for what is in a batch.
func (c *core) report(s *subscriber, b *batch) {
	if b.dropped > 0 && c.opts.OnDrop != nil {
		c.opts.OnDrop(c.describe(s), b.dropped)
	}
	if b.gap != nil && c.opts.OnGap != nil {
		c.opts.OnGap(c.describe(s), *b.gap)
	}
}

func (c *core) describe(s *subscriber) Subscriber {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.describe()
}

// called is a subscription in this process.
type called struct {
	woken chan struct{}      // bound: 1
	stop  context.CancelFunc // what it waits for from the log, or nil
}

func (l *called) wake() { l.woken <- struct{}{} }

// interrupt does not end the caller's loop, which comes back when it likes.
func (l *called) interrupt(error) {
	if l.stop != nil {
		l.stop()
	}
}

func (l *called) cut()                {}
func (l *called) overdue() int64      { return 0 }
func (l *called) kind() (_, _ string) { return "called", "" }

// call is Broker.Subscribe.
func (c *core) call(ctx context.Context, sel Selection, start Start,
	yield func(Event, error) bool) error {
	s, err := c.admit(ctx, &sel, start, "", "")
	if err != nil {
		return err
	}
	l := &called{woken: make(chan struct{}, 1)}
	s.wait = l
	if err := c.enter(s, sel.topicNames(), sel.Patterns); err != nil {
		return err
	}
	cause := ErrClosed
	defer func() { c.left(s, cause) }()
	c.connected(s)
	var b batch
	for {
		c.next(ctx, s, &b, &l.stop)
		c.report(s, &b)
		if b.end != nil {
			cause = b.end
			return b.end
		}
		b.seat.leave() // the loop may take as long as it likes
		for event := range c.events(s, &b) {
			if !yield(event, nil) {
				return nil
			}
		}
		b.forget()
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

// events are those of a batch.
func (c *core) events(s *subscriber, b *batch) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		if b.gap != nil {
			yield(gapEvent(b.gap, b.gapAt))
			return
		}
		for _, e := range b.entries {
			if !s.wants(e, b.epoch) {
				continue
			}
			event := e.event()
			if s.terms.withTopic {
				event.Topic = s.topicOf(e)
			}
			if !yield(event) {
				return
			}
		}
	}
}
