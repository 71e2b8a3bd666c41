package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/eventjson"
)

const logDumpIntro = `usage: sse log dump [flags] DIR

Print each event of the log in DIR as one line of JSON, in the form of a page of history
of the hub: topics, id, type, data, retry, and time. The lines can be published again:

  sse log dump ./events | curl -T - localhost:3000/-/batch
  sse log dump --topic 'room/*' --since 7d ./events | jq .data

If events are missing or damaged, a message on stderr tells where. Events of which the
hub has assigned the ID get a new ID when they are published again.
Exit code: 0 done, 1 failed or damaged, 2 usage error, 130 stopped by a second Ctrl-C.
`

// logDump runs "sse log dump".
func logDump(ctx context.Context, p *process, args []string) int {
	t := &logTool{process: p, name: "dump"}
	s := newSettings("log dump")
	var topics stringsFlag
	since := "earliest"
	s.addGroup("Events to print")
	s.addHint("use --topic, which accepts a pattern", "pattern")
	s.addFlag(&topics, "topic", "print only events of topics that match `PATTERN`, "+
		"for example news or 'room/*'")
	s.addFlag(&since, "since", "begin with the events since `START`, "+
		"for example -10 (the last ten), 10m (ago) or 2006-01-02T15:04:05Z")
	if code, done := t.start(s, args, logDumpIntro); done {
		return code
	}
	d := &dumper{logTool: t}
	err := d.parse(topics, since)
	if err == nil {
		err = d.run(ctx)
	}
	if code := t.finish(err); code != exitDone || t.damage == 0 {
		return code
	}
	return exitFailed
}

// dumper prints events of a log.
type dumper struct {
	*logTool
	start     sse.Start
	selection sse.Selection
	line      bytes.Buffer
}

// dumpPage is the number of bytes of events that are in memory at a time.
const dumpPage = 1 << 20

// parse sets the start and the selection.
func (d *dumper) parse(topics []string, since string) (err error) {
	if d.start, err = sse.ParseStart(since); err != nil {
		return usageError("for example --since -10, --since 7d or --since 2006-01-02T15:04:05Z",
			"--since %s must be earliest, -N, a duration or an RFC 3339 time", since)
	}
	if len(topics) == 0 {
		topics = []string{"**"}
	}
	for _, text := range topics {
		pattern, err := sse.ParsePattern(text)
		if err != nil {
			return usageError("", "--topic %s: %v", text, err)
		}
		d.selection.Patterns = append(d.selection.Patterns, pattern)
	}
	return nil
}

// run prints the events.
func (d *dumper) run(ctx context.Context) (err error) {
	i, err := d.inspect(d.reportDamage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	if i.Salvaged {
		d.damage++
		d.ui.report(yellow, "a file that every log needs is missing or damaged: the IDs are new, "+
			"and removed events may be there again; see sse log verify")
	}
	at := sse.Page{} // from its zero Position, Read also reports events missing at the beginning
	if !d.start.Earliest {
		if at, err = i.Locate(ctx, d.start, d.selection); err != nil {
			return err
		}
	}
	lost := sse.Position{}
	for after := at.Next; ; {
		page, err := i.Read(ctx, sse.ReadRequest{After: after, Selection: d.selection, Limit: dumpPage})
		if err != nil {
			return err
		}
		if page.Lost != lost && page.Lost != (sse.Position{}) {
			lost = page.Lost
			d.ui.report(yellow, "events up to %v are missing: they were removed, or are damaged", lost)
		}
		for n := range page.Entries {
			if err := d.printEntry(&page.Entries[n]); err != nil {
				return err
			}
		}
		if len(page.Entries) == 0 {
			return nil
		}
		after = page.Next
	}
}

// printEntry prints an event as one line of JSON.
func (d *dumper) printEntry(e *sse.Entry) error {
	event := e.Event
	if event.ID == "" {
		event.ID = e.Position.String()
	}
	object := eventjson.New(event, e.Topics...)
	object.Time = eventjson.FormatTime(e.Time)
	d.line.Reset()
	encoder := json.NewEncoder(&d.line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return err
	}
	return d.ui.write(d.line.String())
}
