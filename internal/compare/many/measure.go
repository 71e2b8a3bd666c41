package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// figures are the results of a measurement.
type figures struct {
	clients    int       // number of processes of the load client
	counts     []float64 // number of subscribers of each server process
	goroutines int       // number of goroutines of all servers
	before     memory    // before the subscribers connect
	idle       memory    // with idle subscribers
	connect    drive.Cost
	first      drive.Outcome   // of the first event
	events     []drive.Outcome // of each later event
	shutdown   drive.Cost
}

// memory is the memory in use in bytes: the resident memory of the servers, and the
// memory of the kernel for sockets.
type memory struct{ rss, kernel float64 }

// measure connects the subscribers, publishes some events, and ends all
// streams.
func measure(ctx context.Context, p plan, dir string) (f figures, err error) {
	servers, err := startFleet(ctx, filepath.Join(dir, "serve"), p.servers)
	if err != nil {
		return f, err
	}
	s, err := drive.Open(ctx, servers.server(), filepath.Join(dir, "load"),
		drive.Audience{Topics: 1}, p.subscribers)
	if err != nil {
		return f, err
	}
	defer s.Close()
	f.clients = s.Load.Clients()
	if f.before, err = memoryInUse(s, p.settle); err != nil {
		return f, err
	}
	if f.connect, err = s.Connect(p.subscribers); err != nil {
		return f, err
	}
	progress("%s subscribers connected in %v", report.Figure(float64(p.subscribers)),
		f.connect.Wall.Round(time.Millisecond))
	if f.idle, err = memoryInUse(s, p.settle); err != nil {
		return f, err
	}
	if f.first, err = s.Run(once); err != nil {
		return f, fmt.Errorf("the first event: %w", err)
	}
	f.goroutines = f.first.Publish.Goroutines
	for i := range p.events {
		o, err := s.Run(once)
		if err != nil {
			return f, fmt.Errorf("event %d: %w", i+2, err)
		}
		f.events = append(f.events, o)
	}
	progress("%d events have reached all subscribers", p.events+1)
	if f.counts, err = servers.subscribers(p.subscribers); err != nil {
		return f, err
	}
	f.shutdown, err = shutdown(s, servers)
	return f, err
}

// once publishes one event to each subscriber.
var once = drive.Pace{Outstanding: 1, Waves: 1}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// memoryInUse returns the memory after a pause without activity.
func memoryInUse(s *drive.Session, settle time.Duration) (m memory, err error) {
	if err := s.Pause(settle); err != nil {
		return m, err
	}
	if m.rss, err = s.Server.Resident(); err != nil {
		return m, err
	}
	m.kernel, err = drive.KernelBytes()
	return m, err
}

// endLimit limits the time until all streams have ended.
const endLimit = 2 * time.Minute

// shutdown ends all streams, and waits until each subscriber has received the end of
// its stream.
func shutdown(s *drive.Session, servers fleet) (c drive.Cost, err error) {
	if err := s.Load.ExpectEnd(); err != nil {
		return c, err
	}
	cpu, began := s.Server.CPU(), time.Now()
	if err := servers.each((*drive.Driven).Shutdown); err != nil {
		return c, err
	}
	err = servers.each(func(d *drive.Driven) error { return d.AwaitShutdown(endLimit) })
	if err != nil {
		return c, err
	}
	if err := s.Load.AwaitEnd(endLimit); err != nil {
		return c, err
	}
	return drive.Cost{Wall: time.Since(began), CPU: s.Server.CPU() - cpu}, nil
}
