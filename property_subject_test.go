package sse_test

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

// subject is a subscriber whose view is checked: a client, or a loop around
// Broker.Subscribe.
type subject struct {
	w      *world
	n      int
	called bool
	sel    sse.Selection
	start  sse.Start     // of the first stream
	ago    time.Duration // instead of start.Time
	filter int           // if not 0: it does not get one in so many
	client *sse.Client
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards the following
	items  []item
	lastID string        // of the last event that was seen
	fresh  bool          // a new client, which knows of no cursor
	anew   bool          // it was refused, and begins with what is new
	gate   chan struct{} // closed when it goes on; nil if it does not stall
	open   bool          // there is a stream
	ended  error         // it has given up
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

// passes is the filter of its selection.
func (s *subject) passes(e *published) bool { return s.filter == 0 || e.passes(s.filter) }

// note adds an item.
func (s *subject) note(it item) {
	it.group, it.time = int(s.w.group.Load()), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items = append(s.items, it); len(s.items) == maxItems {
		c := &checker{w: s.w, s: s}
		panic("a stream without end: " + c.context(s.items, maxItems-1))
	}
}

// maxItems is more than any program has.
const maxItems = 200_000

// attempting notes that a broker was asked for a stream.
func (s *subject) attempting(life int, asked string) {
	s.mu.Lock()
	fresh := s.fresh || s.called
	s.fresh = false
	s.mu.Unlock()
	s.note(item{kind: itemAttempt, life: life, asked: asked, from: s.w.newest.Load(), fresh: fresh})
}

// take notes an event, and then waits if the subject stalls.
func (s *subject) take(event sse.Event) {
	kind := itemEvent
	if event.Type == "sse.gap" {
		kind = itemGap
	}
	s.note(item{kind: kind, event: event})
	s.mu.Lock()
	s.lastID = event.ID
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-s.ctx.Done():
		}
	}
}

// stall makes it stop reading, or go on.
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

// settled reports whether it has a stream, or never will.
func (s *subject) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open || s.ended != nil
}

// sync notes that everything has settled.
func (s *subject) sync() {
	s.mu.Lock()
	idle := s.open && s.gate == nil && s.ended == nil
	s.mu.Unlock()
	if idle {
		s.note(item{kind: itemSync})
	}
}

// run begins, perhaps after the last event that was seen before.
func (s *subject) run() {
	s.ctx, s.cancel = context.WithCancel(s.w.t.Context())
	s.ended = nil
	if s.called {
		s.wg.Go(s.loop)
	} else {
		s.wg.Go(s.receive)
	}
}

// stop ends it, as its application may.
func (s *subject) stop() {
	s.cancel()
	s.wg.Wait()
	s.setOpen(false)
}

// receive is a client. It goes on as a new one where it was refused.
func (s *subject) receive() {
	for s.ctx.Err() == nil {
		s.mu.Lock()
		s.client, s.fresh = s.newClient(), true
		client := s.client
		s.mu.Unlock()
		for event, err := range client.Events(s.ctx) {
			if err == nil {
				s.take(event)
				continue
			}
			if !s.lost(err) {
				return
			}
		}
		s.pause()
	}
}

// pause keeps it from asking without end in no time.
func (s *subject) pause() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-s.ctx.Done():
	}
}

// lost deals with the end of a stream. It reports whether to subscribe again.
func (s *subject) lost(err error) bool {
	s.setOpen(false)
	var gap *sse.Gap
	var refusal *sse.ResponseError
	switch {
	case s.ctx.Err() != nil:
		return false
	case errors.As(err, &gap), errors.As(err, &refusal) && refusal.StatusCode == http.StatusGone:
		s.note(item{kind: itemRefused})
		s.mu.Lock()
		s.lastID, s.anew = "", true
		s.mu.Unlock()
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
	return false
}

func (s *subject) newClient() *sse.Client {
	query := url.Values{"n": {strconv.Itoa(s.n)}}
	id := s.lastID
	switch start := s.start; {
	case id != "", s.anew:
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
				s.note(item{kind: itemOpen})
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

// loop subscribes in this process, again whenever the stream ends.
func (s *subject) loop() {
	for s.ctx.Err() == nil {
		broker, life := s.w.current()
		start, err := s.nextStart(broker)
		if err == nil {
			s.attempting(life, start.ID+start.After.String())
			s.setOpen(true)
			for event, e := range broker.Subscribe(s.ctx, s.sel, start) {
				if err = e; e == nil {
					s.take(event)
				}
			}
			s.setOpen(false)
		}
		var gap *sse.Gap
		if errors.As(err, &gap) {
			s.lost(err)
		}
		s.pause()
	}
}

// nextStart is where to begin or go on.
func (s *subject) nextStart(broker *sse.Broker) (sse.Start, error) {
	s.mu.Lock()
	id, start, ago, anew := s.lastID, s.start, s.ago, s.anew
	s.mu.Unlock()
	switch {
	case strings.HasPrefix(id, "~"):
		p, err := sse.ParsePosition(id)
		return sse.Start{After: p}, err
	case id != "":
		return sse.Start{ID: id}, nil
	case anew:
		return sse.Start{}, nil
	case ago > 0:
		return sse.Start{Time: time.Now().Add(-ago)}, nil
	}
	return start, nil
}
