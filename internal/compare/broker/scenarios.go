package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/report"
)

// scenario is one table.
type scenario struct {
	key     string // that selects it
	title   string
	note    string
	columns []column
	// ratio is the column that is compared with the bound's and the base's.
	ratio string
	more  bool // more is better there
	// against is the scenario with which a contender's own figures are compared.
	against string
	can     func(*contender) bool
	batches bool // who publishes many at once is measured as well
	measure func(context.Context, *runner, *contender) (figures, error)
}

// figures are what one measurement of one contender has found, by column.
type figures map[string]float64

type column struct {
	key, title string
	text       func(float64) string
}

func number(n int) string { return report.Figure(float64(n)) }

func everybody(c *contender) bool { return c.coalesce == 0 }

// scenarios are all tables, in their order.
func (r *runner) scenarios() []*scenario {
	p := r.plan
	few, many := p.few, p.many
	return []*scenario{
		r.memoryScenario(),
		r.fanout("fanout-few", "Fan-out to "+number(few)+", one event at a time",
			drive.Audience{Subscribers: few, Topics: 1}, 1, everybody),
		r.fanout("fanout-many", "Fan-out to "+number(many)+", one event at a time",
			drive.Audience{Subscribers: many, Topics: 1}, 1, everybody),
		r.fanout("outstanding",
			fmt.Sprintf("Fan-out to %s, %d events outstanding", number(many), p.outstanding),
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

const (
	perDelivery = "cpu"
	deliveries  = "rate"
)

var fanoutColumns = []column{
	{perDelivery, "µs CPU per delivery", report.Times},
	{deliveries, "deliveries/s", report.Figure},
}

// fanoutFigures are what all scenarios that drive have.
func fanoutFigures(o drive.Outcome) figures {
	return figures{
		perDelivery: float64(o.CPU.Nanoseconds()) / 1e3 / float64(o.Events),
		deliveries:  float64(o.Events) / o.Wall.Seconds(),
	}
}

// fanout publishes as fast as subscribers have got what was published.
func (r *runner) fanout(key, title string, a drive.Audience, outstanding int,
	can func(*contender) bool) *scenario {
	s := &scenario{key: key, title: title, columns: fanoutColumns, ratio: perDelivery, can: can}
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
		fmt.Sprintf("%s topics with %d subscribers each, one event on each at a time",
			number(p.topics), p.perTopic),
		drive.Audience{Subscribers: p.topics * p.perTopic, Topics: p.topics}, 1,
		func(c *contender) bool { return c.topics })
	s.against = "fanout-many"
	s.note = fmt.Sprintf("Publishing is a part of it, once for %d deliveries: a call, or an HTTP "+
		"request.", p.perTopic)
	return s
}

func (r *runner) patternsScenario() *scenario {
	s := r.fanout("patterns", number(r.plan.few)+" subscribers of a pattern, one event at a time",
		drive.Audience{Subscribers: r.plan.few, Topics: 1, Pattern: true}, 1,
		func(c *contender) bool { return c.patterns })
	s.against = "fanout-few"
	return s
}

// latency publishes at a pace that none should find hard.
func (r *runner) latency(key string, subscribers int, perSecond float64) *scenario {
	milliseconds := func(v float64) string { return report.Times(v / 1e6) }
	s := &scenario{
		key:   key,
		title: fmt.Sprintf("Latency, %v events/s to %s", perSecond, number(subscribers)),
		columns: []column{
			{"p50", "p50, ms", milliseconds}, {"p99", "p99, ms", milliseconds},
			{"p99.9", "p99.9, ms", milliseconds}, {perDelivery, "µs CPU per delivery", report.Times},
		},
		ratio: "p99",
		can:   everybody,
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

// perWindow is in how many parts a publisher is told to publish a window of events.
const perWindow = 16

func (r *runner) oneSubscriber() *scenario {
	s := &scenario{
		key: "one", title: "Publishing to one subscriber",
		note: "In process, for servers that are libraries, with up to " + number(r.plan.window) +
			" events outstanding; over HTTP, one event a request and one request at a time, for the " +
			"others. PublishAll is called once for " + number(r.plan.window/perWindow) + " events.",
		columns: []column{
			{deliveries, "events/s", report.Figure}, {perDelivery, "µs CPU per event", report.Times},
		},
		ratio: deliveries, more: true, batches: true,
		can: func(c *contender) bool { return c.kind != bound },
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
		note: "The call is what the publisher waits for; from the command includes the time until its " +
			"goroutine runs, and the calls before it.",
		columns: []column{
			{"call", "call, p99 µs", microseconds}, {"command", "from the command, p99 µs", microseconds},
			{perDelivery, "µs CPU per delivery", report.Times}, {deliveries, "deliveries/s", report.Figure},
		},
		ratio: "call",
		can:   func(c *contender) bool { return c.kind != bound },
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

// driveOnce is a session with one drive, after a shorter one that warms up.
func (r *runner) driveOnce(ctx context.Context, c *contender, a drive.Audience, p drive.Pace) (
	o drive.Outcome, err error) {
	s, err := r.open(ctx, c, a, 0)
	if err != nil {
		return o, err
	}
	defer s.Close()
	if _, err := s.Run(drive.Pace{Outstanding: max(1, c.coalesce), Waves: 2}); err != nil {
		return o, fmt.Errorf("warming up: %w", err)
	}
	return s.Run(p)
}
