package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sse-go/sse/internal/compare/control"
	"github.com/sse-go/sse/internal/compare/drive"
)

// fleet is server processes on one port. They share nothing else, so that each
// is told to publish.
type fleet []*drive.Driven

// startFleet starts all of them before anybody connects: the kernel divides
// connections among those that listen.
func startFleet(ctx context.Context, path string, count int) (f fleet, err error) {
	addr := "127.0.0.1:0" // until the first tells which port it is
	for i := range count {
		d, err := drive.StartDriven(ctx, fmt.Sprintf("server %d", i), path, "ours-parked", "1", addr)
		if err != nil {
			f.stop()
			return nil, err
		}
		f = append(f, d)
		addr = d.Server().Addr
	}
	return f, nil
}

// server is all of them as one.
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

// each calls do for all of them, up to the first error.
func (f fleet) each(do func(*drive.Driven) error) error {
	for _, d := range f {
		if err := do(d); err != nil {
			return err
		}
	}
	return nil
}

// Publish is for [drive.Publisher], as all below.
func (f fleet) Publish(waves, topics, size int) error {
	return f.each(func(d *drive.Driven) error { return d.Publish(waves, topics, size) })
}

// Reset forgets the times of all.
func (f fleet) Reset() error { return f.each((*drive.Driven).Reset) }

// Report adds up all reports.
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

// Failure is why any of them cannot go on.
func (f fleet) Failure() error { return f.each(func(d *drive.Driven) error { return d.Failure() }) }

// subscribers is how many each of them has. All must be parked.
func (f fleet) subscribers(want int) (counts []float64, err error) {
	sum := 0
	err = f.each(func(d *drive.Driven) error {
		all, held, err := d.Subscribers()
		if held > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d subscribers are held, not parked", held, all))
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
