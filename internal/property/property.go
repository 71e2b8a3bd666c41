// Package property checks the resume property of package sse with random
// programs. The property: each subscriber receives the events of the log that
// its selection selects, and gaps account for all events that are missing. It
// holds even if brokers restart, subscribers stall and connections break.
//
// A program publishes, subscribes, stalls, cuts, restarts and lets time pass
// (world.go, steps.go). Each subscriber records everything it sees
// (subject.go). At the end a checker compares the record with a model of the
// log (model.go, log.go, check.go, gap.go).
//
//	go test ./internal/property
//
// runs the programs with held streams. The tests of package sse run them with
// parked streams, because parking in memory is possible only there.
package property

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
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/testrand"
)

// programSteps is the number of steps of a random program.
const programSteps = 250

// Test runs random programs, each in all of the waits, until they have done the
// given number of steps.
//
// The environment variable SSE_TEST_STEPS replaces the number of steps.
// SSE_TEST_SEED sets the seed of the first program, for example to the seed in
// the message of a failure; without SSE_TEST_STEPS, only this program runs.
func Test(t *testing.T, waits []brokertest.Wait, steps int) {
	t.Helper()
	seed, single := uint64(1), false
	if text := os.Getenv("SSE_TEST_STEPS"); text != "" {
		steps = parseNumber(t, text)
	}
	if first, ok := testrand.FromEnv(t); ok {
		seed, single = first, os.Getenv("SSE_TEST_STEPS") == ""
	}
	t.Logf("the seed of the first program is %d", seed)
	counts := make(map[string]int)
	done := 0
	for ; done < steps && !t.Failed(); seed++ {
		brokertest.InBubbles(t, waits, func(t *testing.T, wait brokertest.Wait) {
			done += runProgram(t, wait, seed, counts)
		})
		if single {
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d × %s", counts[name], name)
	}
	t.Logf("%d steps", done)
	if !single && !t.Failed() {
		checkCounts(t, counts, done)
	}
}

// checkCounts checks that the programs have reached every case that the
// property is about.
func checkCounts(t *testing.T, counts map[string]int, done int) {
	t.Helper()
	for _, expected := range []struct {
		steps int // number of steps within which the cases must happen
		names []string
	}{
		{10_000, []string{
			"gap epoch", "gap unknown", "gap trimmed", "lagging skip", "lagging latest", "refused",
			sse.ErrPeerGone.Error(), sse.ErrShutdown.Error(), sse.ErrLagging.Error(),
			sse.ErrKicked.Error(), sse.ErrClosed.Error(),
		}},
		{100_000, []string{"gap future", "gap check", "flooded", sse.ErrExpired.Error()}},
	} {
		for _, name := range expected.names {
			if done >= expected.steps && counts[name] == 0 {
				t.Errorf("%q did not happen in %d steps", name, done)
			}
		}
	}
}

func parseNumber(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runProgram runs a random program, checks its result, and returns the number
// of its steps. Programs with an even seed have a log.
func runProgram(t *testing.T, wait brokertest.Wait, seed uint64, counts map[string]int) int {
	t.Helper()
	w := newWorld(t, wait, seed, seed%2 == 0, counts)
	for range programSteps {
		w.step()
	}
	w.finish()
	return programSteps
}

// finish waits until every subject has a stream and has caught up, and checks
// all of them.
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
		if !s.isSettled() {
			w.fatal(fmt.Errorf("subscriber %s does not reconnect", s))
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
		w.fatal(fmt.Errorf("%d subscribers are left, and %d calls of OnDisconnect are missing",
			n, w.hooks.Load()))
	}
}

func (w *world) allOpen() bool {
	for _, s := range w.subjects {
		if !s.isSettled() {
			return false
		}
	}
	return true
}
