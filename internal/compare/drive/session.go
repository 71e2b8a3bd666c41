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

	ctx       context.Context // ends all waiting
	audience  Audience
	published int64 // waves
}

// Audience is who subscribes to what.
type Audience struct {
	Subscribers int
	Topics      int // each subscriber takes one of them
	Pattern     bool
}

// deliveries is how many events one wave becomes.
func (a Audience) deliveries() int {
	if a.Pattern {
		return a.Subscribers * a.Topics
	}
	return a.Subscribers
}

const (
	// EventSize is how many bytes of data an event has.
	EventSize = 100
	// concurrency is how many connections are under way at a time, to each of the
	// server's processes. Hundreds of handshakes at once are hundreds of net/http's
	// goroutines, requests and buffers alive at once; the heap grows for them, and
	// keeps what it has grown to. That is what a burst costs, and would be counted
	// as what idle subscribers do.
	concurrency = 64
)

// Open starts load clients for the server, which it stops in the end, whatever
// happens. path is that of the program load, and upTo the number of subscribers
// there will be, if that is more than those of the audience.
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

// Cost is what something took.
type Cost struct {
	Wall time.Duration
	CPU  time.Duration // of the server
}

// Connect adds subscribers. Some servers answer before they have subscribed,
// hence the pause, of which the cost has what the server does in it.
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

// Pause waits, unless the session's time is up.
func (s *Session) Pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// Pace is how events are published.
type Pace struct {
	Outstanding int           // waves that not all have yet, at most
	Every       int           // waves from one word of the clients to the next; 0: each
	During      time.Duration // at least
	Waves       int           // at least
	Interval    time.Duration // from one wave to the next; 0: as fast as Outstanding allows
}

// Outcome is what publishing has cost.
type Outcome struct {
	Cost
	Waves   int
	Events  int64 // received
	Latency control.Histogram
	Publish control.ServerReply
}

// Run publishes, until all is received, and checks that it was everything.
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
		return o, fmt.Errorf("%d events were received, want %d", o.Events, want)
	}
	o.Publish, err = s.Server.Publisher.Report()
	return o, err
}

// inWindow keeps the pace's number of waves outstanding.
func (s *Session) inWindow(p Pace, begin time.Time) error {
	first := s.published
	// A multiple of what is outstanding: one who waits for so many gets them.
	enough := func() bool {
		done := int(s.published - first)
		return done >= p.Waves && done%p.Outstanding == 0 && time.Since(begin) >= p.During
	}
	for ended := false; ; {
		free := p.Outstanding - int(s.published-s.Load.reached())
		if ended = ended || enough(); !ended && free >= max(1, p.Every) {
			// Not past the next multiple, where enough is asked again.
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

// atIntervals publishes a wave at every tick, however far the clients are.
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

// awaitProgress waits for a word of some client.
func (s *Session) awaitProgress() error {
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	silence := time.NewTicker(2 * time.Second)
	defer silence.Stop()
	for {
		select {
		case <-s.Load.progress:
			return nil
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-silence.C:
			// After a loss the wave would never be complete: ask.
			if _, err := s.Load.report(); err != nil {
				return err
			}
			if err := s.Server.Publisher.Failure(); err != nil {
				return err
			}
		case <-timer.C:
			return fmt.Errorf("all subscribers have %d of %d events, and nothing happens for %v",
				s.Load.reached(), s.published, Patience)
		}
	}
}
