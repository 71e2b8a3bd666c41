package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare"
	"github.com/sse-go/sse/internal/compare/report"
)

// result is one table: a workload with the contenders that were measured on it.
type result struct {
	kind                   string
	workload               workload
	upperBound, sse, peers []*contender
}

func (r *result) all() []*contender { return slices.Concat(r.upperBound, r.sse, r.peers) }

// filter removes all contenders whose name does not contain name.
func (r *result) filter(name string) {
	other := func(c *contender) bool { return !strings.Contains(c.name, name) }
	r.upperBound = slices.DeleteFunc(r.upperBound, other)
	r.sse = slices.DeleteFunc(r.sse, other)
	r.peers = slices.DeleteFunc(r.peers, other)
}

// fullWork has, for each kind of table, a clause that describes the peers that do all
// of the work.
var fullWork = map[string]string{
	"decoding": "that reports ids",
	"encoding": "that splits lines itself",
}

// fastest returns the peer with the highest median speed. If all is false, it ignores
// peers that do only a part of the work. If there is no peer, it returns nil.
func (r *result) fastest(all bool) *contender {
	var best *contender
	for _, c := range r.peers {
		if c.partial && !all {
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
	b.WriteString(report.Header("Codec", "compare-codec"))
	fmt.Fprintf(&b, method, p.rounds, p.slices, p.slice, p.rounds, report.Arrows)
	for _, r := range results {
		r.render(&b)
	}
	renderSettings(&b)
	return b.String()
}

const method = `
Speed is in megabytes per second of CPU time, not of wall-clock time. CPU time is the user and
system time of the whole process, including garbage collection. All codecs run in one process. In
each of %d runs, the codecs take turns, %d turns of %v each. A speed is the median of the runs. A
factor is the median of the %d factors within a run, with the lowest and highest in parentheses; a
factor below 1 means that the codec of sse is slower. Allocations are the cost of one more event.
%s
`

func (r *result) render(b *strings.Builder) {
	kind := strings.ToUpper(r.kind[:1]) + r.kind[1:]
	fmt.Fprintf(b, "\n### %s, %s\n\n| | MB/s ↑ | allocations ↓ | bytes allocated ↓ |", kind,
		r.workload.name)
	for _, c := range r.sse {
		fmt.Fprintf(b, " factor by which %s is faster ↑ |", c.name)
	}
	b.WriteString("\n|---|---|---|---|" + strings.Repeat("---|", len(r.sse)) + "\n")
	for _, c := range r.all() {
		name := c.name
		switch c {
		case r.fastest(true):
			name = "**" + name + "**, the fastest peer"
		case r.fastest(false):
			name = "**" + name + "**, the fastest peer " + fullWork[r.kind]
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |", name,
			report.Figure(report.SpreadOf(c.speeds).Median/1e6), count(c.allocs),
			report.Figure(c.allocBytes))
		for _, own := range r.sse {
			if slices.Contains(r.sse, c) {
				b.WriteString(" |")
				continue
			}
			s := ratio(own, c)
			fmt.Fprintf(b, " %s |", s.Times())
		}
		b.WriteString("\n")
	}
}

// renderSettings writes how each library is called.
func renderSettings(b *strings.Builder) {
	b.WriteString("\n### Versions and settings\n\n" +
		"| decoder | version | how it is called |\n|---|---|---|\n")
	for _, d := range slices.Concat(sseDecoders, []decoder{upperBound}, decodePeers) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", d.name, version(d.module), d.setting)
	}
	b.WriteString("\n| encoder | version | how it is called |\n|---|---|---|\n")
	for _, e := range slices.Concat(sseEncoders, encodePeers) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", e.name, version(e.module), e.setting)
	}
	b.WriteString(notes)
}

const notes = `
Some codecs are missing because they cannot be measured alone: the encoders of r3labs and of
modelcontextprotocol/go-sdk are inside their handlers, and the decoder of
modelcontextprotocol/go-sdk is private and passes on JSON-RPC messages only. ogen and openai-go
do not encode; alexandrevicenzi and datastar do not decode. openai-go ignores id, retry, CR, BOM
and ill-formed UTF-8. The row "tmaxmax, split in advance" leaves out the search for line ends.
[BEHAVIOUR.md](BEHAVIOUR.md) shows which rules of the standard each library follows.
`

func version(module string) string {
	if module == "" {
		return "this tree"
	}
	return compare.Version(module)
}

// count formats a number of allocations with at most one decimal, or with two
// decimals if it would be "0" otherwise.
func count(v float64) string {
	text := strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	if text == "0" && v >= 0.005 {
		return fmt.Sprintf("%.2f", v)
	}
	return text
}
