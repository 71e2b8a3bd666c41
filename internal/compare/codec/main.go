// Command codec compares the speed of the encoders and decoders of this library and
// of other libraries. It also measures an upper bound for decoders. All of them take
// turns in one process, and the CPU time of each turn is measured.
//
//	go run ./codec                       prints a table to standard output
//	go run ./codec -write FILE           also replaces the section "Codec" of FILE
//	go run ./codec -rounds 1 -slice 1ms  is a smoke test with meaningless numbers
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
	flag.IntVar(&p.rounds, "rounds", 7, "measure each contender `N` times and use the median")
	flag.IntVar(&p.slices, "slices", 2, "give each contender `N` turns in a run")
	flag.DurationVar(&p.slice, "slice", 100*time.Millisecond, "let a turn take `DURATION` of CPU time")
	write := flag.String("write", "", "replace the section Codec of `FILE`")
	only := flag.String("only", "",
		"measure only contenders whose name contains `TEXT`, for example tmaxmax")
	workload := flag.String("workload", "",
		"measure only workloads whose name contains `TEXT`, for example 1 MB")
	profile := flag.String("cpuprofile", "", "write a CPU profile to `FILE`")
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
			r.filter(only)
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

// contests returns all tables, without measurements: first the tables of decoding,
// then the tables of encoding.
func contests() []result {
	var results []result
	for _, w := range decoding {
		r := result{kind: "decoding", workload: w}
		r.upperBound = []*contender{decoderContender(upperBound, w)}
		for _, d := range sseDecoders {
			r.sse = append(r.sse, decoderContender(d, w))
		}
		for _, d := range decodePeers {
			r.peers = append(r.peers, decoderContender(d, w))
		}
		results = append(results, r)
	}
	for _, w := range encoding {
		r := result{kind: "encoding", workload: w}
		for _, e := range sseEncoders {
			r.sse = append(r.sse, encoderContender(e, w))
		}
		for _, e := range encodePeers {
			r.peers = append(r.peers, encoderContender(e, w))
		}
		results = append(results, r)
	}
	return results
}
