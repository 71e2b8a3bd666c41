package main

import "context"

var (
	rate = figure{"thousand events/s", func(r *result) float64 {
		return float64(r.Events) / r.Seconds / 1e3
	}}
	cpu = figure{"µs of CPU per event", func(r *result) float64 {
		return r.CPU * 1e6 / float64(r.Events)
	}}
	written  = figure{"bytes written per byte", func(r *result) float64 { return r.Written }}
	maxBytes = figure{"MB, largest directory", func(r *result) float64 { return r.MaxBytes / 1e6 }}
	millis   = figure{"ms", func(r *result) float64 { return r.Seconds * 1e3 }}
	resident = figure{"MB, largest resident memory", func(r *result) float64 {
		return r.Resident / 1e6
	}}
)

// rows are the rows of the table. The CPU time of a row "publish" includes the publishers
// of the measurement itself. The row "nothing" shows their part: it appends to a log that
// stores nothing.
var rows = []*row{
	once("publish 500 to 1 topic", []figure{rate, cpu}, "publish", "500", "1", "200000"),
	once("publish 500 to 1,000 topics", []figure{rate, cpu}, "publish", "500", "1000", "200000"),
	once("publish 1 to 1 topic", []figure{rate, cpu}, "publish", "1", "1", "3000"),
	once("nothing 500 to 1 topic", []figure{cpu}, "nothing", "500", "1", "200000"),
	once("retention 1 GB through 100 MB", []figure{cpu, written, maxBytes}, "retain",
		"1000000000", "100000000"),
	stored("replay rare", "1000000", []figure{cpu}, "replay", "rare", "20"),
	stored("replay dense", "1000000", []figure{cpu}, "replay", "dense", "1"),
	stored("replay pattern", "1000000", []figure{cpu}, "replay", "room/3/*", "1"),
	stored("open 10,000,000 events", "10000000", []figure{millis, resident}, "open"),
}

// once measures with a new log in each turn.
func once(name string, figures []figure, what string, args ...string) *row {
	return &row{name, func(ctx context.Context, t *tree) (*result, error) {
		return t.once(ctx, what, args...)
	}, figures}
}

// stored measures with a log that has events.
func stored(name, events string, figures []figure, what string, args ...string) *row {
	return &row{name, func(ctx context.Context, t *tree) (*result, error) {
		log, err := t.filled(ctx, events)
		if err != nil {
			return nil, err
		}
		return t.work(ctx, what, log, args...)
	}, figures}
}
