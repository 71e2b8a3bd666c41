// Package testrand makes random tests repeatable. The output of a failed test
// contains the seed of its random numbers. To run the test again with the same
// numbers, set SSE_TEST_SEED to that seed:
//
//	SSE_TEST_SEED=123 go test -run '^TestPatternMatchRandom$' .
package testrand

import (
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
)

const variable = "SSE_TEST_SEED"

// New returns a generator with the seed in SSE_TEST_SEED or, if that is not set,
// with a random seed. It logs the seed. Several goroutines may use the generator.
// The seed then does not determine which goroutine gets which number.
func New(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed, ok := FromEnv(tb)
	if !ok {
		seed = rand.Uint64()
	}
	tb.Logf("to use the same random numbers again, set %s=%d", variable, seed)
	return WithSeed(seed)
}

// Seeds returns an iterator over the seeds first, first+1, … first+n-1. If
// SSE_TEST_SEED is set, the iterator yields only that seed. Seeds logs nothing: the
// caller must print the seed when its test fails.
func Seeds(tb testing.TB, first, n uint64) iter.Seq[uint64] {
	tb.Helper()
	if seed, ok := FromEnv(tb); ok {
		first, n = seed, 1
	}
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(first + i) {
				return
			}
		}
	}
}

// FromEnv returns the seed in SSE_TEST_SEED, and reports whether it is set.
func FromEnv(tb testing.TB) (seed uint64, ok bool) {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return 0, false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		tb.Fatalf("%s is %q, must be a number of 64 bits", variable, text)
	}
	return seed, true
}

// WithSeed returns a generator that several goroutines may use. Its numbers
// depend only on seed.
func WithSeed(seed uint64) *rand.Rand {
	return rand.New(&lockedSource{source: rand.NewPCG(seed, 0)})
}

type lockedSource struct {
	mu     sync.Mutex // guards the following
	source *rand.PCG
}

func (s *lockedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Uint64()
}
