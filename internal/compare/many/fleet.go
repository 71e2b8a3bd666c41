package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sse-go/sse/internal/compare/control"
	"github.com/sse-go/sse/internal/compare/drive"
)

// fleet is a group of server processes on one port. They share nothing else, so each
// process must publish every event.
type fleet []*drive.Driven

// startFleet starts the processes. All of them must listen before the first
// subscriber connects, because the kernel distributes connections only among the
// processes that listen.
func startFleet(ctx context.Context, path string, count int) (f fleet, err error) {
	addr := "127.0.0.1:0" // until the first process returns its port
	for i := range count {
		d, err := drive.StartDriven(ctx, fmt.Sprintf("server %d", i), path, "sse-parked", "1", addr)
		if err != nil {
			f.stop()
			return nil, err
		}
		f = append(f, d)
		addr = d.Server().Addr
	}
	return f, nil
}

// server returns all processes as one server.
func (f fleet) server() *drive.Server {
	s := f[0].Server()
	s.PIDs = nil
	for _, d := range f {
		s.PIDs = append(s.PIDs, d.PID())
	}
	s.Publisher, s.Stop = f, f.stop
	return s
}

func (f fleet) stop() {
	for _, d := range f {
		d.Stop()
	}
}

// each calls do for all processes, until the first error.
func (f fleet) each(do func(*drive.Driven) error) error {
	for _, d := range f {
		if err := do(d); err != nil {
			return err
		}
	}
	return nil
}

// Publish makes each process publish the waves. Publish and the methods below
// implement [drive.Publisher].
func (f fleet) Publish(waves, topics, size int) error {
	return f.each(func(d *drive.Driven) error { return d.Publish(waves, topics, size) })
}

// Reset resets the times of all processes.
func (f fleet) Reset() error { return f.each((*drive.Driven).Reset) }

// Report returns the sum of all reports.
func (f fleet) Report() (sum control.ServerReply, err error) {
	err = f.each(func(d *drive.Driven) error {
		r, err := d.Report()
		sum.Goroutines += r.Goroutines
		sum.Published += r.Published
		sum.Call.Merge(r.Call)
		sum.Command.Merge(r.Command)
		return err
	})
	return sum, err
}

// Failure returns the error of a failed process, or nil.
func (f fleet) Failure() error { return f.each(func(d *drive.Driven) error { return d.Failure() }) }

// subscribers returns the number of subscribers of each process. It returns an error
// if a subscriber is not parked, or if the total number is not want.
func (f fleet) subscribers(want int) (counts []float64, err error) {
	sum := 0
	err = f.each(func(d *drive.Driven) error {
		all, held, err := d.Subscribers()
		if held > 0 {
			err = errors.Join(err,
				fmt.Errorf("all subscribers must be parked, but %d of %d are held", held, all))
		}
		counts = append(counts, float64(all))
		sum += all
		return err
	})
	if err == nil && sum != want {
		err = fmt.Errorf("the servers have %d subscribers, want %d", sum, want)
	}
	return counts, err
}
