package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// contender is a server to measure. Every measurement starts it anew.
type contender struct {
	key       string // that selects it
	name      string // in tables
	kind      kind
	topics    bool // it has more than one
	patterns  bool
	inProcess bool // it publishes by function calls
	coalesce  int  // events that it waits for before it writes; 0: it does not wait
	start     func(ctx context.Context, topics int) (*server, error)
	prepare   func(ctx context.Context) error // once; nil: there is nothing to do
	atHand    func() bool                     // asked if nobody has asked for it; nil: it is

	version string // known once it has run
}

// kind is the place of a contender among the others.
type kind int

const (
	bound kind = iota // no server can be cheaper
	base              // by hand, on net/http
	own
	peer
)

// server is a running contender.
type server struct {
	addr    string
	path    string // {topic} stands for the topic
	pattern string
	headers []string
	body    bool // it sends something after the header at once
	version string
	pids    []int // whose CPU time and memory are its own

	publisher publisher
	stop      func()
}

// publisher publishes waves in order, in the background. One wave is one event on
// each of the first topics.
type publisher interface {
	publish(waves, topics, size int) error
	reset() error
	report() (control.ServerReply, error)
	failure() error // why it cannot go on; nil: it can
}

// cpu is the user and system time so far.
func (s *server) cpu() time.Duration {
	sum := int64(0)
	for _, pid := range s.pids {
		sum += control.CPUTime(pid)
	}
	return time.Duration(sum)
}

func (s *server) resident() (float64, error) {
	sum := 0.0
	for _, pid := range s.pids {
		bytes, err := residentBytes(pid)
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum, nil
}

// startDriven starts a server that publishes by itself, as lines tell it.
func startDriven(ctx context.Context, name, path string, args ...string) (*server, error) {
	c, err := spawn[control.ServerReply](ctx, name, nil, path, args...)
	if err != nil {
		return nil, err
	}
	d := driven{c}
	listening, err := d.await(control.ServerListening)
	if err != nil {
		c.stop()
		return nil, err
	}
	return &server{
		addr: listening.Addr, path: listening.Path, pattern: listening.Pattern,
		body: listening.Body, version: listening.Version, pids: []int{c.pid()},
		publisher: d, stop: c.stop,
	}, nil
}

// driven is the publisher in a server's own process.
type driven struct{ *child[control.ServerReply] }

func (d driven) publish(waves, topics, size int) error {
	return d.tell("publish %d %d %d %d", waves, topics, size, control.Now())
}

func (d driven) reset() error {
	if err := d.tell("reset"); err != nil {
		return err
	}
	_, err := d.await(control.ServerDone)
	return err
}

func (d driven) report() (control.ServerReply, error) {
	if err := d.tell("report"); err != nil {
		return control.ServerReply{}, err
	}
	return d.await(control.ServerReported)
}

func (d driven) await(is string) (control.ServerReply, error) {
	r, err := d.answer(patience)
	if err == nil && r.Is != is {
		err = fmt.Errorf("%s says %q, want %q: %s", d.name, r.Is, is, r.Text)
	}
	return r, err
}
