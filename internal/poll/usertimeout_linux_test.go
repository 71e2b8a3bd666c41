package poll

import (
	"math"
	"testing"
	"time"
)

// A positive timeout never becomes zero, because zero is the default of the system.
func TestMillisecondsRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]int{
		0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000,
		math.MaxInt64: math.MaxInt32,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: got %d ms, want %d", d, got, want)
		}
	}
}
