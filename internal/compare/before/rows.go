package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
)

// row is one figure, which is measured for both builds.
type row struct {
	name, unit string
	measure    func(ctx context.Context, t *tree) (float64, error)
}

// rows returns every row. load is the path of the load client.
func rows(load string) []*row {
	const parked, held = "parked", "held"
	during := func(outstanding int) drive.Pace {
		return drive.Pace{Outstanding: outstanding, During: time.Second}
	}
	// 2048 outstanding events are half of the lag at which a broker disconnects a
	// subscriber. The broker counts an event until the write has returned, but the
	// client may report the event before that.
	one := drive.Pace{Outstanding: 2048, Every: 256, During: time.Second}
	return []*row{
		fanout("fanout parked 1,000", parked, load, 1000, during(1)),
		fanout("fanout parked 10,000", parked, load, 10_000, during(1)),
		fanout("fanout parked 10,000, 16 outstanding", parked, load, 10_000, during(16)),
		fanout("fanout held 1,000", held, load, 1000, during(1)),
		memory("memory parked, 2,000 to 10,000", parked, load, 2000, 10_000),
		memory("memory held, 1,000 to 5,000", held, load, 1000, 5000),
		fanout("publish one by one to one", parked, load, 1, one),
		fanout("publish many at once to one", "publishall", load, 1, one),
		benchmark("publish without subscribers", "^BenchmarkPublish$/^nobody$", 1_000_000),
		benchmark("publish to a loop", "^BenchmarkPublish$/^called$", 300_000),
		benchmark("codec decode", "^BenchmarkDecode$", 2000),
		benchmark("codec encode", "^BenchmarkEncode$", 20_000),
	}
}

// fanout measures the CPU time of the server for each delivered event.
func fanout(name, server, load string, subscribers int, p drive.Pace) *row {
	return &row{name, "µs of CPU", func(ctx context.Context, t *tree) (float64, error) {
		s, err := open(ctx, t, server, load, subscribers, subscribers)
		if err != nil {
			return 0, err
		}
		defer s.Close()
		if _, err := s.Run(drive.Pace{Outstanding: 1, Waves: 2}); err != nil {
			return 0, err
		}
		o, err := s.Run(p)
		if err != nil {
			return 0, err
		}
		return float64(o.CPU.Nanoseconds()) / 1e3 / float64(o.Events), nil
	}}
}

// memory measures the resident memory of each additional idle subscriber.
func memory(name, server, load string, from, to int) *row {
	return &row{name, "B", func(ctx context.Context, t *tree) (float64, error) {
		s, err := open(ctx, t, server, load, from, to)
		if err != nil {
			return 0, err
		}
		defer s.Close()
		few, err := residentMemory(s)
		if err != nil {
			return 0, err
		}
		if _, err := s.Connect(to - from); err != nil {
			return 0, err
		}
		many, err := residentMemory(s)
		return (many - few) / float64(to-from), err
	}}
}

// residentMemory returns the resident memory of the server in bytes, after a second
// without events.
func residentMemory(s *drive.Session) (float64, error) {
	if err := s.Pause(time.Second); err != nil {
		return 0, err
	}
	return s.Server.Resident()
}

// open starts a server of the tree t and its subscribers. server is the name of the
// server without its prefix, for example "parked".
func open(ctx context.Context, t *tree, server, load string, subscribers, upTo int) (
	*drive.Session, error) {
	path := filepath.Join(t.bin, "serve")
	list, err := exec.CommandContext(ctx, path, "list").Output()
	if err != nil {
		return nil, err
	}
	// Earlier commits have another prefix in the names of their servers.
	i := slices.IndexFunc(strings.Fields(string(list)), func(name string) bool {
		return strings.HasSuffix(name, "-"+server)
	})
	if i < 0 {
		return nil, fmt.Errorf("%s has no server %s", path, server)
	}
	name := strings.Fields(string(list))[i]
	d, err := drive.StartDriven(ctx, name, path, name, "1")
	if err != nil {
		return nil, err
	}
	return drive.Open(ctx, d.Server(), load, drive.Audience{Subscribers: subscribers, Topics: 1}, upTo)
}

// benchmark measures the CPU time of a process that executes a benchmark of package
// sse with a fixed number of iterations.
func benchmark(name, pattern string, times int) *row {
	return &row{name, "s of CPU", func(ctx context.Context, t *tree) (float64, error) {
		bin, err := filepath.Abs(filepath.Join(t.bin, "sse.test"))
		if err != nil {
			return 0, err
		}
		cmd := exec.CommandContext(ctx, bin, "-test.run", "^$", "-test.bench", pattern,
			"-test.benchtime", fmt.Sprint(times, "x"))
		cmd.Dir = t.root
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, out)
		}
		return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
	}}
}
