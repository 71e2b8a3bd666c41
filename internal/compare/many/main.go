// Command many shows what a crowd costs: 150,000 subscribers, which is more than
// one process may have open files for. Several server processes listen on one
// port, several load clients connect to it and check every event.
//
//	go run ./many                     the tables on standard output
//	go run ./many -write FILE         and in the section "Many" of FILE
//	go run ./many -subscribers 50000
//	go run ./many -quick              a smoke test, whose figures mean nothing
//
// Beside it stands what a broker costs that has up to a million subscribers, and
// writes to none of them: BenchmarkManyParked of the library.
//
// It needs Linux, and root for what the kernel's memory is.
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

// plan is how much is measured.
type plan struct {
	subscribers int
	servers     int           // processes
	events      int           // after the first
	settle      time.Duration // before memory is read
	benchmarks  string        // which, for go test
	benchtime   string
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

// perServer is how many subscribers a server process has, of the 20,000 open
// files that are a hard limit in some places. The kernel does not divide them
// evenly, and a subscriber that is about to be parked has two.
const perServer = 17_000

func main() {
	isQuick := flag.Bool("quick", false, "a smoke test of everything, in less than a minute")
	subscribers := flag.Int("subscribers", 0, "subscribers in all (150000, or 2000 if quick)")
	servers := flag.Int("servers", 0, "server processes (one for 17000 subscribers, or 2 if quick)")
	write := flag.String("write", "", "write the tables into this file's section Many")
	limit := flag.Duration("timeout", 20*time.Minute, "end after this time, whatever is left to do")
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
		fmt.Errorf("-timeout: %v were not enough", *limit))
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
	// perSubscriber is the memory for both ends of one: of the kernel about 9 KB,
	// and what the two processes and net/http's handshakes have.
	perSubscriber = 12 << 10
	// perProcess is what a process has before the first.
	perProcess = 24 << 20
)

// check says what is missing before a long run does.
func check(p plan) error {
	// The kernel gives each connection to a process at random, so that a process
	// gets more than its share by the square root of it, and almost never by six
	// times as much. The rest is handshakes, and the process's own.
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
		return fmt.Errorf("both ends of %s subscribers take about %s of memory, and %s are available: "+
			"ask for fewer by -subscribers", report.Figure(float64(p.subscribers)),
			megabytes(float64(need)), megabytes(float64(available)))
	}
	return nil
}
