package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

const (
	// coverLimit is how long the tests may take without a mutant.
	coverLimit = 10 * time.Minute

	// A mutant may loop forever. So the tests are ended after slowdown times their
	// duration without a mutant, plus grace.
	slowdown = 5
	grace    = 5 * time.Second

	// maxMemory limits the virtual memory of a test program, in KiB.
	maxMemory = 8 << 20

	// parallel is how many test programs run at the same time.
	parallel = 2
)

// runner runs test programs in the directory of a package.
type runner struct{ dir string }

// result is the result of one run of a test program.
type result struct {
	failed   bool
	timedOut bool
	duration time.Duration
	output   []byte
}

// run runs a test program with a mutant until the program ends or the limit has
// passed. The id 0 selects no mutant.
func (r runner) run(program string, id int, limit time.Duration, flags ...string) result {
	// The program ends by itself after limit. If it does not, it is killed.
	ctx, cancel := context.WithTimeout(context.Background(), limit+grace)
	defer cancel()
	args := append([]string{program, "-test.short", "-test.failfast",
		"-test.timeout=" + limit.String()}, flags...)
	if runtime.GOOS != "windows" {
		limited := fmt.Sprintf(`ulimit -v %d 2>/dev/null; exec "$@"`, maxMemory)
		args = append([]string{"sh", "-c", limited, "sh"}, args...)
	}
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = r.dir
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%d", selectVariable, id))
	c.WaitDelay = time.Second // a child of the program may still have its output open
	began := time.Now()
	output, err := c.CombinedOutput()
	return result{
		failed: err != nil, duration: time.Since(began), output: output,
		timedOut: ctx.Err() != nil || bytes.Contains(output, []byte("panic: test timed out after")),
	}
}

// outcome is the result of the tests with a mutant.
type outcome string

const (
	killed     outcome = "killed"
	timedOut   outcome = "killed by the time limit"
	survived   outcome = "survived"
	notCovered outcome = "not covered"
	equivalent outcome = "equivalent"
	broken     outcome = "does not compile"
)

// tester runs the tests of a package with mutants.
type tester struct {
	*source
	runner
	scratch string // directory for test programs
	all     string // path of the program that contains all mutants with an id
	parts   []part // the parts of the tests
}

// newTester builds the program that contains all mutants with an id. It returns an
// error if the tests fail although no mutant is selected.
func newTester(s *source, mutants []*mutant, scratch string) (*tester, error) {
	t := &tester{source: s, runner: runner{dir: s.dir}, scratch: scratch,
		all: filepath.Join(scratch, "all.test")}
	if err := s.build(s.combine(mutants), t.all, "-ldflags=-s -w"); err != nil {
		return nil, err
	}
	r := t.run(t.all, 0, coverLimit, "-test.v")
	t.parts = splitTests(string(r.output))
	if r.failed {
		return nil, fmt.Errorf("the tests fail in the program with all mutants, although none is "+
			"selected; if they pass with go test, add -alone\n%s", r.output)
	}
	return t, nil
}

// test runs the tests with one mutant, until a test fails.
func (t *tester) test(m *mutant) outcome {
	program := t.all
	if m.id == 0 {
		dir, err := os.MkdirTemp(t.scratch, "alone")
		if err != nil {
			return broken
		}
		defer func() { _ = os.RemoveAll(dir) }()
		program = filepath.Join(dir, "alone.test")
		if err := t.build(m.change(), program, "-ldflags=-s -w"); err != nil {
			return broken
		}
	}
	for _, p := range t.parts {
		switch r := t.run(program, m.id, p.limit(), "-test.run", p.expression()); {
		case r.timedOut:
			return timedOut
		case r.failed:
			return killed
		}
	}
	return survived
}

// testAll runs the tests with each mutant that has no outcome yet, and sets its
// outcome. It runs several test programs at the same time. It calls done after each
// mutant, never concurrently.
func (t *tester) testAll(mutants []*mutant, outcomes map[*mutant]outcome, done func()) {
	var mu sync.Mutex // guards outcomes
	var wait sync.WaitGroup
	next := make(chan *mutant)
	for range parallel {
		wait.Go(func() {
			for m := range next {
				o := t.test(m)
				mu.Lock()
				outcomes[m] = o
				done()
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		mu.Lock()
		_, has := outcomes[m]
		mu.Unlock()
		if !has {
			next <- m
		}
	}
	close(next)
	wait.Wait()
}
