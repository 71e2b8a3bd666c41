// Command many measures the cost of 150,000 subscribers. One process cannot have so
// many open files. So several server processes listen on one port, and several load
// clients connect to this port and check every event.
//
//	go run ./many                     prints the tables to standard output
//	go run ./many -write FILE         also replaces the section "Many" of FILE
//	go run ./many -subscribers 50000
//	go run ./many -quick              is a smoke test with meaningless numbers
//
// It also runs BenchmarkManyParked of the library: a broker with up to a million
// subscribers, whose writes do nothing.
//
// It needs Linux, and root to read the memory of the kernel.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// plan is the extent of the measurements.
type plan struct {
	subscribers int
	servers     int           // number of server processes
	events      int           // number of events after the first event
	settle      time.Duration // pause before memory is read
	benchmarks  string        // value of -test.bench
	benchtime   string        // value of -test.benchtime
}

var (
	full = plan{
		subscribers: 150_000, events: 5, settle: 3 * time.Second,
		benchmarks: "ManyParked", benchtime: "20x",
	}
	quick = plan{
		subscribers: 2000, servers: 2, events: 2, settle: 100 * time.Millisecond,
		benchmarks: "ManyParked/^10{3,4}$", benchtime: "1x",
	}
)

// perServer is the number of subscribers of a server process. Some systems have
// a hard limit of 20,000 open files. The kernel does not distribute the
// subscribers evenly, and a subscriber has two files while it is being parked.
const perServer = 17_000

func main() {
	isQuick := flag.Bool("quick", false, "run a smoke test of all tables, in less than a minute")
	subscribers := flag.Int("subscribers", 0,
		"connect `N` subscribers in total (150000, with -quick 2000)")
	servers := flag.Int("servers", 0,
		"start `N` server processes (one for 17000 subscribers, with -quick 2)")
	write := flag.String("write", "", "replace the section Many of `FILE`")
	limit := flag.Duration("timeout", 20*time.Minute,
		"stop after `DURATION`, even if measurements remain")
	flag.Parse()

	p := full
	if *isQuick {
		p = quick
	}
	if *subscribers > 0 {
		p.subscribers = *subscribers
	}
	if *servers > 0 {
		p.servers = *servers
	}
	if p.servers == 0 {
		p.servers = (p.subscribers + perServer - 1) / perServer
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, drive.Terminated)
	ctx, cancel := context.WithTimeoutCause(ctx, *limit,
		fmt.Errorf("-timeout: the measurements take longer than %v", *limit))
	err := run(ctx, p, *write)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "many:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, write string) error {
	if err := check(p); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sse-many-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := drive.Build(ctx, dir, "load", "serve"); err != nil {
		return err
	}
	f, err := measure(ctx, p, dir)
	if err != nil {
		return err
	}
	b, err := benchmark(ctx, p, dir)
	if err != nil {
		return err
	}
	section := render(p, f, b)
	if _, err := io.WriteString(os.Stdout, section); err != nil || write == "" {
		return err
	}
	return report.ReplaceSection(write, section)
}

const (
	// perSubscriber is the memory for both ends of a subscriber's connection in
	// bytes: about 9 KB of the kernel, and memory of the two processes and of
	// net/http's handshakes.
	perSubscriber = 12 << 10
	// perProcess is the memory of a process without subscribers in bytes.
	perProcess = 24 << 20
)

// check returns an error if the machine has too few resources for the plan.
func check(p plan) error {
	// The kernel assigns connections to processes at random. The standard deviation
	// of a process's number of connections is the square root of its share. A number
	// that is six times as far from the share is extremely rare. The other 400 files
	// are for handshakes and for the process itself.
	share := float64(p.subscribers) / float64(p.servers)
	if err := drive.CheckSystem(int(share+6*math.Sqrt(share)) + 400); err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	available, err := availableBytes(string(text))
	if err != nil {
		return err
	}
	need := int64(p.subscribers)*perSubscriber + int64(2*p.servers+1)*perProcess
	if need > available {
		return fmt.Errorf("%s subscribers need about %s of memory for both ends, but %s are available: "+
			"set fewer with -subscribers", report.Figure(float64(p.subscribers)),
			megabytes(float64(need)), megabytes(float64(available)))
	}
	return nil
}
