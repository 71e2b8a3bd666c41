package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

const method = `
%s subscribers, all parked, are connected to %d server processes. The processes listen on one
port (SO_REUSEPORT) and share nothing else, so each of them publishes the event. The kernel assigns
each connection to a process by a hash; a process has %s subscribers. The
subscribers run in %d other processes, with source addresses across 127.0.0.0/8. They check every
event, and that every stream ends completely.

- CPU is the user and system time of all server processes.
- RSS is the resident memory of all server processes, from smaps_rollup.
- The kernel memory consists of objects in use (/proc/slabinfo) and socket buffers
  (/proc/net/sockstat).
- Memory is read before the first event, after %v without activity. Garbage collection has Go's
  default settings and is not forced.
- The time of an event is from the command to publish until all subscribers have received it.
- Latency is the time from just before the call that publishes, in the same process, until the
  return of the read that yields the event.

Servers and subscribers share the processors. Each subscriber receives a heartbeat 15 s after the
last bytes. In the tables of this section, lower numbers are better (↓).
`

const stubbed = `
These are the costs of a broker in one process whose last step, the write, does nothing
(BenchmarkManyParked), measured with
%s.
Memory is heap memory, and time is CPU time including garbage collection; an event was published %s.

`

// render writes the section "Many".
func render(p plan, f figures, rows []parked) string {
	var b strings.Builder
	b.WriteString(report.Header("Many", "many"))
	fmt.Fprintf(&b, method, number(p.subscribers), p.servers,
		spread(f.counts, report.Figure), f.clients, p.settle)
	renderCrowd(&b, p, f)
	renderParked(&b, p, rows)
	return b.String()
}

func renderCrowd(b *strings.Builder, p plan, f figures) {
	fmt.Fprintf(b, "\n### %s subscribers\n\n| | total ↓ | per subscriber ↓ |\n|---|---|---|\n",
		number(p.subscribers))
	n := float64(p.subscribers)
	row := func(name, all, each string) { fmt.Fprintf(b, "| %s | %s | %s |\n", name, all, each) }
	space := func(name string, bytes float64) {
		row(name, megabytes(bytes), report.Figure(bytes/n)+" B")
	}
	times := func(name string, d ...time.Duration) {
		var all []float64
		for _, d := range d {
			all = append(all, d.Seconds())
		}
		each := report.SpreadOf(all).Median / n
		row(name, spread(all, report.Times)+" s", report.Times(each*1e6)+" µs")
	}
	cost := func(name string, of ...drive.Cost) {
		var wall, cpu []time.Duration
		for _, c := range of {
			wall, cpu = append(wall, c.Wall), append(cpu, c.CPU)
		}
		times(name+", time", wall...)
		times(name+", CPU", cpu...)
	}
	space("RSS of the servers, idle, minus RSS without subscribers", f.idle.rss-f.before.rss)
	space("RSS of the servers, idle", f.idle.rss)
	space("kernel memory, both ends", f.idle.kernel-f.before.kernel)
	row("goroutines of the servers", number(f.goroutines), "")
	cost("connecting", f.connect)
	cost("the first event", f.first.Cost)
	var later []drive.Cost
	var latency control.Histogram
	for _, o := range f.events {
		later = append(later, o.Cost)
		latency.Merge(o.Latency)
	}
	cost(fmt.Sprintf("each of %d more events", len(later)), later...)
	seconds := func(q float64) string { return report.Times(float64(latency.Quantile(q)) / 1e9) }
	row("latency of these events: p50, p99, maximum", fmt.Sprintf("%s, %s, %s s",
		seconds(0.5), seconds(0.99), seconds(1)), "")
	cost("ending all streams (Shutdown)", f.shutdown)
}

func renderParked(b *strings.Builder, p plan, rows []parked) {
	command := fmt.Sprintf("`go test -run xxx -bench %s -benchtime %s .`", p.benchmarks, p.benchtime)
	fmt.Fprintf(b, "\n### Up to %s subscribers, without writes\n",
		number(rows[len(rows)-1].subscribers))
	fmt.Fprintf(b, stubbed, command, strings.TrimSuffix(p.benchtime, "x")+" times")
	b.WriteString("| subscribers | bytes per subscriber ↓ | ns to subscribe one ↓ | " +
		"ns to reach one with an event ↓ | ns to remove one ↓ |\n|---|---|---|---|---|\n")
	line := func(name string, value func(unit string) string) {
		cells := []string{name}
		for _, unit := range metrics {
			cells = append(cells, value(unit))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, r := range rows {
		line(number(r.subscribers), func(unit string) string { return report.Figure(r.metrics[unit]) })
	}
	first, last := rows[0], rows[len(rows)-1]
	line(number(last.subscribers)+" relative to "+number(first.subscribers), func(unit string) string {
		return report.Times(last.metrics[unit] / first.metrics[unit])
	})
}

func number(n int) string { return report.Figure(float64(n)) }

func megabytes(bytes float64) string { return report.Figure(bytes/1e6) + " MB" }

// spread formats the median of values, with the lowest and the highest value if these
// differ.
func spread(values []float64, text func(float64) string) string {
	s := report.SpreadOf(values)
	if s.Low == s.High {
		return text(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", text(s.Median), text(s.Low), text(s.High))
}
