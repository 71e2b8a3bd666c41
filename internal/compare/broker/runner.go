package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sse-go/sse/internal/compare/report"
)

// runner is one run of all measurements.
type runner struct {
	plan       plan
	dir        string // directory for programs and configurations
	contenders []*contender
	tables     []*table
}

// table is a scenario with its results.
type table struct {
	*scenario
	rows map[*contender]*row
}

// row is the results of one contender in a scenario.
type row struct {
	rounds []figures // one element for each round; nil for a failed round
	err    error     // the error of the last failed round
}

// measure runs all rounds. In each round all contenders take turns at every
// scenario, so that the same noise affects all of them. It returns the number of
// unexpected failures. In a smoke test, all failures are unexpected. Otherwise the
// failures of peers are results, and the other failures are unexpected.
func (r *runner) measure(ctx context.Context) (failed int) {
	for round := range r.plan.rounds {
		for _, t := range r.tables {
			for _, c := range r.contenders {
				if !t.can(c) || c.batches && !t.batches || ctx.Err() != nil {
					continue
				}
				begin := time.Now()
				f, err := t.measure(ctx, r, c)
				if t.rows[c] == nil {
					t.rows[c] = &row{}
				}
				t.rows[c].rounds = append(t.rows[c].rounds, f)
				fmt.Fprintf(os.Stderr, "round %d, %s, %s: %s (%.1f s)\n", round+1, t.key, c.name,
					t.summary(f, err), time.Since(begin).Seconds())
				if err != nil {
					t.rows[c].err = err
					if c.kind != peer || r.plan.quick {
						failed++
					}
				}
			}
		}
	}
	return failed
}

// summary returns the figures or the error of one measurement, on one line.
func (t *table) summary(f figures, err error) string {
	if err != nil {
		return "failed: " + err.Error()
	}
	text := ""
	for _, c := range t.columns {
		if v, ok := f[c.key]; ok {
			text += fmt.Sprintf("%s %s; ", c.title, c.text(v))
		}
	}
	return text
}

// values returns the figures of a contender in one column, from the rounds that
// have them.
func (t *table) values(c *contender, key string) []float64 {
	var values []float64
	for _, f := range t.round(c) {
		if v, ok := f[key]; ok {
			values = append(values, v)
		}
	}
	return values
}

// round returns the figures of a contender, one element for each round.
func (t *table) round(c *contender) []figures {
	if t == nil || t.rows[c] == nil {
		return nil
	}
	return t.rows[c].rounds
}

// ratio returns the spread of the ratios of two contenders, one ratio for each round.
// It returns false if no round has figures of both.
func ratio(rounds, others []figures, of func(f, other figures) (v, w float64)) (
	s report.Spread, ok bool) {
	var ratios []float64
	for i := range min(len(rounds), len(others)) {
		if rounds[i] == nil || others[i] == nil {
			continue
		}
		if v, w := of(rounds[i], others[i]); w > 0 {
			ratios = append(ratios, v/w)
		}
	}
	if len(ratios) == 0 {
		return s, false
	}
	return report.SpreadOf(ratios), true
}
