package sse_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// programSteps is how many steps a random program has.
const programSteps = 250

// Whatever happens to the broker, its subscribers and what is between them: what
// each subscriber has seen is the log, filtered by its selection, or has the gaps
// that the log implies.
//
// SSE_TEST_STEPS is how many steps there are in all, at least; SSE_TEST_SEED is
// the seed of the first program, as a failure tells it, and alone of the only one.
func TestResumeProperty(t *testing.T) {
	goal, seed, one := 100_000, uint64(1), false
	if testing.Short() {
		goal = 10_000
	}
	if text := os.Getenv("SSE_TEST_STEPS"); text != "" {
		goal = number(t, text)
	}
	if text := os.Getenv("SSE_TEST_SEED"); text != "" {
		seed, one = uint64(number(t, text)), os.Getenv("SSE_TEST_STEPS") == ""
	}
	counts := make(map[string]int)
	done := 0
	for ; done < goal && !t.Failed(); seed++ {
		inWaits(t, func(t *testing.T, f *brokerFixture) {
			done += runProgram(t, f, seed, counts)
		})
		if one {
			break
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d × %s", counts[what], what)
	}
	t.Logf("%d steps", done)
	if !one && !t.Failed() {
		checkCounts(t, counts, done)
	}
}

// checkCounts makes sure that what is to be tested has happened.
func checkCounts(t *testing.T, counts map[string]int, done int) {
	t.Helper()
	for _, often := range []struct {
		steps int
		what  []string
	}{
		{10_000, []string{
			"gap epoch", "gap unknown", "gap trimmed", "lagging skip", "lagging latest", "refused",
			sse.ErrPeerGone.Error(), sse.ErrShutdown.Error(), sse.ErrLagging.Error(),
			sse.ErrKicked.Error(), sse.ErrClosed.Error(),
		}},
		{100_000, []string{"gap future", "gap check", "flooded", sse.ErrExpired.Error()}},
	} {
		for _, what := range often.what {
			if done >= often.steps && counts[what] == 0 {
				t.Errorf("there was no %q", what)
			}
		}
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runProgram runs a random program, and checks what came of it. Every other one
// has a log.
func runProgram(t *testing.T, f *brokerFixture, seed uint64, counts map[string]int) int {
	w := newWorld(t, f, seed, seed%2 == 0, counts)
	for range programSteps {
		w.step()
	}
	w.finish()
	return programSteps
}

// finish lets everything come to rest, and checks it.
func (w *world) finish() {
	for _, s := range w.subjects {
		s.stall(false)
	}
	time.Sleep(40 * time.Second)
	for range 100 {
		w.settle()
		if w.allOpen() {
			break
		}
		time.Sleep(170 * time.Millisecond)
	}
	for _, s := range w.subjects {
		if !s.settled() {
			w.fatal(fmt.Errorf("subscriber %s does not come back", s))
		}
		w.verify(s)
		s.stop()
	}
	broker, _ := w.current()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := broker.Shutdown(ctx); err != nil {
		w.fatal(err)
	}
	w.settle()
	if n := len(broker.Subscribers()); n > 0 || w.hooks.Load() != 0 {
		w.fatal(fmt.Errorf("%d subscribers are left, and %d have no end", n, w.hooks.Load()))
	}
}

func (w *world) allOpen() bool {
	for _, s := range w.subjects {
		if !s.settled() {
			return false
		}
	}
	return true
}
