package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare/report"
)

const method = `
This section compares the cost of publishing over HTTP/1.1, on loopback and on connections that stay
open. Every server runs in its own process, which is started again for every round. The publishers
run in one thread of another process, on one epoll. Each publisher sends its next request when the
server has acknowledged its last one. The publishers check the status of each response. If responses
contain the number of the event, they also check that the numbers grow and that none is missing.
Events have %d bytes of data. Requests have the headers Host, User-Agent, Content-Type and
Content-Length. CPU is the user and system time of the server's process (for nginx, of its worker)
by its CPU clock.

There are %d rounds. In each round, the servers take turns: %d turns of %v in memory, %d turns of %v
on disk. The CPU time per event of a round is the median of its turns. A number is the median of the
rounds, with the lowest and highest in parentheses. A ratio is computed within a round.
%s
`

// render writes the section "Hub".
func render(p plan, all []*contender) string {
	var b strings.Builder
	b.WriteString(report.Header("Hub", "compare-hub"))
	fmt.Fprintf(&b, method, eventSize, p.rounds, p.turns, p.during, p.diskTurns, p.onDisk,
		report.Arrows)
	memory := func(c *contender) bool { return !c.disk }
	if some := only(all, memory); len(some) > 0 {
		fmt.Fprintf(&b, "\n### In memory, %d publishers\n\n", p.few)
		fmt.Fprintf(&b, "`sse serve --data memory` is full: %s events of this size were published "+
			"before, so that\neach published event removes one. There are no subscribers.\n\n",
			number(p.fill))
		renderCosts(&b, some)
	}
	if some := only(all, func(c *contender) bool { return c.disk }); len(some) > 0 {
		fmt.Fprintf(&b, "\n### On disk, %d publishers\n\n", p.many)
		fmt.Fprintf(&b, "`sse serve` has its default settings; it acknowledges an event when it is "+
			"synced to the disk.\nThe servers use the same disk, in turn.\n\n")
		renderDisk(&b, some)
	}
	b.WriteString("\n### Servers of this section\n\n| server | version and settings |\n|---|---|\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| %s | %s |\n", c.name, c.version)
	}
	return b.String()
}

func number(n int) string { return report.Figure(float64(n)) }

// only returns the contenders that have figures and for which the function is returns
// true.
func only(all []*contender, is func(*contender) bool) (some []*contender) {
	for _, c := range all {
		if is(c) && len(c.rounds) > 0 {
			some = append(some, c)
		}
	}
	return some
}

func find(all []*contender, key string) *contender {
	if i := slices.IndexFunc(all, func(c *contender) bool { return c.key == key }); i >= 0 {
		return all[i]
	}
	return nil
}

func renderCosts(b *strings.Builder, all []*contender) {
	b.WriteString("| | µs CPU per event ↓ | CPU relative to the empty handler ↓ | " +
		"CPU relative to sse, one event ↓ | µs CPU of the client per event ↓ | events/s ↑ |\n|---|---|---|---|---|---|\n")
	empty, one := find(all, "empty"), find(all, "memory")
	for _, c := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", c.name,
			c.spread(figures.each, report.Times), c.against(empty, figures.each),
			c.against(one, figures.each), c.spread(figures.clients, report.Times),
			c.spread(figures.rate, report.Figure))
	}
}

func renderDisk(b *strings.Builder, all []*contender) {
	b.WriteString("| | events/s ↑ | events/s relative to bbolt ↑ | p50, ms ↓ | p99, ms ↓ | " +
		"µs CPU per event ↓ | processors in use |\n|---|---|---|---|---|---|---|\n")
	bbolt := find(all, "bbolt")
	for _, c := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.name,
			c.spread(figures.rate, report.Figure), c.against(bbolt, figures.rate),
			c.spread(figures.p50, report.Times), c.spread(figures.p99, report.Times),
			c.spread(figures.each, report.Times), c.spread(figures.processors, report.Times))
	}
}

// spread formats the median of a figure, with the lowest and the highest value if
// these differ. of returns the figure of one round.
func (c *contender) spread(of func(figures) float64, text func(float64) string) string {
	var values []float64
	for _, f := range c.rounds {
		values = append(values, of(f))
	}
	s := report.SpreadOf(values)
	if s.Low == s.High {
		return text(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", text(s.Median), text(s.Low), text(s.High))
}

// against formats the spread of the ratios of a figure to the figure of another
// contender, one ratio for each round.
func (c *contender) against(other *contender, of func(figures) float64) string {
	if other == nil || other == c {
		return ""
	}
	var ratios []float64
	for i, f := range c.rounds {
		ratios = append(ratios, of(f)/of(other.rounds[i]))
	}
	return report.SpreadOf(ratios).Times()
}
