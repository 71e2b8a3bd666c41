// Command broker compares servers with thousands of subscribers: servers of
// this library and of other projects, a simple handler on net/http, and a
// minimal program in C. Each server runs in its own process, whose CPU time and
// memory are measured. The load client checks every event.
//
//	go run ./broker                         prints all tables to standard output
//	go run ./broker -write FILE             also replaces the section "Broker" of FILE
//	go run ./broker -servers floor,plain -only fanout,memory
//	go run ./broker -quick                  is a smoke test with meaningless numbers
//
// It needs Linux, and must run as root to read the memory use of the kernel. The
// servers that are not Go programs need gcc, nginx and libnginx-mod-nchan.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// plan is the extent of the measurements.
type plan struct {
	quick            bool
	rounds           int
	few, many        int           // numbers of subscribers of the fan-outs
	idleFrom, idleTo int           // numbers of subscribers between which memory is measured
	topics, perTopic int           // number of topics, and of subscribers of each topic
	outstanding      int           // number of outstanding events (see [drive.Pace])
	window           int           // number of outstanding events with a single subscriber
	during           time.Duration // shortest duration of a measurement
	pace             time.Duration // duration of a measurement at a fixed rate
	slow, fast       float64       // events/s to many and to few subscribers
	settle           time.Duration // pause before memory is read
}

var (
	full = plan{
		rounds: 3, few: 1000, many: 10_000, idleFrom: 4000, idleTo: 18_000,
		topics: 1000, perTopic: 10, outstanding: 16, window: 4096,
		during: 2 * time.Second, pace: 8 * time.Second, slow: 2, fast: 20, settle: 2 * time.Second,
	}
	quick = plan{
		quick: true, rounds: 1, few: 100, many: 400, idleFrom: 200, idleTo: 1000,
		topics: 40, perTopic: 10, outstanding: 16, window: 256,
		during: 100 * time.Millisecond, pace: 250 * time.Millisecond, slow: 20, fast: 40,
		settle: 100 * time.Millisecond,
	}
)

func main() {
	isQuick := flag.Bool("quick", false, "run a smoke test of all tables, in less than two minutes")
	servers := flag.String("servers", "",
		"measure only the servers in the comma-separated `LIST`, for example floor,plain,nchan")
	only := flag.String("only", "",
		"measure only tables whose key contains an item of `LIST`, for example memory,fanout")
	write := flag.String("write", "", "replace the section Broker of `FILE`")
	limit := flag.Duration("timeout", time.Hour, "stop after `DURATION`, even if measurements remain")
	rounds := flag.Int("rounds", 0, "measure each figure `N` times (3, with -quick 1)")
	few := flag.Int("few", 0, "use `N` subscribers in the smaller fan-out (1000)")
	many := flag.Int("many", 0, "use `N` subscribers in the larger fan-out (10000)")
	idle := flag.Int("idle", 0, "use `N` idle subscribers (18000)")
	during := flag.Duration("during", 0, "let a measurement take at least `DURATION` (2s)")
	flag.Parse()

	p := full
	if *isQuick {
		p = quick
	}
	override(&p.rounds, *rounds)
	override(&p.few, *few)
	override(&p.many, *many)
	override(&p.idleTo, *idle)
	override(&p.during, *during)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, drive.Terminated)
	ctx, cancel := context.WithTimeoutCause(ctx, *limit,
		fmt.Errorf("-timeout: the measurements take longer than %v", *limit))
	err := run(ctx, p, *servers, *only, *write)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

// override sets a setting to value, unless value is zero.
func override[T comparable](setting *T, value T) {
	var zero T
	if value != zero {
		*setting = value
	}
}

// list splits a comma-separated list. For "" it returns an empty list.
func list(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
}

func run(ctx context.Context, p plan, servers, only, write string) error {
	// The server's process has an open file for each subscriber, and some others.
	if err := drive.CheckSystem(max(p.many, p.idleTo, p.topics*p.perTopic) + 200); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sse-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &runner{plan: p, dir: dir}
	if err := drive.Build(ctx, dir, "load", "serve"); err != nil {
		return err
	}
	if err := r.find(ctx, list(servers)); err != nil {
		return err
	}
	for _, s := range r.scenarios() {
		isSelected := func(part string) bool { return strings.Contains(s.key, part) }
		if only == "" || slices.ContainsFunc(list(only), isSelected) {
			r.tables = append(r.tables, &table{scenario: s, rows: map[*contender]*row{}})
		}
	}
	failed := r.measure(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	section := r.render()
	if _, err := io.WriteString(os.Stdout, section); err != nil {
		return err
	}
	if write != "" {
		if err := report.ReplaceSection(write, section); err != nil {
			return err
		}
	}
	if failed > 0 {
		return errors.New("some measurements failed; see the messages above")
	}
	return nil
}
