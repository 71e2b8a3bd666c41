package drive

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// Server is a running server of one or several processes.
type Server struct {
	Addr    string
	Path    string // path for subscribers; {topic} stands for the topic
	Pattern string // path for pattern subscribers; empty if patterns are not supported
	Headers []string
	Body    bool // the server sends bytes of the body with the header
	Version string
	PIDs    []int // processes whose CPU time and memory are measured

	Publisher Publisher
	Stop      func()
}

// Publisher publishes waves in order, in the background. A wave is one event on
// each topic.
type Publisher interface {
	// Publish begins to publish waves of events with size bytes of data on the
	// first topics. It does not wait until they are published.
	Publish(waves, topics, size int) error

	Reset() error // resets the times and counts of Report
	Report() (control.ServerReply, error)
	Failure() error // returns the error that has stopped the publisher, or nil
}

// CPU returns the user and system time of the server's processes so far.
func (s *Server) CPU() time.Duration {
	sum := int64(0)
	for _, pid := range s.PIDs {
		sum += control.CPUTime(pid)
	}
	return time.Duration(sum)
}

// Resident returns the physical memory of the server's processes in bytes.
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

// Driven is a server that publishes events itself, on command.
type Driven struct {
	*Child[control.ServerReply]
	listening control.ServerReply
}

// StartDriven starts the program of a server, and waits until the server listens.
func StartDriven(ctx context.Context, name, path string, args ...string) (*Driven, error) {
	c, err := Spawn[control.ServerReply](ctx, name, nil, path, args...)
	if err != nil {
		return nil, err
	}
	d := &Driven{Child: c}
	d.listening, err = d.await(control.ServerListening, Timeout)
	if err != nil {
		c.Stop()
		return nil, err
	}
	return d, nil
}

// Server returns the server with its address and its publisher.
func (d *Driven) Server() *Server {
	at := d.listening
	return &Server{
		Addr: at.Addr, Path: at.Path, Pattern: at.Pattern, Body: at.Body, Version: at.Version,
		PIDs: []int{d.PID()}, Publisher: d, Stop: d.Stop,
	}
}

// Publish implements [Publisher].
func (d *Driven) Publish(waves, topics, size int) error {
	return d.Send("publish %d %d %d %d", waves, topics, size, control.Now())
}

// Reset implements [Publisher]: it resets all times.
func (d *Driven) Reset() error {
	if err := d.Send("reset"); err != nil {
		return err
	}
	_, err := d.await(control.ServerDone, Timeout)
	return err
}

// Report implements [Publisher]: it returns the counts of the server.
func (d *Driven) Report() (control.ServerReply, error) {
	if err := d.Send("report"); err != nil {
		return control.ServerReply{}, err
	}
	return d.await(control.ServerReported, Timeout)
}

// Subscribers returns the number of all subscribers, and the number of held
// subscribers. A held subscriber has a goroutine.
func (d *Driven) Subscribers() (all, held int, err error) {
	if err := d.Send("subscribers"); err != nil {
		return 0, 0, err
	}
	r, err := d.await(control.ServerReported, Timeout)
	return r.Subscribers, r.Held, err
}

// Shutdown makes the server end all streams. AwaitShutdown waits for the end.
func (d *Driven) Shutdown() error { return d.Send("shutdown") }

// AwaitShutdown waits until the server has ended all streams.
func (d *Driven) AwaitShutdown(limit time.Duration) error {
	_, err := d.await(control.ServerDone, limit)
	return err
}

func (d *Driven) await(is string, limit time.Duration) (control.ServerReply, error) {
	r, err := d.Reply(limit)
	if err == nil && r.Is != is {
		err = fmt.Errorf("%s replied %q, want %q: %s", d.name, r.Is, is, r.Text)
	}
	return r, err
}
