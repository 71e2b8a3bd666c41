// Command broker compares servers with thousands of subscribers: ours, other
// people's, one by hand, and the floor that none can be cheaper than. Each runs
// in a process of its own, whose CPU time and memory are measured; the load
// client checks every event.
//
//	go run ./broker                         all tables on standard output
//	go run ./broker -write FILE             and in the section "Broker" of FILE
//	go run ./broker -servers floor,plain -only fanout,memory
//	go run ./broker -quick                  a smoke test, whose figures mean nothing
//
// It needs Linux, root for what the kernel's memory is, and, for the peers that
// are not Go libraries, what they need: gcc, nginx and libnginx-mod-nchan.
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

// plan is how much is measured.
type plan struct {
	quick            bool
	rounds           int
	few, many        int // subscribers
	idleFrom, idleTo int // subscribers, for memory
	topics, perTopic int
	outstanding      int
	window           int           // outstanding events of one subscriber
	during           time.Duration // of one drive, at least
	pace             time.Duration // of one drive at a pace
	slow, fast       float64       // events/s to many and few
	settle           time.Duration // before memory is read
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
	isQuick := flag.Bool("quick", false, "a smoke test of everything, in less than two minutes")
	servers := flag.String("servers", "", "only these: floor, plain, nchan, …, with commas")
	only := flag.String("only", "", "only tables with one of these in their key: memory, fanout, …")
	write := flag.String("write", "", "write the tables into this file's section Broker")
	limit := flag.Duration("timeout", time.Hour, "end after this time, whatever is left to do")
	rounds := flag.Int("rounds", 0, "measurements of each figure (3, or 1 if quick)")
	few := flag.Int("few", 0, "subscribers in the smaller fan-out (1000)")
	many := flag.Int("many", 0, "subscribers in the larger fan-out (10000)")
	idle := flag.Int("idle", 0, "idle subscribers (18000)")
	during := flag.Duration("during", 0, "length of a measurement at least (2s)")
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
		fmt.Errorf("-timeout: %v were not enough", *limit))
	err := run(ctx, p, *servers, *only, *write)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

func override[T comparable](setting *T, value T) {
	var zero T
	if value != zero {
		*setting = value
	}
}

// list splits at commas, and "" into nothing.
func list(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
}

func run(ctx context.Context, p plan, servers, only, write string) error {
	// The server has all subscribers; the rest is its own.
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
		selected := func(part string) bool { return strings.Contains(s.key, part) }
		if only == "" || slices.ContainsFunc(list(only), selected) {
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
		return errors.New("some measurements have failed; see above")
	}
	return nil
}
