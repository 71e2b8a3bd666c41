package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// contender is a server, and the request with which events are published to it.
type contender struct {
	key, name string
	start     func(ctx context.Context, dir string) (*drive.Server, error)
	path      string
	method    string
	body      string
	header    string // additional header line, with its line end
	answers   answers
	filled    bool // the server is full before the measurement: each event then removes another
	disk      bool // the server stores events on the disk
	alone     bool // there is only one publisher

	version string
	rounds  []figures
}

const eventSize = drive.EventSize

// contenders returns all contenders in the order of the tables.
func contenders(p plan) []*contender {
	text := strings.Repeat("x", eventSize)
	created := answers{statuses: []int{201}, events: 1}
	one := answers{statuses: []int{200}, events: 1, number: position}
	all := []*contender{
		{key: "empty", name: "net/http, an empty handler", start: startPosted("empty"),
			path: "/news", body: text, answers: created},
		{key: "memory", name: "sse, one event", start: startMemory, path: "/news", body: text,
			answers: one, filled: true},
		{key: "nchan", name: "Nchan", start: startNchan, path: "/publish?topic=news", body: text,
			// RFC 9110 15.3.3: Nchan answers 202, because there are no subscribers.
			answers: answers{statuses: []int{201, 202}, events: 1}},
	}
	for _, n := range []int{100, 1000} {
		all = append(all, &contender{
			key: fmt.Sprintf("batch%d", n), name: "sse, batches of " + number(n),
			start: startMemory, path: "/-/batch?topic=news",
			body:    strings.Repeat(`{"data":"`+text+"\"}\n", n),
			answers: answers{statuses: []int{200}, events: n, number: lastOf(n)}, filled: true,
		})
	}
	all = append(all, &contender{
		key: "stream", name: "sse, PUT of " + number(p.streamLines) + " lines",
		start: startMemory, method: "PUT", path: "/news",
		header: "Transfer-Encoding: chunked\r\n", body: chunked(text+"\n", p.streamLines),
		answers: answers{statuses: []int{200}, events: p.streamLines, number: lastOf(p.streamLines)},
		filled:  true,
	})
	return append(all,
		&contender{key: "disk", name: "sse", start: startDisk, path: "/news", body: text,
			answers: one, disk: true},
		&contender{key: "bbolt", name: "net/http and a bbolt transaction for each event",
			start: startPosted("bbolt"), path: "/news", body: text, disk: true,
			answers: answers{statuses: []int{201}, events: 1, number: decimal}},
		&contender{key: "sync", name: "one publisher, a write and a sync for each event",
			start: startPosted("file"), path: "/news", body: text, answers: created, disk: true,
			alone: true})
}

