package property

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

// subject is a subscriber that records everything it receives. It is an
// [sse.Client], or a loop around [sse.Broker.Subscribe].
type subject struct {
	w      *world
	n      int  // the subject's index in world.all
	called bool // the subject calls Broker.Subscribe; otherwise it is a client
	sel    sse.Selection
	start  sse.Start     // start of a stream while the subject has no ID
	ago    time.Duration // if not 0, replaces start: such a stream starts this long before now
	filter int           // if not 0, the filter of sel excludes about one event in so many
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex  // guards the following
	client  *sse.Client // the current client; nil if there was none
	items   []item
	lastID  string        // LastEventID of the last event received
	fresh   bool          // the client is new, so it has received no cursor
	newOnly bool          // the subject was refused, so it starts with new events
	gate    chan struct{} // closed when the subject may read again; nil unless it stalls
	open    bool          // the subject has a stream
	ended   error         // the error with which the subject has given up, or nil
}

func (s *subject) String() string {
	kind := "client"
	if s.called {
		kind = "called"
	}
	sel := s.sel
	return fmt.Sprintf("%d (%s) topics %q patterns %v filter %d lag %q %d %d loss %q start %+v ago %v",
		s.n, kind, sel.Topics, sel.Patterns, s.filter, sel.Lag, sel.MaxLag, sel.MaxLagBytes,
		sel.Loss, s.start, s.ago)
}

// passes reports whether the filter of the subject's selection accepts an event.
func (s *subject) passes(e *published) bool { return s.filter == 0 || e.passes(s.filter) }

// record adds an item to the record, with the current group and time.
func (s *subject) record(it item) {
	it.group, it.time = int(s.w.group.Load()), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items = append(s.items, it); len(s.items) == maxItems {
		c := &checker{w: s.w, s: s}
		panic("the stream does not end: " + c.context(s.items, maxItems-1))
	}
}

// maxItems is larger than the number of items in any correct program.
const maxItems = 200_000

// recordAttempt records that the subject has asked a broker for a stream. life is
// the index of the broker's life, and asked is the ID in the request.
func (s *subject) recordAttempt(life int, asked string) {
	s.mu.Lock()
	fresh := s.fresh || s.called
	s.fresh = false
	s.mu.Unlock()
	s.record(item{kind: itemAttempt, life: life, asked: asked, from: s.w.newest.Load(), fresh: fresh})
}

// receive records an event or a gap. If the subject stalls, receive then blocks until the
// subject may read again or is stopped.
func (s *subject) receive(event sse.Event) {
	kind := itemEvent
	if event.Type == "sse.gap" {
		kind = itemGap
	}
	s.record(item{kind: kind, event: event})
	s.mu.Lock()
	s.lastID = event.LastEventID
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-s.ctx.Done():
		}
	}
}

// stall makes the subject stop reading if on is true, and continue otherwise.
func (s *subject) stall(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case on && s.gate == nil:
		s.gate = make(chan struct{})
	case !on && s.gate != nil:
		close(s.gate)
		s.gate = nil
	}
}

func (s *subject) setOpen(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = open
}

// isSettled reports whether the subject has a stream or has given up.
func (s *subject) isSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open || s.ended != nil
}

// sync records that the world has settled, if the subject has a stream and does not
// stall.
func (s *subject) sync() {
	s.mu.Lock()
	idle := s.open && s.gate == nil && s.ended == nil
	s.mu.Unlock()
	if idle {
		s.record(item{kind: itemSync})
	}
}

// run starts the subject. If it ran before, it resumes after the last event that it
// has received.
func (s *subject) run() {
	s.ctx, s.cancel = context.WithCancel(s.w.t.Context())
	s.mu.Lock()
	s.ended = nil
	s.mu.Unlock()
	if s.called {
		s.wg.Go(s.runCalled)
	} else {
		s.wg.Go(s.runClient)
	}
}

// stop cancels the subject's context and waits until the subject has ended.
func (s *subject) stop() {
	s.cancel()
	s.wg.Wait()
	s.setOpen(false)
}

