package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// render writes the section "Broker".
func (r *runner) render() string {
	var b strings.Builder
	b.WriteString(report.Header("Broker", "compare-broker"))
	fmt.Fprintf(&b, method, drive.EventSize, r.plan.rounds, report.Arrows)
	for _, t := range r.tables {
		r.renderTable(&b, t)
	}
	r.renderVersions(&b)
	b.WriteString(notes)
	return b.String()
}

const method = `
Every server runs in its own process, which is started again for every measurement. Its subscribers
run in other processes, with source addresses across 127.0.0.0/8. They check every event for loss,
repetition, order and topic. Events have %d bytes of data.

- CPU is the user and system time of the server's process (for nginx, of its worker) by its CPU
  clock, from the first publish until the last subscriber has received the last event.
- RSS is the resident memory of the server's process, from smaps_rollup.
- One event at a time means that an event is published when all subscribers have received the event
  before it. With N events outstanding, up to N events are on their way at the same time: the next
  event is published when all subscribers have received the oldest of them.
- Latency is the time from just before the call or the request that publishes until the return of
  the read that yields the event, by one clock.

There are %d rounds. In each round, the servers take turns at every table. A number is the median of
the rounds, with the lowest and highest in parentheses. A ratio is computed within a round. The best
server of another project is in bold.
%s
`

const notes = `
The C program only writes the same bytes to every socket. It has no topics and does not handle slow
clients; its source is in internal/compare/floor. Mercure is missing, because its module could not
be fetched on the machine of this measurement.
`

func (r *runner) renderTable(b *strings.Builder, t *table) {
	var present []*contender
	for _, c := range r.contenders {
		if t.rows[c] != nil {
			present = append(present, c)
		}
	}
	if len(present) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", t.title)
	if t.note != "" {
		b.WriteString(t.note + "\n\n")
	}
	headings := []string{""}
	for _, c := range t.columns {
		headings = append(headings, c.title+" "+arrow(c.more))
	}
	comparisons := r.comparisons(t, present)
	for _, c := range comparisons {
		headings = append(headings, c.title+" "+arrow(t.more))
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(headings, " | "),
		strings.Repeat("---|", len(headings)))
	best := t.best(present)
	for _, c := range present {
		cells := []string{c.name}
		if c == best {
			cells[0] = "**" + c.name + "**"
		}
		for _, column := range t.columns {
			cells = append(cells, column.cell(t.values(c, column.key)))
		}
		for _, compared := range comparisons {
			cells = append(cells, t.compare(c, compared))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, c := range present {
		t.rows[c].renderFailure(b, c.name)
	}
}

// arrow returns the mark of a column in which a higher number is better if more is
// true, and otherwise of a column in which a lower number is better.
func arrow(more bool) string {
	if more {
		return "↑"
	}
	return "↓"
}

// renderFailure writes the number of failed rounds and the last error. If no round
// has failed, it writes nothing.
func (r *row) renderFailure(b *strings.Builder, name string) {
	bad := 0
	for _, f := range r.rounds {
		if f == nil {
			bad++
		}
	}
	if bad > 0 {
		fmt.Fprintf(b, "\n%s failed in %d of %d rounds: %s\n", name, bad, len(r.rounds),
			strings.ReplaceAll(r.err.Error(), "\n", " "))
	}
}

// compare formats the ratio of the contender c to the contender compared.with(c). It
// returns "" for a comparison of a figure with itself.
func (t *table) compare(c *contender, compared comparison) string {
	other := compared.with(c)
	if compared.table == t && other == c {
		return ""
	}
	s, ok := ratio(t.round(c), compared.table.round(other), compared.of)
	if !ok {
		return ""
	}
	return s.Times()
}

// cell formats the median of values, with the lowest and the highest value if these
// differ.
func (c column) cell(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	s := report.SpreadOf(values)
	if s.Low == s.High {
		return c.text(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", c.text(s.Median), c.text(s.Low), c.text(s.High))
}

// comparison is a column with the ratios of a contender's figures to the figures of
// another contender from the same round.
type comparison struct {
	title string
	table *table                                // the table with the figures of the other contender
	with  func(*contender) *contender           // returns the other contender, or nil
	of    func(f, other figures) (v, w float64) // returns two numbers; the ratio is v/w
}

// parked is the key of the contender with which the hub is compared: the hub contains
// a broker that parks streams.
const parked = "sse-parked"

func (r *runner) comparisons(t *table, present []*contender) []comparison {
	plain := func(f, other figures) (v, w float64) { return f[t.ratio], other[t.ratio] }
	var all []comparison
	add := func(title string, table *table, with *contender,
		of func(f, other figures) (v, w float64)) {
		if with != nil {
			all = append(all, comparison{title, table,
				func(*contender) *contender { return with }, of})
		}
	}
	floor := t.lowest(present, lowerBound)
	if t.key == "memory" {
		add("RSS + kernel memory of the server's end relative to C", t, floor, serverEnd)
	} else {
		add(t.ratioName+" relative to C", t, floor, plain)
	}
	add(t.ratioName+" relative to net/http", t, t.lowest(present, base), plain)
	if i := slices.IndexFunc(present, func(c *contender) bool { return c.key == parked }); i >= 0 {
		// This column shows how much the hub adds to its broker.
		hub := func(c *contender) *contender {
			if c.key == "hub" {
				return present[i]
			}
			return nil
		}
		if slices.ContainsFunc(present, func(c *contender) bool { return hub(c) != nil }) {
			all = append(all, comparison{t.ratioName + " relative to " + present[i].name, t, hub,
				plain})
		}
	}
	if i := slices.IndexFunc(r.tables, func(o *table) bool { return o.key == t.against }); i >= 0 {
		all = append(all, comparison{t.ratioName + " relative to one topic", r.tables[i],
			func(c *contender) *contender { return c }, plain})
	}
	return all
}

// lowest returns the contender of a kind with the lowest median in the column
// t.ratio, or nil if there is none.
func (t *table) lowest(present []*contender, k kind) *contender {
	return t.extreme(present, k, false)
}

// best returns the best peer, or nil if there is none.
func (t *table) best(present []*contender) *contender { return t.extreme(present, peer, t.more) }

func (t *table) extreme(present []*contender, k kind, highest bool) *contender {
	var best *contender
	var median float64
	for _, c := range present {
		values := t.values(c, t.ratio)
		if c.kind != k || len(values) == 0 {
			continue
		}
		m := report.SpreadOf(values).Median
		if best == nil || (m > median) == highest && m != median {
			best, median = c, m
		}
	}
	return best
}

// renderVersions writes the version and the settings of each server.
func (r *runner) renderVersions(b *strings.Builder) {
	b.WriteString("\n### Servers of this comparison\n\n| server | version and settings |\n|---|---|\n")
	for _, c := range r.contenders {
		if c.version != "" {
			fmt.Fprintf(b, "| %s | %s |\n", c.name, c.version)
		}
	}
}
