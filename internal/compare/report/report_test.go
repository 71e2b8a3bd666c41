package report_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sse-go/sse/internal/compare/report"
)

func TestReplaceSection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	for _, step := range []struct{ section, want string }{
		{"## A\n\n1\n", "# Performance\n\n## A\n\n1\n"},
		{"## B\n\n### A\n\n2\n", "# Performance\n\n## A\n\n1\n\n## B\n\n### A\n\n2\n"},
		{"## A\n\n3\n", "# Performance\n\n## A\n\n3\n\n## B\n\n### A\n\n2\n"},
		{"## B\n\n4\n", "# Performance\n\n## A\n\n3\n\n## B\n\n4\n"},
	} {
		if err := report.ReplaceSection(path, step.section); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != step.want {
			t.Fatalf("got %q, want %q", got, step.want)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{report.Figure(0), "0"},
		{report.Figure(-123), "-123"},
		{report.Figure(-1234), "-1,234"},
		{report.Figure(1234567.8), "1,234,568"},
		{report.Times(0.0125), "0.013"},
		{report.Times(0.125), "0.12"},
		{report.SpreadOf([]float64{3}).Times(), "3.00"},
		{report.Times(99.96), "100.0"},
		{report.Times(1234.5), "1,234"},
		{report.SpreadOf([]float64{3, 1}).Times(), "2.00 (1.00–3.00)"},
		{report.SpreadOf([]float64{3, 1, 30}).Times(), "3.00 (1.00–30.0)"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

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
		if low, high := report.Interval(values); low != test.low || high != test.high {
			t.Errorf("%d values: %v to %v, want %v to %v", test.n, low, high, test.low, test.high)
		}
	}
}
