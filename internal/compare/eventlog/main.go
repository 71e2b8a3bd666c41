// Command eventlog compares the event log of the hub in this tree with the one of an
// earlier commit, on the same disk. The two take turns: each pair of turns yields one
// ratio, this tree divided by the earlier commit. The command prints the median of the
// ratios, and an interval that contains the true median with 95 % confidence.
//
//	go run ./eventlog                        every row, against c1a928f~1 with Pebble
//	go run ./eventlog -only replay,open      only rows whose name has one of these parts
//	go run ./eventlog -rev HEAD~3 -package segmentlog
//
// The command must be run in internal/compare with GOWORK=off, on Linux. It does not
// change the two trees: the program that measures is in an overlay of the Go command.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

//go:embed worker.txt
var workerSource string

func main() {
	rev := flag.String("rev", "c1a928f~1", "compare with this commit")
	oldPackage := flag.String("package", "disklog", "the package of the event log in that commit")
	only := flag.String("only", "", "measure only rows whose name has one of these parts")
	turns := flag.Int("turns", 15, "give each log this many turns at each row")
	at := flag.String("dir", "", "store the events in a new directory below this one; "+
		"if empty, below the directory for temporary files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, drive.Terminated)
	defer stop()
	if err := run(ctx, *rev, *oldPackage, *only, *turns, *at); err != nil {
		fmt.Fprintln(os.Stderr, "eventlog:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rev, oldPackage, only string, turns int, at string) error {
	if turns < 6 {
		return fmt.Errorf("-turns must be at least 6, so that an interval of 95 %% exists")
	}
	dir, err := os.MkdirTemp(at, "sse-eventlog-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "tree")
	if err := git("worktree", "add", "--detach", root, rev); err != nil {
		return err
	}
	defer func() { _ = git("worktree", "remove", "--force", root) }()
	before := &tree{name: "before", root: root, pkg: oldPackage, dir: filepath.Join(dir, "before")}
	after := &tree{
		name: "after", root: filepath.Join("..", ".."), pkg: "segmentlog",
		dir: filepath.Join(dir, "after"),
	}
	for _, t := range []*tree{before, after} {
		if err := t.build(ctx); err != nil {
			return fmt.Errorf("building %s: %w", t.name, err)
		}
	}
	fmt.Printf("This tree beside %s, %d turns each. ", rev, turns)
	fmt.Print("Ratios below 1: this tree is better, except for events/s.\n\n")
	fmt.Println("| row | before | after | ratio, median | 95 % interval |")
	fmt.Println("|---|--:|--:|--:|---|")
	for _, r := range rows {
		selected := func(part string) bool { return strings.Contains(r.name, part) }
		if only != "" && !slices.ContainsFunc(strings.Split(only, ","), selected) {
			continue
		}
		if err := r.print(ctx, before, after, turns); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

func git(args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// tree is a source tree, the package of its event log, and a directory for the program
// that measures it and for its logs.
type tree struct {
	name, root, pkg, dir string
}

// build builds the worker as a command of the hub's module.
func (t *tree) build(ctx context.Context) error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	var err error
	for _, path := range []*string{&t.dir, &t.root} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	source := filepath.Join(t.dir, "worker.go")
	text := strings.ReplaceAll(workerSource, "PACKAGE", t.pkg)
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		return err
	}
	module := filepath.Join(t.root, "cmd", "sse")
	overlay, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(module, "eventlogworker", "main.go"): source},
	})
	if err != nil {
		return err
	}
	list := filepath.Join(t.dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", module, "-overlay", list,
		"-o", filepath.Join(t.dir, "worker"), "./eventlogworker")
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(t.root, "go.work"))
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// result is the measurement of a worker.
type result struct {
	Seconds, CPU, Written, MaxBytes, Resident float64
	Events                                    int
}

// work runs a worker with a log of this name.
func (t *tree) work(ctx context.Context, what, name string, args ...string) (*result, error) {
	args = append([]string{what, filepath.Join(t.dir, name)}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(t.dir, "worker"), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.name, strings.Join(args, " "), err)
	}
	r := new(result)
	return r, json.Unmarshal(out, r)
}

// once runs a worker with a new log, and removes the log.
func (t *tree) once(ctx context.Context, what string, args ...string) (*result, error) {
	defer os.RemoveAll(filepath.Join(t.dir, "once"))
	return t.work(ctx, what, "once", args...)
}

// filled returns the name of a log with so many events. It makes the log if there is
// none.
func (t *tree) filled(ctx context.Context, events string) (string, error) {
	name := "filled-" + events
	if _, err := os.Stat(filepath.Join(t.dir, name)); err == nil {
		return name, nil
	}
	_, err := t.work(ctx, "fill", name, events)
	return name, err
}

// row is a measurement, which yields one or more figures.
type row struct {
	name    string
	measure func(ctx context.Context, t *tree) (*result, error)
	figures []figure
}

type figure struct {
	unit string
	of   func(*result) float64
}

// print measures a row and prints it. The order of the two logs changes with every turn.
func (r *row) print(ctx context.Context, before, after *tree, turns int) error {
	olds, news, ratios := make([][]float64, len(r.figures)), make([][]float64, len(r.figures)),
		make([][]float64, len(r.figures))
	for turn := range turns {
		order := []*tree{before, after}
		if turn%2 == 1 {
			slices.Reverse(order)
		}
		results := map[*tree]*result{}
		for _, t := range order {
			var err error
			if results[t], err = r.measure(ctx, t); err != nil {
				return err
			}
		}
		for i, f := range r.figures {
			x, y := f.of(results[before]), f.of(results[after])
			olds[i], news[i], ratios[i] = append(olds[i], x), append(news[i], y), append(ratios[i], y/x)
		}
	}
	for i, f := range r.figures {
		low, high := report.Interval(ratios[i])
		fmt.Printf("| %s, %s | %s | %s | %.3f | %.3f–%.3f |\n", r.name, f.unit,
			report.Times(report.SpreadOf(olds[i]).Median), report.Times(report.SpreadOf(news[i]).Median),
			report.SpreadOf(ratios[i]).Median, low, high)
	}
	return nil
}
