// Command codec compares the speed of encoders and decoders: ours, other
// people's, and the bound that none can pass. All are measured in turn, in one
// process, in CPU time.
//
//	go run ./codec                       a table on standard output
//	go run ./codec -write FILE           and in the section "Codec" of FILE
//	go run ./codec -rounds 1 -slice 1ms  a smoke test, whose figures mean nothing
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/report"
)

func main() {
	p := plan{}
	flag.IntVar(&p.rounds, "rounds", 7, "paired runs; the ratio is their median")
	flag.IntVar(&p.slices, "slices", 2, "turns of each contender in a run")
	flag.DurationVar(&p.slice, "slice", 100*time.Millisecond, "CPU time of one turn")
	write := flag.String("write", "", "write the table into this file's section Codec")
	only := flag.String("only", "", "contenders whose name contains this, and nothing else")
	workload := flag.String("workload", "", "workloads whose name contains this")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if err := run(p, *only, *workload, *write, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "codec:", err)
		os.Exit(1)
	}
}

func run(p plan, only, workload, write, profile string) error {
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var results []result
	for _, r := range contests() {
		if !strings.Contains(r.workload.name, workload) {
			continue
		}
		if only != "" {
			r.keep(only)
		}
		if len(r.all()) == 0 {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s %s\n", r.kind, r.workload.name)
		if err := p.measure(r.all()); err != nil {
			return err
		}
		results = append(results, r)
	}
	section := render(p, results)
	if _, err := io.WriteString(os.Stdout, section); err != nil {
		return err
	}
	if write == "" {
		return nil
	}
	return report.ReplaceSection(write, section)
}

// contests are all the tables to be: decoding first.
func contests() []result {
	var results []result
	for _, w := range decoding {
		r := result{kind: "decoding", workload: w}
		r.bound = []*contender{decoderContender(bound, w)}
		for _, d := range ours {
			r.ours = append(r.ours, decoderContender(d, w))
		}
		for _, d := range decodePeers {
			r.peers = append(r.peers, decoderContender(d, w))
		}
		results = append(results, r)
	}
	for _, w := range encoding {
		r := result{kind: "encoding", workload: w}
		for _, e := range ourEncoders {
			r.ours = append(r.ours, encoderContender(e, w))
		}
		for _, e := range encodePeers {
			r.peers = append(r.peers, encoderContender(e, w))
		}
		results = append(results, r)
	}
	return results
}