// runClient runs a client until the subject is stopped or gives up. After a
// refusal, it continues with a new client.
func (s *subject) runClient() {
	for s.ctx.Err() == nil {
		s.mu.Lock()
		s.client, s.fresh = s.newClient(), true
		client := s.client
		s.mu.Unlock()
		for event, err := range client.Events(s.ctx) {
			if err == nil {
				s.receive(event)
				continue
			}
			if !s.handleEnd(err) {
				return
			}
		}
		s.pause()
	}
}

// pause waits for 20 ms before the next attempt. Otherwise attempts would follow
// each other without end at the same fake time.
func (s *subject) pause() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-s.ctx.Done():
	}
}

// handleEnd handles the error with which a stream has ended for good. After a
// refusal, it records the refusal and returns true: the subject must subscribe
// again. Otherwise the subject was stopped or gives up, and handleEnd returns false.
func (s *subject) handleEnd(err error) bool {
	s.setOpen(false)
	var gap *sse.Gap
	var refusal *sse.ResponseError
	switch {
	case s.ctx.Err() != nil:
		return false
	case errors.As(err, &gap), errors.As(err, &refusal) && refusal.StatusCode == http.StatusGone:
		s.record(item{kind: itemRefused})
		s.mu.Lock()
		s.lastID, s.newOnly = "", true
		s.mu.Unlock()
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
	return false
}

// newClient returns a client that starts after the last event received, or at
// s.start if the subject has received none. The caller holds mu.
func (s *subject) newClient() *sse.Client {
	query := url.Values{"n": {strconv.Itoa(s.n)}}
	id := s.lastID
	switch start := s.start; {
	case id != "", s.newOnly:
	case start.Earliest:
		query.Set("since", "earliest")
	case start.Last > 0:
		query.Set("since", strconv.Itoa(-start.Last))
	case !start.Time.IsZero():
		query.Set("since", start.Time.Format(time.RFC3339Nano))
	case s.ago > 0:
		query.Set("since", s.ago.String())
	default:
		if id = start.ID; start.After != (sse.Position{}) {
			id = start.After.String()
		}
	}
	return &sse.Client{
		URL:           s.w.server.URL() + "/?" + query.Encode(),
		HTTPClient:    &http.Client{Transport: s.w.transport},
		LastEventID:   id,
		RetryDelay:    20 * time.Millisecond,
		MaxRetryDelay: 100 * time.Millisecond,
		OnState: func(change sse.StateChange) {
			if change.State == sse.StateOpen {
				s.record(item{kind: itemOpen})
			}
			s.setOpen(change.State == sse.StateOpen)
		},
	}
}

// reconnect makes the client drop its connection.
func (s *subject) reconnect() {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		client.Reconnect()
	}
}

// runCalled calls Broker.Subscribe until the subject is stopped. It calls Subscribe
// again each time that the stream ends.
func (s *subject) runCalled() {
	for s.ctx.Err() == nil {
		broker, life := s.w.current()
		start, err := s.nextStart(broker)
		if err == nil {
			s.recordAttempt(life, start.ID+start.After.String())
			s.setOpen(true)
			for event, e := range broker.Subscribe(s.ctx, s.sel, start) {
				if err = e; e == nil {
					s.receive(event)
				}
			}
			s.setOpen(false)
		}
		var gap *sse.Gap
		if errors.As(err, &gap) {
			s.handleEnd(err)
		}
		s.pause()
	}
}

// nextStart returns the start of the next stream.
func (s *subject) nextStart(broker *sse.Broker) (sse.Start, error) {
	s.mu.Lock()
	id, start, ago, newOnly := s.lastID, s.start, s.ago, s.newOnly
	s.mu.Unlock()
	switch {
	case strings.HasPrefix(id, "~"):
		p, err := sse.ParsePosition(id)
		return sse.Start{After: p}, err
	case id != "":
		return sse.Start{ID: id}, nil
	case newOnly:
		return sse.Start{}, nil
	case ago > 0:
		return sse.Start{Time: time.Now().Add(-ago)}, nil
	}
	return start, nil
}
