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

	ctx       context.Context // ends all waits
	audience  Audience
	published int64 // waves
}

// Audience is the subscribers of a server and their topics.
type Audience struct {
	Subscribers int
	Topics      int  // each subscriber selects one of them
	Pattern     bool // each subscriber selects all topics by a pattern
}

// deliveries returns the number of events that the subscribers receive of a
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
	// server. With hundreds of concurrent handshakes, net/http has hundreds of
	// goroutines, requests and buffers at once. The heap grows for them and does
	// not shrink again, and the cost of the burst would count as the cost of idle
	// subscribers.
	concurrency = 64
)

// Open starts load clients for the server and connects the audience. If it
// fails, it stops the server; otherwise Close does. The program load is at
// path. The session can have up to upTo subscribers, or more if the audience
// has more.
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

// Cost is the time that an operation took.
type Cost struct {
	Wall time.Duration
	CPU  time.Duration // of the server
}

// Connect adds subscribers. Then it pauses, because some servers respond before
// they have subscribed. The cost includes the CPU time during the pause.
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

// Pace is the rate and the amount of publishing.
type Pace struct {
	Outstanding int           // most waves that are not yet received by all subscribers
	Every       int           // waves between two progress reports of a client; if zero, 1
	During      time.Duration // least duration
	Waves       int           // least number of waves
	Interval    time.Duration // between waves; if zero, as fast as Outstanding allows
}

// Outcome is the cost and the latency of publishing.
type Outcome struct {
	Cost
	Waves   int
	Events  int64 // received
	Latency control.Histogram
	Publish control.ServerReply
}

// Run publishes events, waits until all are received, and checks their number.
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

// inWindow publishes such that p.Outstanding waves are outstanding.
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
			// Stop at the next multiple, to check enough again.
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

// atIntervals publishes a wave at every tick, even if subscribers are behind.
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

// awaitProgress waits until a client reports progress.
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
			// After a loss the wave is never complete, so check for errors.
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
