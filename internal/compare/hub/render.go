package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare/report"
)

const method = `
What it costs to publish over HTTP/1.1, on loopback and on connections that stay open: every server
is a process of its own and starts anew for every round. The publishers are in one thread of
another process, on one epoll; each sends its next request when the one before is acknowledged, and
checks the answer: its status, and, of those that tell, that the numbers of the events grow, and are
as many as was acknowledged. Events have %d bytes of data, requests the headers Host, User-Agent,
Content-Type and their length. CPU is the user and system time of the server's process (of nginx the
worker's) by its CPU clock.

%d rounds, in each of which all take turns, %d of %v in memory and %d of %v on the disk; what an
event costs in a round is the median of the turns. Figures are the median of the rounds, with the lowest
and highest, and so are ratios, which are taken within a round.
`

// render writes the section "Hub".
func render(p plan, all []*contender) string {
	var b strings.Builder
	b.WriteString(report.Header("Hub", "compare-hub"))
	fmt.Fprintf(&b, method, eventSize, p.rounds, p.turns, p.during, p.diskTurns, p.onDisk)
	memory := func(c *contender) bool { return !c.disk }
	if some := only(all, memory); len(some) > 0 {
		fmt.Fprintf(&b, "\n### In memory, %d publishers\n\n", p.few)
		fmt.Fprintf(&b, "`sse serve --data memory`, full: %s events of that size were published before, "+
			"and each\nthat is published removes one. Nothing subscribes.\n\n", report.Figure(float64(p.fill)))
		renderCosts(&b, some)
	}
	if some := only(all, func(c *contender) bool { return c.disk }); len(some) > 0 {
		fmt.Fprintf(&b, "\n### On disk, %d publishers\n\n", p.many)
		fmt.Fprintf(&b, "`sse serve` as it is by default; what is acknowledged is synced. The same disk, "+
			"in turn.\n\n")
		renderDisk(&b, some)
	}
	b.WriteString("\n### Servers of this section\n\n| | version and settings |\n|---|---|\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| %s | %s |\n", c.name, c.version)
	}
	return b.String()
}

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
	b.WriteString("| | µs CPU for each event | of the empty handler's | of one event to sse | " +
		"µs CPU of the client | events/s |\n|---|---|---|---|---|---|\n")
	empty, one := find(all, "empty"), find(all, "memory")
	for _, c := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", c.name,
			c.spread(figures.each, report.Times), c.against(empty, figures.each),
			c.against(one, figures.each), c.spread(figures.clients, report.Times),
			c.spread(figures.rate, report.Figure))
	}
}

func renderDisk(b *strings.Builder, all []*contender) {
	b.WriteString("| | events/s | of bbolt's | p50, ms | p99, ms | µs CPU for each event | " +
		"processors |\n|---|---|---|---|---|---|---|\n")
	bbolt := find(all, "bbolt")
	for _, c := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.name,
			c.spread(figures.rate, report.Figure), c.against(bbolt, figures.rate),
			c.spread(figures.p50, report.Times), c.spread(figures.p99, report.Times),
			c.spread(figures.each, report.Times), c.spread(figures.processors, report.Times))
	}
}

// spread is the median of a figure, with the lowest and highest.
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

// against compares a figure, round by round.
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
