package epoch_test

import (
	"testing"

	"github.com/sse-go/sse/internal/epoch"
)

func TestNew(t *testing.T) {
	seen := make(map[uint64]bool)
	for range 1000 {
		n := epoch.New()
		if n == 0 {
			t.Fatal("got epoch 0")
		}
		if seen[n] {
			t.Fatalf("got epoch %d twice in %d", n, len(seen))
		}
		seen[n] = true
	}
}
