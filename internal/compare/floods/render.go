package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare/control"
	"github.com/sse-go/sse/internal/compare/report"
)

// most is the limit of the p99 with a flood, as a multiple of the p99 without it.
const most = 2

// heading begins a table. Its arguments are the place of the events, the number of
// turns, and the duration of a turn.
const heading = `Events %s, %d pairs of turns of %v. Latencies are in ms, without → with the flood.

| flood | p50 | p99 | ratio of p99, median | 95 %% interval | CPU of the hub, s/s | ` +
	`peak RSS of the hub, MiB | rate of the generator | CPU of the generator, s/s |
|---|--:|--:|--:|---|--:|--:|---|--:|
`

// turn is the result of one turn.
type turn struct {
	latency control.Histogram
	cpu     float64 // CPU time of the hub in seconds per second
	peak    float64 // the largest resident memory of the hub in bytes
	used    tally   // what the generator has done
}

// row is the result of a flood. idle and flooded have an item for each pair of turns.
type row struct {
	flood         *flood
	idle, flooded []turn
	err           error // the flood could not be measured; otherwise nil
}

// median returns the median of a figure of turns.
func median(turns []turn, of func(t turn) float64) float64 {
	var values []float64
	for _, t := range turns {
		values = append(values, of(t))
	}
	return report.SpreadOf(values).Median
}

// quantile returns a function that returns a quantile of a turn in milliseconds.
func quantile(q float64) func(t turn) float64 {
	return func(t turn) float64 { return float64(t.latency.Quantile(q)) / 1e6 }
}

// ratios returns the ratio of the p99 of each pair of turns.
func (r *row) ratios() (all []float64) {
	p99 := quantile(0.99)
	for i := range r.flooded {
		all = append(all, p99(r.flooded[i])/p99(r.idle[i]))
	}
	return all
}

// within reports whether the flood could be measured and is within the limit.
func (r *row) within() bool { return r.err == nil && report.SpreadOf(r.ratios()).Median <= most }

func (r *row) String() string {
	name := r.flood.name + ": " + r.flood.words
	if r.err != nil {
		text := strings.NewReplacer("\n", " ", "|", "/").Replace(r.err.Error())
		return fmt.Sprintf("| %s | failed: %s |", name, text)
	}
	ratios, interval := r.ratios(), "–"
	if len(ratios) >= 6 { // otherwise no interval of 95 % exists
		low, high := report.Interval(ratios)
		interval = report.Times(low) + "–" + report.Times(high)
	}
	pair := func(q float64) string {
		of := quantile(q)
		return report.Times(median(r.idle, of)) + " → " + report.Times(median(r.flooded, of))
	}
	peak := slices.MaxFunc(r.flooded, func(a, b turn) int { return int(a.peak - b.peak) }).peak
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %.2f | %s | %s | %.2f |", name,
		pair(0.5), pair(0.99), report.Times(report.SpreadOf(ratios).Median), interval,
		median(r.flooded, func(t turn) float64 { return t.cpu }), report.Figure(peak/(1<<20)), r.rate(),
		median(r.flooded, func(t turn) float64 { return t.used.CPU / t.used.Seconds }))
}

// rate formats the rate of the generator, and the shares of its requests that were
// refused and that failed, if there are any.
func (r *row) rate() string {
	per := median(r.flooded, func(t turn) float64 { return t.used.Units / t.used.Seconds })
	text := fmt.Sprintf("%s %s/s", report.Figure(per), r.flood.unit)
	var all tally
	for _, t := range r.flooded {
		all.Answered += t.used.Answered
		all.Refused += t.used.Refused
		all.Failed += t.used.Failed
		all.Error = cmp.Or(all.Error, t.used.Error)
	}
	percent := 100 / float64(all.Answered+all.Failed)
	if all.Refused > 0 {
		text += fmt.Sprintf(", %.1f %% refused", float64(all.Refused)*percent)
	}
	if all.Failed > 0 {
		text += fmt.Sprintf(", %.1f %% failed (%s)", float64(all.Failed)*percent, all.Error)
	}
	return text
}

// verdict returns the sentence after a table, and whether each flood is within the
// limit.
func verdict(rows []*row) (text string, ok bool) {
	var names []string
	for _, r := range rows {
		if !r.within() {
			names = append(names, r.flood.name)
		}
	}
	text = "Each flood is within the limit."
	if len(names) > 0 {
		text = "Not within the limit: " + strings.Join(names, ", ") + "."
	}
	return fmt.Sprintf("**The p99 with a flood must be at most %d times the p99 without it. %s**",
		most, text), len(names) == 0
}
