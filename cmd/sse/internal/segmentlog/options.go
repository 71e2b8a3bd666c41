package segmentlog

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// Options configure a log. With the zero Options, the log removes nothing.
type Options struct {
	// Retention are the rules by which entries are removed. Rules without a Pattern
	// apply to the whole log, and the strictest limit of each kind counts. Of the
	// rules with a Pattern, the first one that matches a topic applies to the topic.
	Retention []Retention

	// NewEpoch makes Open begin a new epoch, with a new key. The entries remain, but
	// each client that reconnects with an older position receives a gap.
	NewEpoch bool

	// Reserve is the number of bytes of the disk that remain free of entries, so that
	// the log can remove entries when the disk is full. If zero, 4 MiB, and less in a
	// log with a limit of less than 64 MB. If negative, none.
	Reserve int64

	// Cache is the number of bytes of indexes that remain in memory after they were
	// read. If zero, 16 MiB.
	Cache int64

	// OpenFiles is the number of files that the log has open for reading. If zero, 256.
	OpenFiles int

	// LossMarks is the number of topics for which the log knows exactly which entries
	// it has removed. For all other topics, it may report a loss where there is none.
	// If zero, 10,000.
	LossMarks int

	// KeyWindow is how long the log remembers an idempotency key. If zero, 24 hours.
	KeyWindow time.Duration

	// Keys is the number of idempotency keys of each owner that the log remembers. If
	// zero, a million.
	Keys int

	// SegmentSize is the size of a file with entries, in bytes. If zero, 16 MiB, and
	// less in a log with a limit of less than 256 MB.
	SegmentSize int64

	// FS is the file system. If nil, the operating system's.
	FS vfs.FS

	// Now returns the time by which entries and keys become old. If nil, time.Now.
	Now func() time.Time

	// Logger logs what the log finds when it opens, damage, and a full disk. If nil,
	// slog.Default().
	Logger *slog.Logger

	// OnDamage is called with damage that the log finds in its files, when it opens and
	// later. It must not call methods of the log. If nil, Logger logs the damage.
	OnDamage func(Damage)

	// Fatal is called if the directory of the log has vanished. From then on, the log
	// acknowledges nothing. Fatal must not call methods of the log. If nil, the process
	// exits with status 1.
	Fatal func(err error)
}

// Retention is a rule by which entries are removed. A limit of zero limits nothing.
type Retention struct {
	// Pattern selects topics: the limits apply to each matching topic on its own. If
	// zero, the rule applies to all entries together.
	//
	// An event with several topics remains as long as one of them needs it, and until
	// then it remains in all of its topics. The rules for the whole log remove it
	// nevertheless.
	Pattern sse.Pattern

	Age   time.Duration // maximum age of an entry
	Count int64         // maximum number of entries
	Bytes int64         // maximum number of bytes on the disk, approximately
}

// The bounds of what Open chooses by the limit of the log's size.
const (
	minSegment, maxSegment = 64 << 10, 16 << 20
	minReserve, maxReserve = 256 << 10, 4 << 20
)

// withDefaults returns a copy in which every field is set.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	for _, rule := range c.Retention {
		if rule.Age < 0 || rule.Count < 0 || rule.Bytes < 0 {
			return c, fmt.Errorf("sse: a negative limit in the retention %+v", rule)
		}
	}
	for name, n := range map[string]int64{
		"Cache": c.Cache, "OpenFiles": int64(c.OpenFiles),
		"LossMarks": int64(c.LossMarks), "KeyWindow": int64(c.KeyWindow), "Keys": int64(c.Keys),
		"SegmentSize": c.SegmentSize,
	} {
		if n < 0 {
			return c, fmt.Errorf("sse: the option %s of the log is negative: %d", name, n)
		}
	}
	limit := cmp.Or(overall(c.Retention).Bytes, 1<<40)
	c.SegmentSize = cmp.Or(c.SegmentSize, clamp(limit/16, minSegment, maxSegment))
	c.Reserve = cmp.Or(c.Reserve, clamp(limit/16, minReserve, maxReserve))
	c.Cache = cmp.Or(c.Cache, 16<<20)
	c.OpenFiles = cmp.Or(c.OpenFiles, 256)
	c.LossMarks = cmp.Or(c.LossMarks, 10_000)
	c.KeyWindow = cmp.Or(c.KeyWindow, 24*time.Hour)
	c.Keys = cmp.Or(c.Keys, 1_000_000)
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Fatal == nil {
		c.Fatal = func(error) { os.Exit(1) }
	}
	return c, nil
}

func clamp(n, least, most int64) int64 { return min(max(n, least), most) }

// ruleOf returns the rule of a topic, or nil.
func ruleOf(rules []Retention, topic string) *Retention {
	for i := range rules {
		if rules[i].Pattern.Match(topic) {
			return &rules[i]
		}
	}
	return nil
}

// overall returns the strictest of the rules for the whole log.
func overall(rules []Retention) Retention {
	var all Retention
	for _, rule := range rules {
		if rule.Pattern != (sse.Pattern{}) {
			continue
		}
		all.Age = strictest(all.Age, rule.Age)
		all.Count = strictest(all.Count, rule.Count)
		all.Bytes = strictest(all.Bytes, rule.Bytes)
	}
	return all
}

func strictest[T ~int64](a, b T) T {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// agesOf returns the ages of the rules, without repetitions.
func agesOf(rules []Retention) []time.Duration {
	var ages []time.Duration
	for _, rule := range rules {
		if rule.Age > 0 {
			ages = append(ages, rule.Age)
		}
	}
	slices.Sort(ages)
	return slices.Compact(ages)
}
