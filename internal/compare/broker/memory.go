package main

import (
	"context"
	"fmt"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// memoryScenario measures the memory of one more idle subscriber: the difference
// between the memory with p.idleTo and with p.idleFrom subscribers, divided by the
// difference of these numbers. So the fixed memory of a server does not count.
func (r *runner) memoryScenario() *scenario {
	p := r.plan
	return &scenario{
		key: "memory",
		title: fmt.Sprintf("Memory per idle subscriber, from %s to %s subscribers",
			number(p.idleFrom), number(p.idleTo)),
		note: "The memory is in bytes for one more subscriber; the goroutines are counted in the whole " +
			"server. The kernel memory consists of objects in use (/proc/slabinfo) and socket buffers " +
			"(/proc/net/sockstat), for both ends of the connection. To get the memory of the server's " +
			"end, the client's end is subtracted: half of the kernel memory of the C program, and the " +
			"client's epoll entry.",
		columns: []column{
			{"rss", "RSS, bytes", false, report.Figure},
			{"kernel", "kernel memory of both ends, bytes", false, report.Figure},
			{"goroutines", "goroutines", false, report.Figure},
		},
		ratio: "rss", ratioName: "RSS",
		can: notCoalescing,
		measure: func(ctx context.Context, r *runner, c *contender) (figures, error) {
			return r.memory(ctx, c)
		},
	}
}

func (r *runner) memory(ctx context.Context, c *contender) (figures, error) {
	p := r.plan
	s, err := r.open(ctx, c, drive.Audience{Subscribers: p.idleFrom, Topics: 1}, p.idleTo)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	few, err := r.memoryInUse(s)
	if err != nil {
		return nil, err
	}
	if _, err := s.Connect(p.idleTo - p.idleFrom); err != nil {
		return nil, err
	}
	f, err := r.memoryInUse(s)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"rss", "kernel"} {
		f[key] = (f[key] - few[key]) / float64(p.idleTo-p.idleFrom)
	}
	publish, err := s.Server.Publisher.Report()
	if err != nil {
		return nil, err
	}
	if publish.Goroutines > 0 {
		f["goroutines"] = float64(publish.Goroutines)
	}
	// The idle subscribers must still be connected.
	if _, err := s.Run(drive.Pace{Outstanding: 1, Waves: 1}); err != nil {
		return nil, err
	}
	return f, nil
}

// memoryInUse returns the resident memory and the kernel memory in bytes, after a
// pause without events.
func (r *runner) memoryInUse(s *drive.Session) (figures, error) {
	if err := s.Pause(r.plan.settle); err != nil {
		return nil, err
	}
	rss, err := s.Server.Resident()
	if err != nil {
		return nil, err
	}
	kernel, err := drive.KernelBytes()
	return figures{"rss": rss, "kernel": kernel}, err
}

// clientEpoll is the kernel memory of an epoll entry in bytes: an eventpoll_epi
// and an eventpoll_pwq of /proc/slabinfo.
const clientEpoll = 128 + 72

// serverEnd returns the memory of the server's end of a connection in bytes, for a
// server (v) and for the C program, the floor (w). This is the memory of the process
// and of the kernel. The kernel memory that was measured is the memory of both ends.
// In the floor, the sockets of both ends need the same memory, and only the client's
// end has an epoll entry. The client's end is the same for all servers.
func serverEnd(f, floor figures) (v, w float64) {
	socket := (floor["kernel"] - clientEpoll) / 2
	return f["rss"] + f["kernel"] - clientEpoll - socket, floor["rss"] + socket
}
