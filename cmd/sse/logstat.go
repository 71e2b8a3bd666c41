package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/eventjson"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
)

const logStatIntro = `usage: sse log stat [flags] DIR

Print the contents of the log in DIR in numbers: its events, files, largest topics and
idempotency keys. sse log stat reads only the indexes.

  sse log stat ./events
  sse log stat --json ./events | jq .events

Exit code: 0 done, 1 failed, 2 usage error, 130 stopped by a second Ctrl-C.
`

// logStats is the JSON object of "sse log stat --json".
type logStats struct {
	Dir        string     `json:"dir"`
	Version    int        `json:"version"`
	Epoch      string     `json:"epoch"`
	State      string     `json:"state"` // closed, open, or not closed
	First      string     `json:"first,omitempty"`
	Newest     string     `json:"newest,omitempty"`
	FirstTime  string     `json:"firstTime,omitempty"`
	NewestTime string     `json:"newestTime,omitempty"`
	Events     uint64     `json:"events"`
	EventBytes uint64     `json:"eventBytes"`
	DiskBytes  int64      `json:"diskBytes"`
	Sealed     int        `json:"sealedFiles"`
	Active     int        `json:"activeFiles"`
	Topics     int        `json:"topics"`
	Largest    []topicRow `json:"largestTopics"`
	Keys       int        `json:"idempotencyKeys"`
	LossMarks  int        `json:"lossMarks"`
	Damage     int        `json:"damage"` // that was found without reading the events
}

type topicRow struct {
	Topic  string `json:"topic"`
	Events uint64 `json:"events"`
}

// largestTopics is the number of topics that are printed.
const largestTopics = 5

// logStat runs "sse log stat".
func logStat(ctx context.Context, p *process, args []string) int {
	t := &logTool{process: p, name: "stat"}
	s := newSettings("log stat")
	asJSON := false
	s.addGroup("Output")
	s.addFlag(&asJSON, "json", "print one JSON object")
	if code, done := t.start(s, args, logStatIntro); done {
		return code
	}
	stats, err := t.stat(ctx)
	if err != nil {
		return t.finish(err)
	}
	if !asJSON {
		return t.finish(p.ui.write(stats.format()))
	}
	line, err := json.Marshal(stats)
	if err != nil {
		return t.finish(err)
	}
	return t.finish(p.ui.write(string(line) + "\n"))
}

func (t *logTool) stat(ctx context.Context) (stats *logStats, err error) {
	busy := segmentlog.Busy(t.dir)
	i, err := t.inspect(t.reportDamage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	s, err := i.Stats(ctx)
	if err != nil {
		return nil, err
	}
	stats = &logStats{
		Dir: t.dir, Version: s.Version, Epoch: fmt.Sprintf("%016x", s.Epoch), State: "not closed",
		Events: s.Events, EventBytes: s.EventBytes, DiskBytes: s.DiskBytes, Sealed: s.Sealed,
		Active: 1, Topics: len(s.Topics), Keys: s.Keys, LossMarks: s.LossMarks, Damage: t.damage,
		Largest: []topicRow{},
	}
	switch {
	case busy:
		stats.State = "open"
	case s.Closed:
		stats.State = "closed"
	}
	if s.First != (sse.Position{}) {
		stats.First, stats.FirstTime = s.First.String(), eventjson.FormatTime(s.FirstTime)
		stats.Newest, stats.NewestTime = s.Newest.String(), eventjson.FormatTime(s.NewestTime)
	}
	for _, topic := range s.Topics[:min(len(s.Topics), largestTopics)] {
		stats.Largest = append(stats.Largest, topicRow{topic.Topic, topic.Events})
	}
	return stats, nil
}

// format returns the lines for a person.
func (s *logStats) format() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-17s %s\n", name, visible(fmt.Sprintf(format, args...), false))
	}
	line("directory", "%s", s.Dir)
	line("format version", "%d", s.Version)
	line("epoch", "%s", s.Epoch)
	line("state", "%s", map[string]string{
		"open": "open: a hub is using it", "closed": "closed by the hub",
		"not closed": "not closed: the hub was killed, or the machine failed",
	}[s.State])
	line("events", "%d, %s", s.Events, formatSize(int64(s.EventBytes)))
	if s.First != "" {
		line("oldest event", "%s at %s", s.First, shortTime(s.FirstTime))
		line("newest event", "%s at %s", s.Newest, shortTime(s.NewestTime))
	}
	line("files", "%d sealed, %d active, %s", s.Sealed, s.Active, formatSize(s.DiskBytes))
	line("topics", "%d", s.Topics)
	for _, topic := range s.Largest {
		line("", "%s: %s", topic.Topic, plural(int(topic.Events), "event"))
	}
	line("idempotency keys", "%d", s.Keys)
	line("loss marks", "%d", s.LossMarks)
	if s.Damage > 0 {
		line("damage", "%d; to read everything, run sse log verify", s.Damage)
	}
	return b.String()
}

// shortTime returns a time of FormatTime without fractions of a second.
func shortTime(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.Format(time.RFC3339)
}
