// Command before compares the speed of this tree with the speed of an earlier
// commit. The builds of both take turns: each pair of turns yields one ratio, this
// tree divided by the earlier commit. The command prints the median of the ratios,
// and an interval that contains the true median with 95 % confidence.
//
//	go run ./before                          every row, against ba2d225
//	go run ./before -rev HEAD~3 -only publish,fanout
//	go run ./before -turns 31                more turns, for a narrower interval
//
// The command must be run in internal/compare with GOWORK=off, on Linux, as root
// (for the limit of open files). Each row of the table is CPU time per unit of work,
// or bytes per idle subscriber, so a ratio below 1 means that this tree is better.
package main

import (
	"context"
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

func main() {
	rev := flag.String("rev", "ba2d225", "compare with this commit, for example HEAD~3")
	only := flag.String("only", "", "measure only rows whose name has one of these parts, "+
		"for example publish,fanout")
	turns := flag.Int("turns", 15, "give each build this many turns at each row")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, drive.Terminated)
	defer stop()
	if err := run(ctx, *rev, *only, *turns); err != nil {
		fmt.Fprintln(os.Stderr, "before:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rev, only string, turns int) error {
	if turns < 6 {
		return fmt.Errorf("-turns must be at least 6, so that an interval of 95 %% exists")
	}
	if err := drive.CheckSystem(18_200); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sse-before-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	after := &tree{name: "after", root: filepath.Join("..", ".."), bin: filepath.Join(dir, "after")}
	before := &tree{name: "before", root: filepath.Join(dir, "tree"), bin: filepath.Join(dir, "before")}
	if err := git("worktree", "add", "--detach", before.root, rev); err != nil {
		return err
	}
	defer func() { _ = git("worktree", "remove", "--force", before.root) }()
	for _, t := range []*tree{before, after} {
		if err := t.build(ctx); err != nil {
			return err
		}
	}
	// The same build of the load client measures both trees.
	if err := drive.Build(ctx, dir, "load"); err != nil {
		return err
	}
	fmt.Printf("This tree beside %s, %d turns each. Ratios below 1: this tree is better.\n\n", rev, turns)
	fmt.Println("| row | before | after | ratio, median | 95 % interval |")
	fmt.Println("|---|--:|--:|--:|---|")
	for _, r := range rows(filepath.Join(dir, "load")) {
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

// tree is a source tree and its builds. root is the root of the repository, and bin
// is the directory of the programs.
type tree struct {
	name, root, bin string
}

func (t *tree) build(ctx context.Context) error {
	if err := os.MkdirAll(t.bin, 0o755); err != nil {
		return err
	}
	bin, err := filepath.Abs(t.bin)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"build", "-C", filepath.Join(t.root, "internal", "compare"),
			"-o", filepath.Join(bin, "serve"), "./serve"},
		{"test", "-C", t.root, "-c", "-o", filepath.Join(bin, "sse.test"), "."},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building %s: go %s: %w", t.name, strings.Join(args, " "), err)
		}
	}
	return nil
}

func git(args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// print measures a row and prints it. The order of the two builds changes with every
// turn.
func (r *row) print(ctx context.Context, before, after *tree, turns int) error {
	var olds, news, ratios []float64
	for i := range turns {
		order := []*tree{before, after}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		var v [2]float64
		for _, t := range order {
			x, err := r.measure(ctx, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if t == before {
				v[0] = x
			} else {
				v[1] = x
			}
		}
		olds, news, ratios = append(olds, v[0]), append(news, v[1]), append(ratios, v[1]/v[0])
	}
	low, high := report.Interval(ratios)
	fmt.Printf("| %s, %s | %s | %s | %.3f | %.3f–%.3f |\n", r.name, r.unit,
		report.Times(report.SpreadOf(olds).Median), report.Times(report.SpreadOf(news).Median),
		report.SpreadOf(ratios).Median, low, high)
	return nil
}
