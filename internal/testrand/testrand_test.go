package testrand_test

import (
	"slices"
	"testing"

	"github.com/sse-go/sse/internal/testrand"
)

func TestSeedOfEnvironment(t *testing.T) {
	t.Setenv("SSE_TEST_SEED", "7")
	if got, want := testrand.New(t).Uint64(), testrand.WithSeed(7).Uint64(); got != want {
		t.Errorf("the first number is %d, want %d", got, want)
	}
	if got := slices.Collect(testrand.Seeds(t, 0, 3)); !slices.Equal(got, []uint64{7}) {
		t.Errorf("the seeds are %v, want 7", got)
	}
}

func TestSeedWithoutEnvironment(t *testing.T) {
	t.Setenv("SSE_TEST_SEED", "")
	if testrand.New(t).Uint64() == testrand.New(t).Uint64() {
		t.Error("two generators have the same seed")
	}
	if got := slices.Collect(testrand.Seeds(t, 4, 3)); !slices.Equal(got, []uint64{4, 5, 6}) {
		t.Errorf("the seeds are %v, want 4, 5 and 6", got)
	}
}
