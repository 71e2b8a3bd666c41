// Command floods measures how much a flood of requests delays a healthy client of the
// command "sse serve". The healthy client publishes a small event every 10 ms over one
// connection, and receives it over another. The turns with the flood and the turns with
// idle connections alternate: each pair of turns yields one ratio of the p99 of the
// latencies. The command prints the median of the ratios, and an interval that contains
// the true median with 95 % confidence.
//
//	go run ./floods                          every flood, with events in memory
//	go run ./floods -data                    and also with events on the disk
//	go run ./floods -only tickets,pages -turns 31
//
// The command must be run in internal/compare with GOWORK=off, on Linux. If a median is
// above the limit, or a flood cannot be measured, the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
)

// plan is the extent of the measurements.
type plan struct {
	turns  int
	during time.Duration // duration of a turn
	bin    string        // directory of the programs, and of the data of hubs
}

func main() {
	only := flag.String("only", "", "measure only the floods with a name in the comma-separated "+
		"`LIST`, for example tickets,pages")
	turns := flag.Int("turns", 15, "measure each flood `N` times, and as often without the flood")
	seconds := flag.Float64("seconds", 4, "let a turn take `N` seconds")
	disk := flag.Bool("data", false, "also measure a hub that stores events on the disk")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, drive.Terminated)
	var err error
	if args := flag.Args(); len(args) > 0 && args[0] == "generate" {
		err = generate(args[1:])
	} else {
		p := plan{turns: *turns, during: time.Duration(*seconds * float64(time.Second))}
		err = run(ctx, p, *only, *disk)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "floods:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, only string, disk bool) error {
	selected := slices.DeleteFunc(slices.Clone(floods), func(f *flood) bool {
		return only != "" && !slices.Contains(strings.Split(only, ","), f.name)
	})
	if p.turns < 1 || p.during < time.Second || p.during > time.Minute || len(selected) == 0 {
		return errors.New("-turns must be at least 1, -seconds from 1 to 60, " +
			"and -only must contain the name of a flood")
	}
	var err error
	if p.bin, err = os.MkdirTemp("", "sse-floods-"); err != nil {
		return err
	}
	defer os.RemoveAll(p.bin)
	err = errors.Join(drive.CheckSystem(2600), drive.Build(ctx, p.bin, "load"),
		drive.BuildHub(ctx, p.bin))
	if err != nil {
		return err
	}
	within := true
	places := []string{"in memory", "on the disk"}
	if !disk {
		places = places[:1]
	}
	for i, place := range places {
		fmt.Printf(heading, place, p.turns, p.during)
		var rows []*row
		for _, f := range selected {
			r := p.measure(ctx, f, i == 1)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			rows = append(rows, r)
			fmt.Println(r)
		}
		text, ok := verdict(rows)
		within = within && ok
		fmt.Printf("\n%s\n\n", text)
	}
	if !within {
		return errors.New("a flood is not within the limit")
	}
	return nil
}

// measure measures a flood. The order of the two kinds of turns changes with every pair.
func (p plan) measure(ctx context.Context, f *flood, onDisk bool) *row {
	r := &row{flood: f}
	for i := range p.turns {
		for j := range 2 {
			kind, turns := "idle", &r.idle
			if (i+j)%2 == 1 {
				kind, turns = "flood", &r.flooded
			}
			t, err := p.turn(ctx, f, kind, onDisk)
			if err != nil {
				r.err = fmt.Errorf("turn %d, %s: %w", i+1, kind, err)
				return r
			}
			*turns = append(*turns, t)
		}
	}
	return r
}

// pace is the pace of the healthy client.
var pace = drive.Pace{Interval: 10 * time.Millisecond, Waves: 20}

// open starts a hub and the healthy client. data is the data directory, or "memory".
func (p plan) open(ctx context.Context, f *flood, data string) (*drive.Session, error) {
	server, err := drive.StartHub(ctx, p.bin, append([]string{"--data", data}, f.hub...)...)
	if err != nil {
		return nil, err
	}
	if f.fill != nil {
		if err := f.fill(server.Addr); err != nil {
			server.Stop()
			return nil, err
		}
	}
	key, end := "Bearer "+secret, server.Stop
	posts, stop := drive.StartPosts(ctx, http.Header{"Authorization": {key}},
		drive.PublishTo(server.Addr))
	posts.FromCall = true
	server.Publisher, server.Headers = posts, []string{"Authorization: " + key}
	server.Stop = func() { stop(); end() }
	s, err := drive.Open(ctx, server, p.bin+"/load", drive.Audience{Subscribers: 1, Topics: 1}, 1)
	if err != nil {
		return nil, err
	}
	if _, err := s.Run(pace); err != nil { // to warm up
		s.Close()
		return nil, err
	}
	return s, nil
}

// turn measures the latencies of the healthy client with a new hub and a generator.
// kind is "flood" or "idle".
func (p plan) turn(ctx context.Context, f *flood, kind string, onDisk bool) (t turn, err error) {
	data := "memory"
	if onDisk {
		if data, err = os.MkdirTemp(p.bin, "events"); err != nil {
			return t, err
		}
		defer os.RemoveAll(data)
	}
	s, err := p.open(ctx, f, data)
	if err != nil {
		return t, err
	}
	defer s.Close()
	g, err := drive.Spawn[tally](ctx, "generator", nil, "/proc/self/exe",
		"generate", f.name, kind, s.Server.Addr, fmt.Sprint(60+int(p.during.Seconds())))
	if err != nil {
		return t, err
	}
	defer g.Stop()
	if _, err := g.Reply(drive.Timeout); err != nil {
		return t, err
	}
	// The flood ends when the publishing ends. Otherwise late events would be delayed
	// without end.
	ended, cpu, began := make(chan error, 1), s.Server.CPU(), time.Now()
	go func() {
		time.Sleep(p.during)
		t.cpu = (s.Server.CPU() - cpu).Seconds() / time.Since(began).Seconds()
		err := g.Send("tally")
		if err == nil {
			t.used, err = g.Reply(drive.Timeout)
		}
		g.Stop()
		ended <- err
	}()
	publish := pace
	publish.During = p.during
	o, err := s.Run(publish)
	if err = errors.Join(err, <-ended); t.used.Units == 0 && t.used.Failed > 0 {
		err = errors.Join(err, fmt.Errorf("each request of the flood failed: %s", t.used.Error))
	}
	if err == nil {
		t.peak, err = drive.PeakBytes(s.Server.PIDs[0])
	}
	t.latency = o.Latency
	return t, err
}
