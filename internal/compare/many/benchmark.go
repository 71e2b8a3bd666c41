package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
)

// parked is the result of one sub-benchmark of BenchmarkManyParked.
type parked struct {
	subscribers int
	metrics     map[string]float64 // per subscriber, by unit
}

const (
	benchmarkName = "BenchmarkManyParked"

	bytesEach     = "B/sub"
	nsToSubscribe = "ns-subscribe/sub"
	nsToReach     = "ns-reach/sub"
	nsToRemove    = "ns-remove/sub"
)

var metrics = []string{bytesEach, nsToSubscribe, nsToReach, nsToRemove}

// benchmark runs BenchmarkManyParked of the library. It builds the test binary and
// runs it directly, not with go test, so that the process of the benchmark is killed
// when ctx is done.
func benchmark(ctx context.Context, p plan, dir string) ([]parked, error) {
	root, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sse-go/sse")
	if err != nil {
		return nil, err
	}
	root = strings.TrimSpace(root)
	binary := filepath.Join(dir, "sse.test")
	if _, err := output(ctx, root, "go", "test", "-c", "-o", binary, "."); err != nil {
		return nil, err
	}
	text, err := output(ctx, root, binary, "-test.run", "xxx", "-test.bench", p.benchmarks,
		"-test.benchtime", p.benchtime)
	if err != nil {
		return nil, err
	}
	return parseBenchmark(text)
}

// output runs a program and returns its standard output.
func output(ctx context.Context, dir, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout bytes.Buffer
	var stderr drive.Tail
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.SysProcAttr = drive.DieWithParent(drive.Killed)
	cmd.WaitDelay = 3 * time.Second
	if err := cmd.Run(); err != nil {
		var tail drive.Tail
		_, _ = tail.Write(stdout.Bytes())
		return "", fmt.Errorf("%s: %w\n%s\n%s", strings.Join(cmd.Args, " "), err, &tail, &stderr)
	}
	return stdout.String(), nil
}

// parseBenchmark parses the output of a benchmark. Its lines have this form:
//
//	BenchmarkManyParked/1000-2   20   123 ns/op   456 B/sub   …
func parseBenchmark(text string) ([]parked, error) {
	var rows []parked
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, benchmarkName+"/")
		fields := strings.Fields(rest)
		if !found || len(fields) < 2 {
			continue
		}
		// After the name, there is a dash and GOMAXPROCS, unless GOMAXPROCS is 1.
		name, _, _ := strings.Cut(fields[0], "-")
		n, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		row := parked{n, map[string]float64{}}
		for i := 2; i+1 < len(fields); i += 2 {
			if row.metrics[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		for _, unit := range metrics {
			if _, ok := row.metrics[unit]; !ok {
				return nil, fmt.Errorf("%q has no %s", line, unit)
			}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, errors.New("the output has no results of " + benchmarkName)
	}
	return rows, nil
}
