package ssetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// EventLogOptions tell [TestEventLog] how to get a log, and what that log can do.
// Only Open is needed. What is not declared is not tested, and listed in the
// test's log.
type EventLogOptions struct {
	// Open returns a new and empty log. Every case has its own. It registers with
	// t.Cleanup what is to be done when the case is over.
	Open func(t testing.TB, setup EventLogSetup) sse.EventLog

	// Reopen closes a log, or better: leaves it as if the process had been killed,
	// and opens what is kept again, with the same setup. If nil, the log does not
	// outlive its closing.
	Reopen func(t testing.TB, log sse.EventLog) sse.EventLog

	// Lose closes a log, takes the newest n entries away from what is kept, as
	// somebody does who restores a backup, and opens it again. If nil, what the
	// log does then is not tested.
	Lose func(t testing.TB, log sse.EventLog, n int) sse.EventLog

	// Fail makes the next Append of a log keep n of its entries, at most, and
	// return an error. If nil, that is tested by canceled contexts alone.
	Fail func(log sse.EventLog, n int)

	// Trim returns when a log has removed what its retention does not keep. If
	// nil, Append does that before it returns.
	Trim func(t testing.TB, log sse.EventLog)

	// ByCount, ByBytes and ByAge say which rules of retention the log knows:
	// those with Entries, Bytes or Age. ByPattern says that it knows such rules
	// for a pattern.
	ByCount, ByBytes, ByAge, ByPattern bool

	// Slack is how much more than a rule allows the log may keep, as a part of
	// that: with 0.5, 15 entries instead of 10. If zero, nothing.
	Slack float64

	// ExactLost says that [sse.Page.Lost] is always the newest position at which a
	// selected entry was removed, and zero if there is none. If false, it may be a
	// newer one.
	ExactLost bool

	// Gapless says that no number is left out.
	Gapless bool

	// Contiguous says that the entries of one Append follow each other, without
	// those of others in between.
	Contiguous bool

	// Encoded says that the log keeps events in the form of the wire, as those of
	// a [sse.Broker] have already: a CR in data comes back as LF, and Retry in whole
	// milliseconds.
	Encoded bool

	// Bubble runs every case in a bubble of [testing/synctest], where no log can
	// make it wait for long. It suits logs that use no network.
	Bubble bool
}

// EventLogSetup is what a log is to be opened with.
type EventLogSetup struct {
	// Retention are the rules by which the log removes entries, of the kinds that
	// are declared. If empty, it removes none.
	Retention []Retention

	// Now is the clock by which entries grow old, if ByAge is declared.
	Now func() time.Time
}

// Retention is a rule by which a log removes entries, the oldest first.
type Retention struct {
	// Pattern is whose entries the rule is about. If zero, those of the whole log.
	// No case depends on whether a limit is for all topics that it matches, or for
	// each.
	Pattern sse.Pattern

	// Exactly one of the following is not zero.
	Entries int           // how many are kept
	Bytes   int64         // of topics, ids, types and data, and what the log adds
	Age     time.Duration // how old they become
}

// TestEventLog tests whether a log keeps the promises of [sse.EventLog]. Each case
// is a subtest with a log of its own. One that fails says what the promise is,
// what breaks without it, and what was seen instead.
//
//	func TestLog(t *testing.T) {
//		ssetest.TestEventLog(t, ssetest.EventLogOptions{
//			Open: func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
//				…
//			},
//			ByAge: true,
//		})
//	}
func TestEventLog(t *testing.T, opts EventLogOptions) {
	t.Helper()
	for _, c := range eventLogCases() {
		if len(c.needs.missing(&opts)) > 0 {
			continue
		}
		run := func(t *testing.T) {
			if findings := c.check(t, &opts); len(findings) > 0 {
				t.Error(c.report(findings))
			}
		}
		t.Run(c.name, func(t *testing.T) {
			if opts.Bubble {
				synctest.Test(t, run)
			} else {
				run(t)
			}
		})
	}
	if left := leftOut(&opts); len(left) > 0 {
		t.Logf("ssetest: not tested, as not declared: %s", strings.Join(left, "; "))
	}
}

// leftOut names the cases that are not for a log with such options, and why.
func leftOut(opts *EventLogOptions) []string {
	var left []string
	for _, c := range eventLogCases() {
		if missing := c.needs.missing(opts); len(missing) > 0 {
			left = append(left, c.name+" ("+strings.Join(missing, ", ")+")")
		}
	}
	return left
}

// eventLogCase is a promise, and how to find out whether a log keeps it.
type eventLogCase struct {
	name    string
	promise string // what the documentation of sse.EventLog says
	why     string // what breaks without it
	needs   needs
	run     func(k *kit)
}

func eventLogCases() []eventLogCase {
	return slices.Concat(appendCases, entryCases, readCases, followCases, locateCases,
		retentionCases, reopenCases)
}

// check runs the case, and returns what is wrong with the log.
func (c *eventLogCase) check(tb testing.TB, opts *EventLogOptions) []finding {
	k := newKit(tb, opts)
	defer k.cancel()
	k.run(c.run)
	return k.findings
}

// report is what a test prints that fails.
func (c *eventLogCase) report(findings []finding) string {
	const limit = 5
	var text strings.Builder
	fmt.Fprintf(&text, "the log breaks a promise\npromise: %s\nwhy:     %s\n", c.promise, c.why)
	for i, finding := range findings {
		if i == limit {
			fmt.Fprintf(&text, "\nand %d more\n", len(findings)-limit)
			break
		}
		fmt.Fprintf(&text, "\nseen:    %s\n", finding)
	}
	return text.String()
}

// needs are capabilities without which a case makes no sense.
type needs uint

const (
	needReopen needs = 1 << iota
	needLose
	needFail
	needCount
	needBytes
	needAge
	needPattern
	needRetention // of any kind
	needGapless
	needContiguous
)

// missing names those that are not declared.
func (n needs) missing(opts *EventLogOptions) []string {
	var missing []string
	for _, capability := range []struct {
		need     needs
		declared bool
		name     string
	}{
		{needReopen, opts.Reopen != nil, "Reopen"},
		{needLose, opts.Lose != nil, "Lose"},
		{needFail, opts.Fail != nil, "Fail"},
		{needCount, opts.ByCount, "ByCount"},
		{needBytes, opts.ByBytes, "ByBytes"},
		{needAge, opts.ByAge, "ByAge"},
		{needPattern, opts.ByPattern, "ByPattern"},
		{needRetention, opts.ByCount || opts.ByBytes || opts.ByAge, "any retention"},
		{needGapless, opts.Gapless, "Gapless"},
		{needContiguous, opts.Contiguous, "Contiguous"},
	} {
		if n&capability.need != 0 && !capability.declared {
			missing = append(missing, capability.name)
		}
	}
	return missing
}
