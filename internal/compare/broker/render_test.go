package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/sse-go/sse/internal/compare/report"
)

// The table has two rounds. In the second round, all contenders are slower, and one
// peer fails.
func TestRenderTable(t *testing.T) {
	floor := &contender{name: "floor", kind: lowerBound}
	plain := &contender{name: "plain", kind: base}
	sse := &contender{name: "sse", kind: own}
	slow, failing := &contender{name: "slow", kind: peer}, &contender{name: "failing", kind: peer}
	rounds := func(values ...float64) *row {
		r := &row{}
		for _, v := range values {
			r.rounds = append(r.rounds, figures{"cpu": v})
		}
		return r
	}
	failed := rounds(40)
	failed.rounds = append(failed.rounds, nil)
	failed.err = errors.New("one\ntwo")
	one := &table{
		scenario: &scenario{key: "one"},
		rows:     map[*contender]*row{sse: rounds(6, 8)},
	}
	main := &table{
		scenario: &scenario{
			key: "main", title: "Title", note: "Note.", ratio: "cpu", ratioName: "CPU", against: "one",
			columns: []column{{"cpu", "µs", false, report.Times}, {"none", "none", true, report.Figure}},
		},
		rows: map[*contender]*row{
			floor: rounds(10, 20), plain: rounds(20, 40), sse: rounds(12, 24),
			slow: rounds(50, 60), failing: failed,
		},
	}
	r := &runner{
		contenders: []*contender{floor, plain, sse, slow, failing, {name: "absent"}},
		tables:     []*table{one, main},
	}
	var b strings.Builder
	r.renderTable(&b, main)
	want := `
### Title

Note.

|  | µs ↓ | none ↑ | CPU relative to C ↓ | CPU relative to net/http ↓ | CPU relative to one topic ↓ |
|---|---|---|---|---|---|
| floor | 15.0 (10.0–20.0) |  |  | 0.50 |  |
| plain | 30.0 (20.0–40.0) |  | 2.00 |  |  |
| sse | 18.0 (12.0–24.0) |  | 1.20 | 0.60 | 2.50 (2.00–3.00) |
| slow | 55.0 (50.0–60.0) |  | 4.00 (3.00–5.00) | 2.00 (1.50–2.50) |  |
| **failing** | 40.0 |  | 4.00 | 2.00 |  |

failing failed in 1 of 2 rounds: one two
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestServerEnd(t *testing.T) {
	floor := figures{"rss": 6, "kernel": 8200}
	for _, test := range []struct {
		f    figures
		v, w float64
	}{
		{floor, 4006, 4006},
		{figures{"rss": 406, "kernel": 8400}, 4606, 4006},
	} {
		if v, w := serverEnd(test.f, floor); v != test.v || w != test.w {
			t.Errorf("%v: got %v of %v, want %v of %v", test.f, v, w, test.v, test.w)
		}
	}
}
