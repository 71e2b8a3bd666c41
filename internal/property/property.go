// Package property checks the resume property of package sse with random
// programs. The resume property: each subscriber receives the events that its
// selection selects, once and in order. If some of these events are missing, a gap
// covers them. (A stream that starts at the earliest event, or at the last N events,
// needs no gap for events that were lost before the stream began.) The property must
// hold even if brokers restart, subscribers stall and connections break.
//
// A program is a sequence of random steps: it publishes, subscribes, stalls, cuts
// connections, restarts the broker or lets time pass (world.go, steps.go). Each
// subscriber records everything it receives (subject.go). At its end, a checker
// compares the record with a model of the log (model.go, log.go, check.go,
// gap.go).
//
//	go test ./internal/property
//
// runs the programs with held streams. The tests of package sse run them with
// parked streams, because only those tests can park connections in memory.
//
// The comments in this package use these terms:
//
//   - A sequence is the sequence number of an event, Seq in [sse.Position].
//   - A life contains the events of one epoch. Without a log, each broker begins a
//     new life. Brokers with a log share one life.
//   - A subject is a subscriber under test. It subscribes again when its stream
//     ends.
//   - The world is the state of a running program. The world has settled when all its
//     goroutines are blocked. Each subject that reads has then received all events,
//     unless the clients of this program read slowly (world.slow).
//   - A group contains everything that happens between two calls of world.settle,
//     which waits until the world has settled. Groups are numbered. The order of two
//     actions in one group is unknown.
//   - An event is lost when retention has removed it.
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

// Test runs random programs until they have done the given number of steps. waits are
// the ways in which a stream can wait for its next event, for example held with
// HTTP/2. Each program runs once with each of them.
//
// The environment variable SSE_TEST_STEPS replaces the number of steps.
// SSE_TEST_SEED sets the seed of the first program, for example to the seed in
// the message of a failure. If SSE_TEST_SEED is set and SSE_TEST_STEPS is not,
// only this program runs.
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

// checkCounts checks that the programs have tested every reason of a gap and of a
// stream's end. Rare reasons are expected only after many steps. counts has the number
// of occurrences by name, and done is the number of steps.
func checkCounts(t *testing.T, counts map[string]int, done int) {
	t.Helper()
	for _, expected := range []struct {
		steps int // the names must have happened if so many steps are done
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

// runProgram runs a random program, checks the record of each subject, and returns
// the number of steps. Programs with an even seed have a log.
func runProgram(t *testing.T, wait brokertest.Wait, seed uint64, counts map[string]int) int {
	t.Helper()
	w := newWorld(t, wait, seed, seed%2 == 0, counts)
	for range programSteps {
		w.step()
	}
	w.finish()
	return programSteps
}

// finish waits until every subject has a stream and has received all events. It
// checks the record of each, shuts the broker down, and checks that the broker has
// called OnDisconnect for every subscriber.
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

// allOpen reports whether each subject has a stream or has given up.
func (w *world) allOpen() bool {
	for _, s := range w.subjects {
		if !s.isSettled() {
			return false
		}
	}
	return true
}
