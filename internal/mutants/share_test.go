package mutants

import (
	"fmt"
	"os"
	"testing"
)

// The environment variable SSE_TEST_MUTANTS_SHARE selects a share of the mutants:
// 3/10 is every tenth mutant, beginning with the third. CI runs a different share
// each day.
func TestMain(m *testing.M) {
	text := os.Getenv("SSE_TEST_MUTANTS_SHARE")
	if text != "" {
		var k, n int
		if _, err := fmt.Sscanf(text, "%d/%d", &k, &n); err != nil || k < 1 || k > n {
			fmt.Fprintf(os.Stderr, "SSE_TEST_MUTANTS_SHARE is %q, must be K/N with 1 ≤ K ≤ N\n", text)
			os.Exit(2)
		}
		list = share(list, k, n)
	}
	os.Exit(m.Run())
}

// share returns every nth element of all, beginning with the kth. The first element
// is element 1.
func share[T any](all []T, k, n int) (part []T) {
	for i := k - 1; i < len(all); i += n {
		part = append(part, all[i])
	}
	return part
}

// Each element is in exactly one of the shares.
func TestShare(t *testing.T) {
	times := map[int]int{}
	all := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	for k := 1; k <= 5; k++ {
		for _, x := range share(all, k, 5) {
			times[x]++
		}
	}
	for _, x := range all {
		if times[x] != 1 {
			t.Errorf("element %d is in %d shares, want 1", x, times[x])
		}
	}
}
