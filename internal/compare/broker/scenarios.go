package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// scenario is one kind of measurement. Its results are one table.
type scenario struct {
	key     string // selects the scenario on the command line
	title   string
	note    string
	columns []column
	// ratio is the key of the column of which the table also contains ratios: to the
	// figures of the C program and of the simple handler on net/http.
	ratio     string
	ratioName string // name of this column in the headings of the ratios
	more      bool   // a higher number in this column is better
	// against, if not empty, is the key of another scenario. The table then also
	// contains ratios to the figures of the same contender in that scenario.
	against string
	can     func(*contender) bool // reports whether a contender can be measured
	batches bool                  // contenders that publish batches are measured too
	measure func(context.Context, *runner, *contender) (figures, error)
}

// figures are the results of one measurement of one contender, by column.
type figures map[string]float64

type column struct {
	key, title string
	more       bool // a higher number is better
	text       func(float64) string
}

func number(n int) string { return report.Figure(float64(n)) }

// notCoalescing reports whether a contender writes each event at once. Other
// contenders wait for several events.
func notCoalescing(c *contender) bool { return c.coalesce == 0 }

// scenarios returns all tables in their order.
func (r *runner) scenarios() []*scenario {
	p := r.plan
	few, many := p.few, p.many
	return []*scenario{
		r.memoryScenario(),
		r.fanout("fanout-few", "Fan-out to "+number(few)+" subscribers, one event at a time",
			drive.Audience{Subscribers: few, Topics: 1}, 1, notCoalescing),
		r.fanout("fanout-many", "Fan-out to "+number(many)+" subscribers, one event at a time",
			drive.Audience{Subscribers: many, Topics: 1}, 1, notCoalescing),
		r.fanout("outstanding",
			fmt.Sprintf("Fan-out to %s subscribers, %d events outstanding", number(many), p.outstanding),
			drive.Audience{Subscribers: many, Topics: 1}, p.outstanding,
			func(*contender) bool { return true }),
		r.topicsScenario(),
		r.patternsScenario(),
		r.latency("latency-many", many, p.slow),
		r.latency("latency-few", few, p.fast),
		r.oneSubscriber(),
		r.starvation(),
	}
}

// The keys of the columns of all scenarios with events.
const (
	perDelivery = "cpu"
	deliveries  = "rate"
)

var fanoutColumns = []column{
	{perDelivery, "µs CPU per delivery", false, report.Times},
	{deliveries, "deliveries/s", true, report.Figure},
}

// fanoutFigures returns the figures of the columns perDelivery and deliveries.
func fanoutFigures(o drive.Outcome) figures {
	return figures{
		perDelivery: float64(o.CPU.Nanoseconds()) / 1e3 / float64(o.Events),
		deliveries:  float64(o.Events) / o.Wall.Seconds(),
	}
}

// fanout returns a scenario that publishes as fast as the subscribers receive.
func (r *runner) fanout(key, title string, a drive.Audience, outstanding int,
	can func(*contender) bool) *scenario {
	s := &scenario{
		key: key, title: title, columns: fanoutColumns, ratio: perDelivery, ratioName: "CPU", can: can,
	}
	s.measure = func(ctx context.Context, r *runner, c *contender) (figures, error) {
		o, err := r.driveOnce(ctx, c, a, drive.Pace{Outstanding: outstanding, During: r.plan.during})
		if err != nil {
			return nil, err
		}
		return fanoutFigures(o), nil
	}
	return s
}

func (r *runner) topicsScenario() *scenario {
	p := r.plan
	s := r.fanout("topics",
		fmt.Sprintf("%s topics with %d subscribers each, one event on each topic at a time",
			number(p.topics), p.perTopic),
		drive.Audience{Subscribers: p.topics * p.perTopic, Topics: p.topics}, 1,
		func(c *contender) bool { return c.topics })
	s.against = "fanout-many"
	s.note = fmt.Sprintf("CPU includes publishing, which happens once for %d deliveries: a function "+
		"call or an HTTP request.", p.perTopic)
	return s
}

func (r *runner) patternsScenario() *scenario {
	s := r.fanout("patterns", number(r.plan.few)+" subscribers of a pattern, one event at a time",
		drive.Audience{Subscribers: r.plan.few, Topics: 1, Pattern: true}, 1,
		func(c *contender) bool { return c.patterns })
	s.against = "fanout-few"
	return s
}

