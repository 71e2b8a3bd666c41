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

// EventLogOptions describes a log to [TestEventLog]: how to open it, and which
// optional capabilities it has. Only Open is required. TestEventLog consists of
// cases, and each case is a subtest. It omits the cases that need a capability which
// is not declared here, and lists their names in the test's log.
type EventLogOptions struct {
	// Open returns a new, empty log that shares no entries with other logs. A case may
	// open several logs. If a log must be closed at the end of the case, Open passes a
	// function that closes the log to t.Cleanup.
	Open func(t testing.TB, setup EventLogSetup) sse.EventLog

	// Reopen opens the stored contents of a log again, with the setup that Open
	// received. Reopen may close the log first. But if it does not close the log, the
	// test also covers a process that is killed, because such a process does not close
	// its log. If nil, the log does not survive a restart.
	Reopen func(t testing.TB, log sse.EventLog) sse.EventLog

	// Lose closes a log, deletes the newest n entries from its storage, as
	// restoring an old backup does, and opens it again. If nil, TestEventLog does
	// not test how the log handles lost entries.
	Lose func(t testing.TB, log sse.EventLog, n int) sse.EventLog

	// Fail prepares a log for a failure: the next Append of the log stores at most n
	// entries of the request and returns an error. If nil, TestEventLog tests a failing
	// Append only with canceled contexts.
	Fail func(log sse.EventLog, n int)

	// Trim blocks until the log has removed the entries that exceed its
	// retention. If nil, TestEventLog expects that Append removes these entries
	// before it returns.
	Trim func(t testing.TB, log sse.EventLog)

	// ByCount, ByBytes and ByAge declare the kinds of retention rules that the log
	// supports: rules with Entries, with Bytes and with Age. ByPattern declares
	// that rules of the supported kinds may have a Pattern.
	ByCount, ByBytes, ByAge, ByPattern bool

	// Slack is how far the log may exceed a retention rule, as a fraction of the
	// rule's limit: with 0.5, the log may store 15 entries under a limit of 10. If
	// zero, the log may not exceed a rule.
	Slack float64

	// ExactLost declares that [sse.Page.Lost] is exactly the position of the newest
	// removed entry that is selected and later than After, and zero if there is no
	// such entry. If false, Lost may be a newer position.
	ExactLost bool

	// Gapless declares that the log leaves out no sequence number.
	Gapless bool

	// Keys declares that the log stores idempotency keys: see the Key of
	// [sse.AppendRequest].
	Keys bool

	// Contiguous declares that the entries of one Append are adjacent in the log,
	// with no entries of concurrent Appends between them.
	Contiguous bool

	// Encoded declares that the log stores events in wire format. In this format, data
	// cannot contain a CR, and Retry is a whole number of milliseconds. TestEventLog
	// then appends only events without a CR and with whole milliseconds. A [sse.Broker]
	// appends only such events, too.
	Encoded bool

	// Bubble runs every case in a bubble of [testing/synctest], so that no case
	// spends real time on waiting. Set it if the log uses no network.
	Bubble bool
}

// EventLogSetup is the configuration with which Open opens a log.
type EventLogSetup struct {
	// Retention are the rules by which the log removes entries. Each rule is of a kind
	// that the options declare, for example with ByCount. If empty, the log removes
	// nothing.
	Retention []Retention

	// Now is the clock that determines the age of entries, if ByAge is declared.
	Now func() time.Time
}

// Retention is a rule that limits the entries that a log stores. If the entries
// exceed the limit, the log removes the oldest entries first. Exactly one of Entries,
// Bytes and Age is not zero.
type Retention struct {
	// Pattern selects the entries to which the rule applies. If zero, the rule
	// applies to the whole log. If the pattern matches several topics, the log may
	// apply the limit to each topic, or to all of these topics together.
	Pattern sse.Pattern

	// Entries is the maximum number of entries.
	Entries int

	// Bytes is the maximum size of the stored entries in bytes. The size consists of
	// topics, ids, types, data and the overhead of the log. If the entries have 1 KiB
	// each, the overhead must not exceed half of Bytes. So even after the log has
	// removed some of these entries, the others must have at least Bytes/2 bytes of
	// topics, ids, types and data.
	Bytes int64

	// Age is the maximum age of an entry.
	Age time.Duration
}

// TestEventLog tests whether a log meets the requirements in the documentation of
// [sse.EventLog]. Each case is a subtest with a log of its own. The message of a
// failed case states the promise that the log has broken, explains why the promise
// matters, and shows the observed and the expected result.
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
			if failures := c.check(t, &opts); len(failures) > 0 {
				t.Error(c.report(failures))
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
	if names := omittedCases(&opts); len(names) > 0 {
		t.Logf("ssetest: cases omitted because the options do not declare what they need: %s",
			strings.Join(names, "; "))
	}
}

// omittedCases returns the names of the cases that need a capability which opts does
// not declare. Each name is followed by these capabilities in parentheses.
func omittedCases(opts *EventLogOptions) []string {
	var omitted []string
	for _, c := range eventLogCases() {
		if missing := c.needs.missing(opts); len(missing) > 0 {
			omitted = append(omitted, c.name+" ("+strings.Join(missing, ", ")+")")
		}
	}
	return omitted
}

// eventLogCase tests one promise that sse.EventLog makes.
type eventLogCase struct {
	name    string
	promise string // from the documentation of sse.EventLog
	why     string // the damage if a log breaks the promise
	needs   needs
	run     func(k *kit)
}

func eventLogCases() []eventLogCase {
	return slices.Concat(appendCases, keyCases, entryCases, readCases, followCases, locateCases,
		retentionCases, clockCases, reopenCases)
}

// check runs the case and returns its failures.
func (c *eventLogCase) check(tb testing.TB, opts *EventLogOptions) []failure {
	k := newKit(tb, opts)
	defer k.cancel()
	k.run(c.run)
	return k.failures
}

// report returns the message of a failed case.
func (c *eventLogCase) report(failures []failure) string {
	const limit = 5
	var text strings.Builder
	fmt.Fprintf(&text, "the log breaks a promise of sse.EventLog\n"+
		"promise: %s\nwhy:     %s\n", c.promise, c.why)
	for i, failure := range failures {
		if i == limit {
			fmt.Fprintf(&text, "\nand %d more failures\n", len(failures)-limit)
			break
		}
		fmt.Fprintf(&text, "\nchecked: %s\n", failure)
	}
	return text.String()
}

// needs is the set of the capabilities that a case requires.
type needs uint

const (
	needReopen needs = 1 << iota
	needLose
	needFail
	needCount
	needBytes
	needAge
	needPattern
	needRetention // any kind of rule
	needGapless
	needContiguous
	needKeys
)

// missing returns the names of the capabilities in n that opts does not declare.
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
		{needRetention, opts.ByCount || opts.ByBytes || opts.ByAge, "ByCount, ByBytes or ByAge"},
		{needGapless, opts.Gapless, "Gapless"},
		{needContiguous, opts.Contiguous, "Contiguous"},
		{needKeys, opts.Keys, "Keys"},
	} {
		if n&capability.need != 0 && !capability.declared {
			missing = append(missing, capability.name)
		}
	}
	return missing
}
