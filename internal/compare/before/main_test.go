package main

import "testing"

// The expected ranks are from a table of the sign test. For example, the interval of
// 15 values is from the 4th to the 12th value.
func TestInterval(t *testing.T) {
	for _, test := range []struct {
		n         int
		low, high float64
	}{{6, 1, 6}, {8, 1, 8}, {9, 2, 8}, {15, 4, 12}, {20, 6, 15}, {31, 10, 22}} {
		values := make([]float64, test.n)
		for i := range values {
			values[i] = float64(test.n - i)
		}
		if low, high := interval(values); low != test.low || high != test.high {
			t.Errorf("%d values: %v to %v, want %v to %v", test.n, low, high, test.low, test.high)
		}
	}
}
