package disklog

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
)

// Options are how a log is kept. The zero Options keep everything.
type Options struct {
	// Retention are the rules by which entries are removed. Those without a Pattern
	// are about the whole log, and the strictest of each kind counts. Of those with
	// one, the first that matches a topic is the topic's. If empty, nothing is
	// removed.
	Retention []Retention

	// LockWait is how long Open waits for a log that is already open, in this process
	// or in another, to be closed. If zero, it fails at once.
	LockWait time.Duration

	// NewEpoch draws a new epoch and a new key for a log that exists. Its entries
	// remain, but each client that reconnects with an older position receives a gap.
	NewEpoch bool

	// Reserve is how many bytes of the disk are kept free of entries, so that a
	// log whose disk is full can remove some. If zero, up to 32 MiB, and less in a
	// log that may have less than 400 MB; if negative, none, and a full disk holds
	// up Append rather than failing it. A small one makes for small tables.
	Reserve int64

	// Cache is how many bytes of what was read are kept in memory. If zero, 16 MiB.
	Cache int64

	// OpenFiles is how many tables the log has open. If zero, 256.
	OpenFiles int

	// LossMarks is for how many topics the log knows exactly what it has removed.
	// If zero, 10,000. What it then knows is the same for all other topics, and
	// may tell of a loss where there is none.
	LossMarks int

	// KeyWindow is how long idempotency keys are remembered, and Keys how many of
	// each owner, about. If zero, 24 hours, and a million.
	KeyWindow time.Duration
	Keys      int

	// FS is where the log is kept. If nil, the operating system's files.
	FS vfs.FS

	// Now is the clock by which entries and keys grow old. If nil, time.Now. What
	// is due without anything being appended is removed by the clock of the
	// machine, between a second and a minute later.
	Now func() time.Time

	// Logger is told what the log finds when it opens, and what its disk does. If
	// nil, slog.Default().
	Logger *slog.Logger

	// Fatal is called if the disk fails and the log no longer knows which entries are
	// on the disk. From then on, the log acknowledges nothing. To find out which
	// entries there are, open the log again. Fatal must end the process soon, because
	// the store may panic. It must not call methods of the log. If nil, the process
	// exits with status 1.
	Fatal func(err error)
}

// Retention is a rule by which entries are removed. What is zero limits nothing.
type Retention struct {
	// Pattern is of which topics the rule is: of each that it matches on its own.
	// If zero, the rule is about all entries together.
	//
	// An event with several topics stays for as long as one of them keeps it, and
	// all of its topics have it until then. The rules for the whole log remove it
	// all the same.
	Pattern sse.Pattern

	Age   time.Duration // how old entries become
	Count int64         // how many are kept
	Bytes int64         // what those that are kept take on the disk, about
}

// withDefaults returns a copy in which nothing is left to choose.
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
	c.Reserve = cmp.Or(c.Reserve, int64(reserves*memory(overall(c.Retention), 0)))
	c.Cache = cmp.Or(c.Cache, 16<<20)
	c.OpenFiles = cmp.Or(c.OpenFiles, 256)
	c.LossMarks = cmp.Or(c.LossMarks, 10_000)
	c.KeyWindow = cmp.Or(c.KeyWindow, 24*time.Hour)
	c.Keys = cmp.Or(c.Keys, 1_000_000)
	if c.FS == nil {
		c.FS = vfs.Default
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
	if c.LossMarks < 0 || c.Keys < 0 || c.KeyWindow < 0 || c.Cache < 0 {
		return c, errors.New("sse: a negative number in the options of the log")
	}
	return c, nil
}

// ruleOf is the rule of a topic, or nil.
func ruleOf(rules []Retention, topic string) *Retention {
	for i := range rules {
		if rules[i].Pattern.Match(topic) {
			return &rules[i]
		}
	}
	return nil
}

// overall is the strictest of the rules for the whole log.
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
