// Command hub measures what publishing to "sse serve" costs, over HTTP: beside a
// handler on net/http that does nothing, nginx with Nchan, and a handler that has a
// bbolt transaction for each event. Each is a process of its own; every event must be
// acknowledged.
//
//	go run ./hub                         the tables on standard output
//	go run ./hub -write FILE             and in the section "Hub" of FILE
//	go run ./hub -servers empty,memory -rounds 1
//	go run ./hub -quick                  a smoke test, whose figures mean nothing
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

// plan is how much is measured.
type plan struct {
	rounds      int
	few         int           // publishers, for what one event costs
	many        int           // publishers, for the disk
	fill        int           // events that the hub in memory has before
	warm        time.Duration // before what is measured
	turns       int           // of each in a round
	diskTurns   int           // of those on the disk
	during      time.Duration // of one in memory
	onDisk      time.Duration // of one on the disk
	streamLines int           // in each PUT
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
	isQuick := flag.Bool("quick", false, "a smoke test of everything")
	servers := flag.String("servers", "", "only these: empty, memory, nchan, …, with commas")
	write := flag.String("write", "", "write the tables into this file's section Hub")
	dir := flag.String("dir", "", "where to write events; if empty, the directory for temporary files")
	rounds := flag.Int("rounds", 0, "measurements of each figure (4, or 1 if quick)")
	turns := flag.Int("turns", 0, "of each in a round in memory (20, or 2 if quick)")
	limit := flag.Duration("timeout", time.Hour, "end after this time, whatever is left to do")
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
		fmt.Errorf("-timeout: %v were not enough", *limit))
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