// latency returns a scenario that publishes at a rate that is easy for all
// servers.
func (r *runner) latency(key string, subscribers int, perSecond float64) *scenario {
	milliseconds := func(v float64) string { return report.Times(v / 1e6) }
	s := &scenario{
		key:   key,
		title: fmt.Sprintf("Latency of %v events/s to %s subscribers", perSecond, number(subscribers)),
		columns: []column{
			{"p50", "p50, ms", false, milliseconds}, {"p99", "p99, ms", false, milliseconds},
			{"p99.9", "p99.9, ms", false, milliseconds},
			{perDelivery, "µs CPU per delivery", false, report.Times},
		},
		ratio: "p99", ratioName: "p99",
		can: notCoalescing,
	}
	s.measure = func(ctx context.Context, r *runner, c *contender) (figures, error) {
		o, err := r.driveOnce(ctx, c, drive.Audience{Subscribers: subscribers, Topics: 1}, drive.Pace{
			Outstanding: 1, During: r.plan.pace,
			Interval: time.Duration(float64(time.Second) / perSecond),
		})
		if err != nil {
			return nil, err
		}
		f := fanoutFigures(o)
		f["p50"] = float64(o.Latency.Quantile(0.5))
		f["p99"] = float64(o.Latency.Quantile(0.99))
		f["p99.9"] = float64(o.Latency.Quantile(0.999))
		return f, nil
	}
	return s
}

// perWindow is the number of commands with which a window of outstanding events is
// published.
const perWindow = 16

func (r *runner) oneSubscriber() *scenario {
	s := &scenario{
		key: "one", title: "Publishing to one subscriber",
		note: "Libraries publish in process, with up to " + number(r.plan.window) + " events " +
			"outstanding. The other servers publish over HTTP, with one event in a request and one " +
			"request at a time. Append is called once for " + number(r.plan.window/perWindow) +
			" events.",
		columns: []column{
			{deliveries, "events/s", true, report.Figure},
			{perDelivery, "µs CPU per event", false, report.Times},
		},
		ratio: deliveries, ratioName: "events/s", more: true, batches: true,
		can: func(c *contender) bool { return c.kind != lowerBound },
	}
	s.measure = func(ctx context.Context, r *runner, c *contender) (figures, error) {
		d := drive.Pace{Outstanding: r.plan.window, Every: r.plan.window / perWindow, During: r.plan.during}
		if !c.inProcess {
			d.Outstanding, d.Every = 64, 4
		}
		o, err := r.driveOnce(ctx, c, drive.Audience{Subscribers: 1, Topics: 1}, d)
		if err != nil {
			return nil, err
		}
		return fanoutFigures(o), nil
	}
	return s
}

func (r *runner) starvation() *scenario {
	const outstanding = 64
	microseconds := func(v float64) string { return report.Figure(v / 1e3) }
	s := &scenario{
		key: "starvation",
		title: fmt.Sprintf("Publishing while writers are busy: %s subscribers, %d events outstanding",
			number(r.plan.few), outstanding),
		note: "The call is the time for which the call that publishes blocks. The time from the " +
			"command begins when the measuring process asks for the event, so it also includes the " +
			"wait until the publisher's goroutine runs, and the calls for earlier events.",
		columns: []column{
			{"call", "call, p99 µs", false, microseconds},
			{"command", "from the command, p99 µs", false, microseconds},
			{perDelivery, "µs CPU per delivery", false, report.Times},
			{deliveries, "deliveries/s", true, report.Figure},
		},
		ratio: "call", ratioName: "call",
		can: func(c *contender) bool { return c.kind != lowerBound },
	}
	s.measure = func(ctx context.Context, r *runner, c *contender) (figures, error) {
		o, err := r.driveOnce(ctx, c, drive.Audience{Subscribers: r.plan.few, Topics: 1},
			drive.Pace{Outstanding: outstanding, During: r.plan.during})
		if err != nil {
			return nil, err
		}
		f := fanoutFigures(o)
		f["call"] = float64(o.Publish.Call.Quantile(0.99))
		f["command"] = float64(o.Publish.Command.Quantile(0.99))
		return f, nil
	}
	return s
}

// driveOnce opens a session, publishes two waves to warm up, and then measures.
func (r *runner) driveOnce(ctx context.Context, c *contender, a drive.Audience, p drive.Pace) (
	o drive.Outcome, err error) {
	s, err := r.open(ctx, c, a, 0)
	if err != nil {
		return o, err
	}
	defer s.Close()
	if _, err := s.Run(drive.Pace{Outstanding: max(1, c.coalesce), Waves: 2}); err != nil {
		return o, fmt.Errorf("warm up: %w", err)
	}
	return s.Run(p)
}
