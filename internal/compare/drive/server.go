package drive

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// Server is a running server, of one process or several.
type Server struct {
	Addr    string
	Path    string // {topic} stands for the topic
	Pattern string
	Headers []string
	Body    bool // it sends something after the header at once
	Version string
	PIDs    []int // whose CPU time and memory are its own

	Publisher Publisher
	Stop      func()
}

// Publisher publishes waves in order, in the background. One wave is one event on
// each of the first topics.
type Publisher interface {
	Publish(waves, topics, size int) error
	Reset() error
	Report() (control.ServerReply, error)
	Failure() error // why it cannot go on; nil: it can
}

// CPU is the user and system time so far.
func (s *Server) CPU() time.Duration {
	sum := int64(0)
	for _, pid := range s.PIDs {
		sum += control.CPUTime(pid)
	}
	return time.Duration(sum)
}

// Resident is the physical memory.
func (s *Server) Resident() (float64, error) {
	sum := 0.0
	for _, pid := range s.PIDs {
		bytes, err := ResidentBytes(pid)
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum, nil
}

// Driven is a server that publishes by itself, as lines tell it.
type Driven struct {
	*Child[control.ServerReply]
	listening control.ServerReply
}

// StartDriven starts the program of a server.
func StartDriven(ctx context.Context, name, path string, args ...string) (*Driven, error) {
	c, err := Spawn[control.ServerReply](ctx, name, nil, path, args...)
	if err != nil {
		return nil, err
	}
	d := &Driven{Child: c}
	d.listening, err = d.await(control.ServerListening, Patience)
	if err != nil {
		c.Stop()
		return nil, err
	}
	return d, nil
}

// Server is the server as others see it.
func (d *Driven) Server() *Server {
	at := d.listening
	return &Server{
		Addr: at.Addr, Path: at.Path, Pattern: at.Pattern, Body: at.Body, Version: at.Version,
		PIDs: []int{d.PID()}, Publisher: d, Stop: d.Stop,
	}
}

// Publish is for [Publisher], as all below.
func (d *Driven) Publish(waves, topics, size int) error {
	return d.Tell("publish %d %d %d %d", waves, topics, size, control.Now())
}

// Reset forgets all times.
func (d *Driven) Reset() error {
	if err := d.Tell("reset"); err != nil {
		return err
	}
	_, err := d.await(control.ServerDone, Patience)
	return err
}

// Report is what the server has counted.
func (d *Driven) Report() (control.ServerReply, error) {
	if err := d.Tell("report"); err != nil {
		return control.ServerReply{}, err
	}
	return d.await(control.ServerReported, Patience)
}

// Subscribers is how many the server says it has, and how many of them are held.
func (d *Driven) Subscribers() (all, held int, err error) {
	if err := d.Tell("subscribers"); err != nil {
		return 0, 0, err
	}
	r, err := d.await(control.ServerReported, Patience)
	return r.Subscribers, r.Held, err
}

// Shutdown tells the server to end all streams. AwaitShutdown waits for it.
func (d *Driven) Shutdown() error { return d.Tell("shutdown") }

// AwaitShutdown waits until the server has ended all streams.
func (d *Driven) AwaitShutdown(limit time.Duration) error {
	_, err := d.await(control.ServerDone, limit)
	return err
}

func (d *Driven) await(is string, limit time.Duration) (control.ServerReply, error) {
	r, err := d.Answer(limit)
	if err == nil && r.Is != is {
		err = fmt.Errorf("%s says %q, want %q: %s", d.name, r.Is, is, r.Text)
	}
	return r, err
}
