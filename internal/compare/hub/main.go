// Command hub measures the cost of publishing to "sse serve" over HTTP, and
// compares it with an empty handler on net/http, nginx with Nchan, and a
// handler that runs a bbolt transaction for each event. Each server runs in its
// own process and must acknowledge every event.
//
//	go run ./hub                         prints the tables to standard output
//	go run ./hub -write FILE             also replaces the section "Hub" of FILE
//	go run ./hub -servers empty,memory -rounds 1
//	go run ./hub -quick                  is a smoke test with meaningless numbers
//
// It needs Linux and, for Nchan, nginx and libnginx-mod-nchan.
package main

import (
	"context"
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
	rounds      int
	few         int           // number of publishers to servers in memory
	many        int           // number of publishers to servers on disk
	fill        int           // number of events that fill a hub in memory
	warm        time.Duration // duration of publishing before the measurement
	turns       int           // number of turns of a contender in memory in each round
	diskTurns   int           // number of turns of a contender on disk in each round
	during      time.Duration // duration of a turn in memory
	onDisk      time.Duration // duration of a turn on disk
	streamLines int           // number of lines in each PUT
}

var (
	full = plan{
		rounds: 4, few: 16, many: 500, fill: 20_000, warm: 500 * time.Millisecond,
		turns: 20, during: 200 * time.Millisecond, diskTurns: 2, onDisk: 4 * time.Second, streamLines: 10_000,
	}
	quick = plan{
		rounds: 1, few: 4, many: 20, fill: 2000, warm: 50 * time.Millisecond,
		turns: 2, during: 50 * time.Millisecond, diskTurns: 1, onDisk: 300 * time.Millisecond, streamLines: 1000,
	}
)

func main() {
	isQuick := flag.Bool("quick", false, "run a smoke test of all servers")
	servers := flag.String("servers", "",
		"measure only the servers in the comma-separated `LIST`, for example empty,memory")
	write := flag.String("write", "", "replace the section Hub of `FILE`")
	dir := flag.String("dir", "",
		"write events below `DIR`; if empty, below the directory for temporary files")
	rounds := flag.Int("rounds", 0, "measure each figure `N` times (4, with -quick 1)")
	turns := flag.Int("turns", 0,
		"give each server in memory `N` turns in a round (20, with -quick 2)")
	limit := flag.Duration("timeout", time.Hour, "stop after `DURATION`, even if measurements remain")
	flag.Parse()

	p := full
	if *isQuick {
		p = quick
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	if *turns > 0 {
		p.turns = *turns
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, drive.Terminated)
	ctx, cancel := context.WithTimeoutCause(ctx, *limit,
		fmt.Errorf("-timeout: the measurements take longer than %v", *limit))
	err := run(ctx, p, *dir, *servers, *write)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hub:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, dir, servers, write string) error {
	dir, err := os.MkdirTemp(dir, "sse-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := drive.Build(ctx, dir, "posted"); err != nil {
		return err
	}
	if err := drive.BuildHub(ctx, dir); err != nil {
		return err
	}
	all := contenders(p)
	if servers != "" {
		keys := strings.Split(servers, ",")
		all = slices.DeleteFunc(all, func(c *contender) bool { return !slices.Contains(keys, c.key) })
	}
	for i := range p.rounds {
		for _, disk := range []bool{false, true} {
			fmt.Fprintf(os.Stderr, "round %d\n", i+1)
			group := slices.DeleteFunc(slices.Clone(all), func(c *contender) bool { return c.disk != disk })
			turns := p.turns
			if disk {
				turns = p.diskTurns
			}
			if err := round(ctx, p, dir, group, turns); err != nil {
				return err
			}
		}
	}
	section := render(p, all)
	if _, err := io.WriteString(os.Stdout, section); err != nil || write == "" {
		return err
	}
	return report.ReplaceSection(write, section)
}
