package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare"
	"github.com/sse-go/sse/internal/compare/report"
)

// result is one table: a workload, and what everybody made of it.
type result struct {
	kind               string
	workload           workload
	bound, ours, peers []*contender
}

func (r *result) all() []*contender { return slices.Concat(r.bound, r.ours, r.peers) }

// keep drops all contenders whose name does not contain name.
func (r *result) keep(name string) {
	drop := func(c *contender) bool { return !strings.Contains(c.name, name) }
	r.bound = slices.DeleteFunc(r.bound, drop)
	r.ours = slices.DeleteFunc(r.ours, drop)
	r.peers = slices.DeleteFunc(r.peers, drop)
}

// equals are the peers that do not do less.
var equals = map[string]string{
	"decoding": "that reports ids",
	"encoding": "that is given the same",
}

// fastest is the peer with the highest median, of all or of the equals. There
// is none if there are no peers.
func (r *result) fastest(all bool) *contender {
	var best *contender
	for _, c := range r.peers {
		if c.less && !all {
			continue
		}
		if best == nil || report.SpreadOf(c.speeds).Median > report.SpreadOf(best.speeds).Median {
			best = c
		}
	}
	return best
}

// render writes the section "Codec".
func render(p plan, results []result) string {
	var b strings.Builder
	b.WriteString(report.Header("Codec", "compare-codec") + "\n")
	fmt.Fprintf(&b, "MB per second of CPU time (user and system, of the whole process, garbage "+
		"collection included), not of the clock. %d runs in one process, in each of which all take "+
		"turns, %d of %v; the speed is the median, a ratio the median of %d ratios within a run, "+
		"with the lowest and highest. Allocations are what one more event costs.\n",
		p.rounds, p.slices, p.slice, p.rounds)
	for _, r := range results {
		r.render(&b)
	}
	renderSettings(&b)
	return b.String()
}

func (r *result) render(b *strings.Builder) {
	kind := strings.ToUpper(r.kind[:1]) + r.kind[1:]
	fmt.Fprintf(b, "\n### %s, %s\n\n| | MB/s | allocations | B allocated |", kind, r.workload.name)
	for _, c := range r.ours {
		fmt.Fprintf(b, " %s is faster by |", c.name)
	}
	b.WriteString("\n|---|---|---|---|" + strings.Repeat("---|", len(r.ours)) + "\n")
	for _, c := range r.all() {
		name := c.name
		switch c {
		case r.fastest(true):
			name = "**" + name + "**, the fastest peer"
		case r.fastest(false):
			name = "**" + name + "**, the fastest " + equals[r.kind]
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |", name,
			report.Figure(report.SpreadOf(c.speeds).Median/1e6), count(c.allocs), report.Figure(c.allocBytes))
		for _, own := range r.ours {
			if slices.Contains(r.ours, c) {
				b.WriteString(" |")
				continue
			}
			s := ratio(own, c)
			fmt.Fprintf(b, " %s |", s.Times())
		}
		b.WriteString("\n")
	}
}

// renderSettings tells how each library was called.
func renderSettings(b *strings.Builder) {
	b.WriteString("\n### Versions and settings\n\n| | version | decoding |\n|---|---|---|\n")
	for _, d := range slices.Concat(ours, []decoder{bound}, decodePeers) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", d.name, version(d.module), d.setting)
	}
	b.WriteString("\n| | version | encoding |\n|---|---|---|\n")
	for _, e := range slices.Concat(ourEncoders, encodePeers) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", e.name, version(e.module), e.setting)
	}
	b.WriteString(notes)
}

const notes = `
What is not here has no part that could be measured alone: the encoders of r3labs and of
modelcontextprotocol/go-sdk are inside of their handlers, the decoder of the latter is
private and hands on JSON-RPC messages only; ogen and openai-go do not encode;
alexandrevicenzi and datastar do not decode. openai-go leaves out id, retry, CR, BOM and
ill-formed UTF-8; a tmaxmax message whose lines were found before has no line to find. What
each library gets right is in [BEHAVIOUR.md](BEHAVIOUR.md).
`

func version(module string) string {
	if module == "" {
		return "this tree"
	}
	return compare.Version(module)
}

// count is a number of allocations: whole if it is as good as whole.
func count(v float64) string {
	text := strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	if text == "0" && v >= 0.005 {
		return fmt.Sprintf("%.2f", v)
	}
	return text
}
