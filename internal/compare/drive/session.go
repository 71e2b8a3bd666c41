package drive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// Session is one server with its subscribers.
type Session struct {
	Server *Server
	Load   *Load

	ctx       context.Context // when it is done, all waits end
	audience  Audience
	published int64 // number of waves published so far
}

// Audience describes the subscribers of a server.
type Audience struct {
	Subscribers int
	Topics      int  // number of topics; each subscriber selects one topic
	Pattern     bool // instead, each subscriber selects all topics by a pattern
}

// deliveries returns the number of events that all subscribers together receive in a
// wave.
func (a Audience) deliveries() int {
	if a.Pattern {
		return a.Subscribers * a.Topics
	}
	return a.Subscribers
}

const (
	// EventSize is the size of an event's data in bytes.
	EventSize = 100
	// concurrency is the number of concurrent handshakes for each process of the
	// server. With hundreds of concurrent handshakes, net/http would have hundreds
	// of goroutines, requests and buffers at the same time. The heap would grow for
	// them and not shrink again. This memory would then count as the memory of idle
	// subscribers.
	concurrency = 64
)

// Open starts load clients for the server and connects the audience. path is the
// path of the program load. Later calls of Connect can raise the number of
// subscribers to upTo. If Open returns an error, it has stopped the server.
// Otherwise the caller must call Close.
func Open(ctx context.Context, server *Server, path string, a Audience, upTo int) (*Session, error) {
	s := &Session{ctx: ctx, Server: server, audience: a}
	s.audience.Subscribers = 0
	var err error
	s.Load, err = StartLoad(ctx, path, max(upTo, a.Subscribers))
	if err == nil && a.Subscribers > 0 {
		_, err = s.Connect(a.Subscribers)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Cost is the cost of an operation.
type Cost struct {
	Wall time.Duration
	CPU  time.Duration // CPU time of the server
}

// Connect adds subscribers. Then it pauses for 200 ms, because some servers respond
// before they have added the subscriber to its topic. Wall does not include the
// pause, but CPU does.
func (s *Session) Connect(count int) (Cost, error) {
	server := s.Server
	command := control.LoadCommand{
		Addr: server.Addr, Path: server.Path, Headers: server.Headers,
		Count: count, Topics: s.audience.Topics, Pattern: s.audience.Pattern,
		Body: server.Body, Concurrency: concurrency * len(server.PIDs),
	}
	if s.audience.Pattern {
		command.Path = server.Pattern
	}
	limit := 10*time.Second + time.Duration(count)*2*time.Millisecond
	cpu, began := server.CPU(), time.Now()
	if err := s.Load.Connect(command, limit); err != nil {
		return Cost{}, errors.Join(err, server.Publisher.Failure())
	}
	wall := time.Since(began)
	s.audience.Subscribers += count
	err := s.Pause(200 * time.Millisecond)
	return Cost{wall, server.CPU() - cpu}, err
}

// Close stops the clients and the server.
func (s *Session) Close() {
	if s.Load != nil {
		s.Load.Stop()
	}
	s.Server.Stop()
}

// Pause waits for d, or until the session's context is done.
func (s *Session) Pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// Pace is the rate and the amount of publishing. A wave is outstanding from its
// publishing until all subscribers have received it.
type Pace struct {
	Outstanding int           // largest number of outstanding waves; ignored with Interval
	Every       int           // number of waves between two progress reports; if zero, 1
	During      time.Duration // shortest duration
	Waves       int           // smallest number of waves
	Interval    time.Duration // time between waves; if zero, as fast as Outstanding allows
}

// Outcome is the result of Run.
type Outcome struct {
	Cost
	Waves   int
	Events  int64               // number of events that all subscribers have received
	Latency control.Histogram   // from the publishing of an event until a subscriber has read it
	Publish control.ServerReply // the report of the publisher
}

// Run publishes events, waits until all subscribers have received them, and checks
// their number.
func (s *Session) Run(p Pace) (o Outcome, err error) {
	if err := errors.Join(s.Load.every(max(1, p.Every)), s.Load.reset(),
		s.Server.Publisher.Reset()); err != nil {
		return o, err
	}
	cpu, begin, first := s.Server.CPU(), time.Now(), s.published
	if p.Interval > 0 {
		err = s.atIntervals(p)
	} else {
		err = s.inWindow(p, begin)
	}
	o.Wall, o.CPU = time.Since(begin), s.Server.CPU()-cpu
	o.Waves = int(s.published - first)
	if err != nil {
		return o, err
	}
	got, err := s.Load.report()
	if err != nil {
		return o, err
	}
	o.Events, o.Latency = got.Events, got.Latency
	if want := int64(o.Waves) * int64(s.audience.deliveries()); o.Events != want {
		return o, fmt.Errorf("subscribers received %d events, want %d", o.Events, want)
	}
	o.Publish, err = s.Server.Publisher.Report()
	return o, err
}

// inWindow publishes whenever fewer than p.Outstanding waves are outstanding.
func (s *Session) inWindow(p Pace, begin time.Time) error {
	first := s.published
	// The number of waves is a multiple of p.Outstanding, because a server may
	// wait for that many events before it writes them.
	enough := func() bool {
		done := int(s.published - first)
		return done >= p.Waves && done%p.Outstanding == 0 && time.Since(begin) >= p.During
	}
	for ended := false; ; {
		free := p.Outstanding - int(s.published-s.Load.reached())
		if ended = ended || enough(); !ended && free >= max(1, p.Every) {
			// Stop at the next multiple of p.Outstanding, so that enough is checked.
			free = min(free, p.Outstanding-int(s.published-first)%p.Outstanding)
			if err := s.publish(free); err != nil {
				return err
			}
			continue
		}
		if s.Load.reached() >= s.published {
			return nil
		}
		if err := s.awaitProgress(); err != nil {
			return err
		}
	}
}

// atIntervals publishes a wave in every p.Interval, even if subscribers have not yet
// received the wave before it.
func (s *Session) atIntervals(p Pace) error {
	ticker := time.NewTicker(p.Interval)
	defer ticker.Stop()
	for range max(p.Waves, int(p.During/p.Interval)) {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		if err := s.publish(1); err != nil {
			return err
		}
	}
	for s.Load.reached() < s.published {
		if err := s.awaitProgress(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) publish(waves int) error {
	s.published += int64(waves)
	return s.Server.Publisher.Publish(waves, s.audience.Topics, EventSize)
}

// awaitProgress waits until a client reports progress. It returns an error if a
// subscriber has received wrong events, if the publisher has failed, or after
// Timeout.
func (s *Session) awaitProgress() error {
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	check := time.NewTicker(2 * time.Second)
	defer check.Stop()
	for {
		select {
		case <-s.Load.progress:
			return nil
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-check.C:
			// If a subscriber loses an event, its wave never becomes complete and no
			// progress is reported. Therefore check for errors.
			if _, err := s.Load.report(); err != nil {
				return err
			}
			if err := s.Server.Publisher.Failure(); err != nil {
				return err
			}
		case <-timer.C:
			return fmt.Errorf("all subscribers have %d of %d events, without progress for %v",
				s.Load.reached(), s.published, Timeout)
		}
	}
}
