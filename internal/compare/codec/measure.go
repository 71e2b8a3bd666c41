package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/sse-go/sse/internal/compare/report"
	"github.com/sse-go/sse/internal/heap"
)

// contender is one codec with one workload.
type contender struct {
	name    string
	partial bool              // the codec does only a part of the work
	unit    int               // encoded size of one event in bytes
	run     func(n int) error // encodes or decodes n events, and checks the result

	events     int       // number of events in one slice
	speeds     []float64 // bytes per CPU second, one element for each round
	allocs     float64   // number of allocated objects per event
	allocBytes float64   // number of allocated bytes per event
}

// plan is the extent of the measurement. A slice is one turn of a contender.
type plan struct {
	rounds int           // number of rounds; each yields one speed of each contender
	slices int           // number of slices of each contender in a round
	slice  time.Duration // CPU time of a slice
}

// minEvents is the smallest number of events in a slice. A decoder allocates some
// memory only once, for example a buffer that grows to a megabyte. With several
// events in a slice, the cost of this memory is divided among them.
const minEvents = 8

// measure runs all contenders in turn, round after round. So the same noise affects
// all of them: other processes, the CPU frequency, and caches.
func (p plan) measure(all []*contender) error {
	for _, c := range all {
		if err := c.calibrate(p.slice); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for range p.rounds {
		spent := make([]time.Duration, len(all))
		for range p.slices {
			for i, c := range all {
				d, err := c.cpu(c.events)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				spent[i] += d
			}
		}
		for i, c := range all {
			done := float64(c.unit) * float64(c.events) * float64(p.slices)
			c.speeds = append(c.speeds, done/spent[i].Seconds())
		}
	}
	return nil
}

// calibrate determines the number of events in a slice and the allocations of
// one event.
func (c *contender) calibrate(slice time.Duration) error {
	n := minEvents
	d, err := c.cpu(n)
	for ; err == nil && d < slice/8; n *= 4 {
		d, err = c.cpu(n * 4)
	}
	if err != nil {
		return err
	}
	c.events = max(minEvents, int(float64(n)*float64(slice)/float64(d)))

	// The difference between the allocations of 2n events and of n events is the cost
	// of n events, without one-time allocations.
	n = max(minEvents, min(c.events, 1000))
	objects1, bytes1 := c.allocated(n)
	objects2, bytes2 := c.allocated(2 * n)
	c.allocs = max(0, float64(objects2)-float64(objects1)) / float64(n)
	c.allocBytes = max(0, float64(bytes2)-float64(bytes1)) / float64(n)
	return nil
}

// cpu returns the CPU time of this process for n events. First it collects the
// garbage of other contenders, so that this garbage does not count.
func (c *contender) cpu(n int) (time.Duration, error) {
	runtime.GC()
	before := processTime()
	err := c.run(n)
	return processTime() - before, err
}

// allocated returns the allocations for n events.
func (c *contender) allocated(n int) (objects, bytes uint64) {
	return heap.Allocated(func() {
		if err := c.run(n); err != nil {
			panic(err) // cannot happen: cpu has called c.run before, without an error
		}
	})
}

// processTime returns the user and system time of this process.
func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// ratio returns the spread of the ratios of the speeds of a to the speeds of b, one
// ratio for each round.
func ratio(a, b *contender) report.Spread {
	ratios := make([]float64, len(a.speeds))
	for i := range ratios {
		ratios[i] = a.speeds[i] / b.speeds[i]
	}
	return report.SpreadOf(ratios)
}

func decoderContender(d decoder, w workload) *contender {
	return &contender{name: d.name, partial: d.partial, unit: len(w.unit), run: func(n int) error {
		events, size, err := d.decode(w.stream(n))
		if err != nil {
			return err
		}
		if d.name == upperBound.name {
			return nil // upperBound does not decode, so its counts may differ
		}
		if events != n || size != n*len(w.data) {
			return fmt.Errorf("decoded %d events with %d bytes, want %d with %d",
				events, size, n, n*len(w.data))
		}
		return nil
	}}
}

func encoderContender(e encoder, w workload) *contender {
	s := &sink{buf: make([]byte, 0, 2*len(w.unit))}
	encode := e.start(w.event, s)
	return &contender{name: e.name, partial: e.partial, unit: len(w.unit), run: func(n int) error {
		for range n {
			s.buf = s.buf[:0]
			if err := encode(); err != nil {
				return err
			}
		}
		if len(s.buf) < len(w.data) {
			return fmt.Errorf("encoded %d bytes of %d", len(s.buf), len(w.unit))
		}
		return nil
	}}
}
