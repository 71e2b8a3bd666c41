package main

import (
	"context"
	"fmt"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// memoryScenario is what one more idle subscriber costs. That is a slope, so that
// what a server needs anyway is not counted.
func (r *runner) memoryScenario() *scenario {
	p := r.plan
	return &scenario{
		key: "memory",
		title: fmt.Sprintf("Memory, from %s to %s idle subscribers",
			number(p.idleFrom), number(p.idleTo)),
		note: "Bytes for each subscriber. The kernel's are its objects in use (/proc/slabinfo) and " +
			"socket buffers (/proc/net/sockstat), of both ends of the connection. The server's end " +
			"is what remains without the client's: half of the floor's, and the client's epoll.",
		columns: []column{
			{"rss", "B of RSS", report.Figure},
			{"kernel", "B of the kernel, both ends", report.Figure},
			{"goroutines", "goroutines, all", report.Figure},
		},
		ratio: "rss",
		can:   everybody,
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
	few, err := r.occupied(s)
	if err != nil {
		return nil, err
	}
	if _, err := s.Connect(p.idleTo - p.idleFrom); err != nil {
		return nil, err
	}
	f, err := r.occupied(s)
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
	// Who is idle must be there still.
	if _, err := s.Run(drive.Pace{Outstanding: 1, Waves: 1}); err != nil {
		return nil, err
	}
	return f, nil
}

// occupied is the memory in use after a moment of quiet.
func (r *runner) occupied(s *drive.Session) (figures, error) {
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

// clientEpoll is what an epoll registration takes: an eventpoll_epi and an
// eventpoll_pwq of /proc/slabinfo.
const clientEpoll = 128 + 72

// serverEnd is what the server takes of the process's and the kernel's memory,
// and what the floor does. The floor's server has no epoll, and the client's end
// is the same for all.
func serverEnd(f, floor figures) (v, w float64) {
	socket := (floor["kernel"] - clientEpoll) / 2
	return f["rss"] + f["kernel"] - clientEpoll - socket, floor["rss"] + socket
}
