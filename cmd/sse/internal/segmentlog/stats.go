package segmentlog

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// Stats describe a log.
type Stats struct {
	Dir     string
	Version int
	Epoch   uint64

	First, Newest         sse.Position // zero if there are no events
	FirstTime, NewestTime time.Time

	Events     uint64
	EventBytes uint64 // about the space that the events need on the disk
	DiskBytes  int64  // the size of all files
	Sealed     int    // segments that do not change any more
	Topics     []TopicStats
	Keys       int // idempotency keys, including those that a hub ignores because of their age
	LossMarks  int // topics of which the log knows the newest removed event
	Closed     bool
}

// TopicStats describe a topic.
type TopicStats struct {
	Topic  string
	Events uint64
}

// Stats reads the indexes of the log. Its memory grows with the number of topics.
func (i *Inspection) Stats(ctx context.Context) (*Stats, error) {
	l := i.log
	s := &Stats{
		Dir: l.dir, Version: stateVersion, Epoch: l.epoch, Events: l.live.entries,
		EventBytes: l.live.bytes, Sealed: len(l.list()) - 1, Closed: l.mark.was.closed,
		LossMarks: len(l.losses.marks), Keys: len(l.keys.tail), DiskBytes: i.view.Size(),
	}
	for _, k := range l.keys.files {
		s.Keys += k.n
	}
	var err error
	if s.Topics, err = i.topics(ctx); err != nil {
		return nil, err
	}
	every, err := sse.ParsePattern("**")
	if err != nil {
		return nil, err
	}
	all := sse.Selection{Patterns: []sse.Pattern{every}}
	for _, edge := range []struct {
		start    sse.Start
		position *sse.Position
		time     *time.Time
	}{
		{sse.Start{Earliest: true}, &s.First, &s.FirstTime},
		{sse.Start{Last: 1}, &s.Newest, &s.NewestTime},
	} {
		at, err := i.Locate(ctx, edge.start, all)
		if err != nil {
			return nil, err
		}
		page, err := i.Read(ctx, sse.ReadRequest{After: at.Next, Limit: 1, Selection: all})
		if err != nil {
			return nil, err
		}
		if len(page.Entries) > 0 {
			*edge.position, *edge.time = page.Entries[0].Position, page.Entries[0].Time
		}
	}
	return s, nil
}

// topics counts the events of each topic. The topic with most events is the first.
func (i *Inspection) topics(ctx context.Context) ([]TopicStats, error) {
	all := map[string]uint64{}
	for _, s := range i.log.list() {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		in := map[string]uint64{}
		err := i.log.withIndex(s, func(idx index) error {
			clear(in)
			return idx.topics("", func(topic string, load func() (postings, error)) (bool, error) {
				list, err := load()
				n := uint64(0)
				list.each(func(ord int) {
					if !s.isRemoved(ord) {
						n++
					}
				})
				if n > 0 {
					in[strings.Clone(topic)] = n
				}
				return true, err
			})
		})
		if err != nil {
			return nil, err
		}
		for topic, n := range in {
			all[topic] += n
		}
	}
	stats := make([]TopicStats, 0, len(all))
	for topic, n := range all {
		stats = append(stats, TopicStats{topic, n})
	}
	slices.SortFunc(stats, func(a, b TopicStats) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Topic, b.Topic))
	})
	return stats, nil
}

// Read reads entries as [Log.Read] does.
func (i *Inspection) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	return i.log.Read(ctx, r)
}

// Locate finds a position as [Log.Locate] does.
func (i *Inspection) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (
	sse.Page, error) {
	return i.log.Locate(ctx, start, sel)
}