// chunked returns a chunked body of equal lines, in chunks of 4 KiB, as a program
// with a buffer of this size writes it.
func chunked(line string, lines int) string {
	const size = 4 << 10
	var b strings.Builder
	for rest := strings.Repeat(line, lines); len(rest) > 0; {
		n := min(size, len(rest))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

func (c *contender) request(addr string) []byte {
	method, header := "POST", fmt.Sprintf("Content-Length: %d\r\n", len(c.body))
	if c.method != "" {
		method, header = c.method, c.header
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: compare\r\n"+
		"Content-Type: text/plain\r\n%s\r\n%s", method, c.path, addr, header, c.body)
}

func startPosted(name string) func(context.Context, string) (*drive.Server, error) {
	return func(ctx context.Context, dir string) (*drive.Server, error) {
		args := []string{name}
		if name != "empty" {
			at, err := os.MkdirTemp(dir, name)
			if err != nil {
				return nil, err
			}
			args = append(args, at)
		}
		d, err := drive.StartDriven(ctx, name, filepath.Join(dir, "posted"), args...)
		if err != nil {
			return nil, err
		}
		return d.Server(), nil
	}
}

// startMemory starts "sse serve" with default settings, except for its address and its
// data directory.
func startMemory(ctx context.Context, dir string) (*drive.Server, error) {
	return drive.StartHub(ctx, dir, "--data", "memory")
}

// startDisk is like startMemory, but the hub stores events on the disk.
func startDisk(ctx context.Context, dir string) (*drive.Server, error) {
	data, err := os.MkdirTemp(dir, "events")
	if err != nil {
		return nil, err
	}
	return drive.StartHub(ctx, dir, "--data", data)
}

func startNchan(ctx context.Context, dir string) (*drive.Server, error) {
	n, err := drive.StartNchan(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &drive.Server{
		Addr: n.Addr, PIDs: []int{n.Worker}, Version: n.Version, Stop: n.Stop,
	}, nil
}

// figures are the results of one round.
type figures struct {
	events  float64
	wall    time.Duration
	cpu     time.Duration // CPU time of the server
	costs   []float64     // for each turn, the CPU time of the server per event in µs
	client  time.Duration // CPU time of this process, which contains the publishers
	latency control.Histogram
}

func (f figures) rate() float64 { return f.events / f.wall.Seconds() }

// each returns the CPU time of the server per event in µs. It is the median of the
// turns, so that a turn with much noise does not count.
func (f figures) each() float64       { return report.SpreadOf(f.costs).Median }
func (f figures) clients() float64    { return float64(f.client.Nanoseconds()) / f.events / 1e3 }
func (f figures) p50() float64        { return float64(f.latency.Quantile(0.5)) / 1e6 }
func (f figures) p99() float64        { return float64(f.latency.Quantile(0.99)) / 1e6 }
func (f figures) processors() float64 { return f.cpu.Seconds() / f.wall.Seconds() }

func (f figures) String() string {
	return fmt.Sprintf("%.0f events/s; %.2f µs CPU per event, %.2f of the client; "+
		"p50 %.2f ms, p99 %.2f ms",
		f.rate(), f.each(), f.clients(), f.p50(), f.p99())
}

// turn is a contender with its running server and its figures of this round.
type turn struct {
	*contender
	server  *drive.Server
	crowd   *crowd
	request []byte
	last    uint64 // sequence number of the last published event
	figures figures
}

// begin starts the server, fills it if c.filled is set, connects the publishers, and
// publishes for a while to warm up.
func (c *contender) begin(ctx context.Context, p plan, dir string) (*turn, error) {
	server, err := c.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	c.version = server.Version
	t := &turn{contender: c, server: server, request: c.request(server.Addr)}
	count := p.few
	if c.disk {
		count = p.many
	}
	if c.alone {
		count = 1
	}
	if c.filled {
		t.last, err = fill(ctx, server.Addr, p.fill)
	}
	if err == nil {
		t.crowd, err = connect(ctx, server.Addr, count)
	}
	if err == nil {
		err = t.publish(p.warm)
		t.figures = figures{}
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

func (t *turn) end() {
	if t.crowd != nil {
		t.crowd.close()
	}
	t.server.Stop()
}

// publish publishes for the given time, and adds the cost to t.figures.
func (t *turn) publish(during time.Duration) error {
	counted := t.answers
	counted.before, counted.last = t.last, t.last
	cpu, own, began := t.server.CPU(), control.CPUTime(os.Getpid()), time.Now()
	latency, err := t.crowd.publish(t.request, &counted, during)
	if err == nil {
		err = counted.complete()
	}
	f := &t.figures
	f.wall += time.Since(began)
	used := t.server.CPU() - cpu
	f.cpu += used
	f.costs = append(f.costs, float64(used.Nanoseconds())/float64(counted.acknowledged)/1e3)
	f.client += time.Duration(control.CPUTime(os.Getpid()) - own)
	f.events += float64(counted.acknowledged)
	f.latency.Merge(latency)
	t.last = counted.last
	return err
}

// round starts the servers of all contenders, and gives each contender count turns.
// The contenders take turns, so that the same noise affects all of them.
func round(ctx context.Context, p plan, dir string, all []*contender, count int) error {
	var turns []*turn
	defer func() {
		for _, t := range turns {
			t.end()
		}
	}()
	for _, c := range all {
		t, err := c.begin(ctx, p, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		turns = append(turns, t)
	}
	for range count {
		for _, t := range turns {
			during := p.during
			if t.disk {
				during = p.onDisk
			}
			if err := t.publish(during); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	for _, t := range turns {
		t.rounds = append(t.rounds, t.figures)
		fmt.Fprintf(os.Stderr, "%s: %s\n", t.name, t.figures)
	}
	return nil
}

// fill publishes at least the given number of events, in batches, so that a hub that
// stores events in memory becomes full. It returns the sequence number of the last
// event.
func fill(ctx context.Context, addr string, events int) (last uint64, err error) {
	const size = 1000
	c := &contender{
		path: "/-/batch?topic=fill",
		body: strings.Repeat(`{"data":"`+strings.Repeat("x", eventSize)+"\"}\n", size),
	}
	crowd, err := connect(ctx, addr, 1)
	if err != nil {
		return 0, err
	}
	defer crowd.close()
	all := answers{statuses: []int{200}, events: size, number: lastOf(size)}
	for all.acknowledged < uint64(events) && err == nil {
		_, err = crowd.publish(c.request(addr), &all, 0)
	}
	return all.last, err
}
