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
	fmt.Fprintf(&b, method, drive.EventSize, r.plan.rounds)
	for _, t := range r.tables {
		r.renderTable(&b, t)
	}
	r.renderVersions(&b)
	b.WriteString(left)
	return b.String()
}

const method = `
Every server is a process of its own and starts anew for every measurement. Its subscribers are in
other processes, on one epoll, with source addresses across 127.0.0.0/8; they check every event for
loss, repetition, order and topic. Events have %d bytes of data. CPU is the user and system
time of the server's process (of nginx the worker's) by its CPU clock, from the first publish until
the last subscriber has the last event. RSS is from smaps_rollup. One event at a time means that the
next is published when all have the one before; with N outstanding, when all have the one N before.
Latency is from just before the call, or the request, that publishes, to the return of the read that
brings the event, by one clock.

%d rounds, in each of which all take turns at every table; figures are the median of the rounds,
with the lowest and highest, and so are ratios, which are taken within a round. In bold, the best
peer.
`

const left = `
C only writes the same bytes to every socket, without topics and without regard for slow clients;
its source is in internal/compare/floor. Mercure is not here, since its module could not be fetched
where this was measured.
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
		headings = append(headings, c.title)
	}
	comparisons := r.comparisons(t, present)
	for _, c := range comparisons {
		headings = append(headings, c.title)
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

// renderFailure tells of the rounds that have failed, if any have.
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

// compare is a ratio with its spread; nothing, for a figure with itself.
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

// cell is a median with its spread.
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

// comparison is a column with ratios between a contender's figures and others',
// of the same round.
type comparison struct {
	title string
	table *table                      // of the others' figures
	with  func(*contender) *contender // whose; nil: nobody's
	of    func(f, other figures) (v, w float64)
}

// parked is the key of the broker that a hub has in it.
const parked = "ours-parked"

func (r *runner) comparisons(t *table, present []*contender) []comparison {
	plainly := func(f, other figures) (v, w float64) { return f[t.ratio], other[t.ratio] }
	var all []comparison
	add := func(title string, table *table, with *contender,
		of func(f, other figures) (v, w float64)) {
		if with != nil {
			all = append(all, comparison{title, table,
				func(*contender) *contender { return with }, of})
		}
	}
	floor := t.lowest(present, bound)
	if t.key == "memory" {
		add("RSS + kernel, server's end, of the floor's", t, floor, serverEnd)
	} else {
		add("of the floor", t, floor, plainly)
	}
	add("of net/http", t, t.lowest(present, base), plainly)
	if i := slices.IndexFunc(present, func(c *contender) bool { return c.key == parked }); i >= 0 {
		// What the hub adds to the broker that is in it.
		hub := func(c *contender) *contender {
			if c.key == "hub" {
				return present[i]
			}
			return nil
		}
		if slices.ContainsFunc(present, func(c *contender) bool { return hub(c) != nil }) {
			all = append(all, comparison{"of " + parked, t, hub, plainly})
		}
	}
	if i := slices.IndexFunc(r.tables, func(o *table) bool { return o.key == t.against }); i >= 0 {
		all = append(all, comparison{"of one topic", r.tables[i],
			func(c *contender) *contender { return c }, plainly})
	}
	return all
}

// lowest is who has the lowest median of a kind, nil if there is none.
func (t *table) lowest(present []*contender, k kind) *contender {
	return t.extreme(present, k, false)
}

// best is the best peer, nil if there is none.
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

// renderVersions tells what each server is and how it is set.
func (r *runner) renderVersions(b *strings.Builder) {
	b.WriteString("\n### Servers of this comparison\n\n| | version and settings |\n|---|---|\n")
	for _, c := range r.contenders {
		if c.version != "" {
			fmt.Fprintf(b, "| %s | %s |\n", c.name, c.version)
		}
	}
}
