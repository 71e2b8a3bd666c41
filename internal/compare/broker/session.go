package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// session is one server with its subscribers.
type session struct {
	ctx       context.Context
	server    *server
	load      *load
	contender *contender
	audience  audience
	settle    time.Duration // before memory is read
	published int64         // waves
}

// audience is who subscribes to what.
type audience struct {
	subscribers int
	topics      int // each subscriber takes one of them
	pattern     bool
}

// deliveries is how many events one wave becomes.
func (a audience) deliveries() int {
	if a.pattern {
		return a.subscribers * a.topics
	}
	return a.subscribers
}

const (
	eventSize   = 100
	concurrency = 256 // connections under way at a time
	perClient   = 10_000
)

// open starts the server and its subscribers, up to the number of which more may
// be added later.
func (r *runner) open(ctx context.Context, c *contender, a audience, upTo int) (*session, error) {
	server, err := c.start(ctx, a.topics)
	if err != nil {
		return nil, err
	}
	c.version = server.version
	s := &session{ctx: ctx, server: server, contender: c, audience: a, settle: r.plan.settle}
	s.audience.subscribers = 0
	s.load, err = startLoad(ctx, r.loadPath, (max(upTo, a.subscribers)+perClient-1)/perClient)
	if err == nil {
		err = s.connect(a.subscribers)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// connect adds subscribers. Some servers answer before they have subscribed,
// hence the pause.
func (s *session) connect(count int) error {
	command := control.LoadCommand{
		Addr: s.server.addr, Path: s.server.path, Headers: s.server.headers,
		Count: count, Topics: s.audience.topics, Pattern: s.audience.pattern,
		Body: s.server.body, Concurrency: concurrency,
	}
	if s.audience.pattern {
		command.Path = s.server.pattern
	}
	limit := 10*time.Second + time.Duration(count)*2*time.Millisecond
	if err := s.load.connect(command, limit); err != nil {
		return errors.Join(err, s.server.publisher.failure())
	}
	s.audience.subscribers += count
	return s.pause(200 * time.Millisecond)
}

func (s *session) close() {
	if s.load != nil {
		s.load.stop()
	}
	s.server.stop()
}

func (s *session) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// drive is how events are published.
type drive struct {
	outstanding int           // waves that not all have yet, at most
	every       int           // waves from one word of the clients to the next; 0: each
	during      time.Duration // at least
	waves       int           // at least
	interval    time.Duration // from one wave to the next; 0: as fast as outstanding allows
}

// outcome is what a drive has cost.
type outcome struct {
	waves   int
	events  int64 // received
	wall    time.Duration
	cpu     time.Duration
	latency control.Histogram
	publish control.ServerReply
}

// run publishes, until all is received, and checks that it was everything.
func (s *session) run(d drive) (o outcome, err error) {
	if err := errors.Join(s.load.every(max(1, d.every)), s.load.reset(),
		s.server.publisher.reset()); err != nil {
		return o, err
	}
	cpu, begin, first := s.server.cpu(), time.Now(), s.published
	if d.interval > 0 {
		err = s.atIntervals(d)
	} else {
		err = s.inWindow(d, begin)
	}
	o.wall, o.cpu = time.Since(begin), s.server.cpu()-cpu
	o.waves = int(s.published - first)
	if err != nil {
		return o, err
	}
	got, err := s.load.report()
	if err != nil {
		return o, err
	}
	o.events, o.latency = got.Events, got.Latency
	if want := int64(o.waves) * int64(s.audience.deliveries()); o.events != want {
		return o, fmt.Errorf("%d events were received, want %d", o.events, want)
	}
	o.publish, err = s.server.publisher.report()
	return o, err
}

// inWindow keeps the drive's number of waves outstanding.
func (s *session) inWindow(d drive, begin time.Time) error {
	first := s.published
	// A multiple of what is outstanding: one who waits for so many gets them.
	enough := func() bool {
		done := int(s.published - first)
		return done >= d.waves && done%d.outstanding == 0 && time.Since(begin) >= d.during
	}
	for ended := false; ; {
		free := d.outstanding - int(s.published-s.load.reached())
		if ended = ended || enough(); !ended && free >= max(1, d.every) {
			// Not past the next multiple, where enough is asked again.
			free = min(free, d.outstanding-int(s.published-first)%d.outstanding)
			if err := s.publish(free); err != nil {
				return err
			}
			continue
		}
		if s.load.reached() >= s.published {
			return nil
		}
		if err := s.awaitProgress(); err != nil {
			return err
		}
	}
}

// atIntervals publishes a wave at every tick, however far the clients are.
func (s *session) atIntervals(d drive) error {
	ticker := time.NewTicker(d.interval)
	defer ticker.Stop()
	for range max(d.waves, int(d.during/d.interval)) {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		if err := s.publish(1); err != nil {
			return err
		}
	}
	for s.load.reached() < s.published {
		if err := s.awaitProgress(); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) publish(waves int) error {
	s.published += int64(waves)
	return s.server.publisher.publish(waves, s.audience.topics, eventSize)
}

// awaitProgress waits for a word of some client.
func (s *session) awaitProgress() error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	silence := time.NewTicker(2 * time.Second)
	defer silence.Stop()
	for {
		select {
		case <-s.load.progress:
			return nil
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-silence.C:
			// After a loss the wave would never be complete: ask.
			if _, err := s.load.report(); err != nil {
				return err
			}
			if err := s.server.publisher.failure(); err != nil {
				return err
			}
		case <-timer.C:
			return fmt.Errorf("all subscribers have %d of %d events, and nothing happens for %v",
				s.load.reached(), s.published, patience)
		}
	}
}
