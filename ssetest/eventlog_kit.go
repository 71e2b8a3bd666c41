package ssetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// caseTimeout limits the duration of a case, and the time that Follow takes to
// end after its context is done.
const caseTimeout = 30 * time.Second

// failure is one result of a log that differs from the expected result.
type failure struct {
	subject   string // the call or property that was checked
	got, want string
}

func (f failure) String() string {
	return fmt.Sprintf("%s\ngot:     %s\nwant:    %s", f.subject, f.got, f.want)
}

// kit is the state of one running case.
type kit struct {
	tb     testing.TB
	opts   *EventLogOptions
	ctx    context.Context // done when the case exceeds caseTimeout
	cancel context.CancelFunc
	limit  *time.Timer // cancels ctx

	mu        sync.Mutex // guards now and failures
	now       time.Time  // see clock
	failures  []failure
	followers []*follower // used only by the goroutine of the case
}

func newKit(tb testing.TB, opts *EventLogOptions) *kit {
	k := &kit{tb: tb, opts: opts, now: time.Now()}
	k.ctx, k.cancel = context.WithCancel(tb.Context())
	k.limit = time.AfterFunc(caseTimeout, k.cancel)
	return k
}

// caseStopped is the value with which fatal panics.
type caseStopped struct{}

// run calls f, the function of a case, and then ends the followers that the case has
// started.
func (k *kit) run(f func(k *kit)) {
	defer k.limit.Stop()
	defer func() {
		for _, follower := range k.followers {
			follower.end()
		}
	}()
	defer func() {
		if r := recover(); r != nil && r != (caseStopped{}) {
			panic(r)
		}
	}()
	f(k)
}

// fail records a failure. It may be called from any goroutine.
func (k *kit) fail(subject string, got, want any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures = append(k.failures, failure{subject, fmt.Sprint(got), fmt.Sprint(want)})
}

// fatal records a failure and ends the case. Only the goroutine of the case may
// call it.
func (k *kit) fatal(subject string, got, want any) {
	k.fail(subject, got, want)
	panic(caseStopped{})
}

// clock returns the fake time of the case. A log uses it as EventLogSetup.Now, to
// determine the age of entries.
func (k *kit) clock() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// advance moves clock forward by d. In a bubble, it also lets d pass, because the log
// may read time.Now instead of clock. Afterwards, caseTimeout begins again.
func (k *kit) advance(d time.Duration) {
	if k.opts.Bubble {
		k.limit.Stop()
		<-time.After(d)
		k.limit.Reset(caseTimeout)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(d)
}

// setClock sets the time that clock returns.
func (k *kit) setClock(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = now
}

// entry moves clock forward by a millisecond and a nanosecond, and returns an entry
// with that time. Without topics, the entry has the empty topic.
func (k *kit) entry(data string, topics ...string) sse.Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(time.Millisecond + time.Nanosecond)
	if len(topics) == 0 {
		topics = []string{""}
	}
	return sse.Entry{Time: k.now, Topics: topics, Event: sse.Event{Data: data}}
}

// entries returns n entries with the same topics.
func (k *kit) entries(n int, topics ...string) []sse.Entry {
	entries := make([]sse.Entry, n)
	for i := range entries {
		entries[i] = k.entry(fmt.Sprintf("%s %d", strings.Join(topics, ","), i+1), topics...)
	}
	return entries
}

// everything is a selection of all entries.
var everything = patterns("**")

func topics(topics ...string) sse.Selection { return sse.Selection{Topics: topics} }

func patterns(texts ...string) sse.Selection {
	var sel sse.Selection
	for _, text := range texts {
		pattern, err := sse.ParsePattern(text)
		if err != nil {
			panic(err)
		}
		sel.Patterns = append(sel.Patterns, pattern)
	}
	return sel
}

// showSelection describes a selection in messages.
func showSelection(sel sse.Selection) string {
	var parts []string
	for _, topic := range sel.Topics {
		parts = append(parts, fmt.Sprintf("topic %s", quote(topic)))
	}
	for _, pattern := range sel.Patterns {
		parts = append(parts, fmt.Sprintf("pattern %s", pattern))
	}
	if len(parts) == 0 {
		return "events without a topic"
	}
	return strings.Join(parts, ", ")
}

// quote quotes text. It shortens a text of more than 60 bytes.
func quote(text string) string {
	const limit = 60
	if len(text) <= limit {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q… (%d bytes)", text[:limit], len(text))
}

// identical reports whether two entries are equal, including their positions.
func identical(a, b sse.Entry) bool {
	return a.Position == b.Position && sameContent(a, b)
}

// sameContent reports whether two entries are equal, except for their
// positions.
func sameContent(a, b sse.Entry) bool {
	return a.Event == b.Event && a.Time.UnixNano() == b.Time.UnixNano() &&
		slices.Equal(a.Topics, b.Topics)
}

// equalEntries records a failure if got and want differ. The failure shows the first
// pair of entries that have the same sequence number but differ. If there is no such
// pair, it shows both lists.
func (k *kit) equalEntries(subject string, got, want []sse.Entry) {
	if slices.EqualFunc(got, want, identical) {
		return
	}
	for i := range min(len(got), len(want)) {
		if !identical(got[i], want[i]) && got[i].Position.Seq == want[i].Position.Seq {
			k.fail(subject, showEntry(got[i]), showEntry(want[i]))
			return
		}
	}
	k.fail(subject, showEntries(got), showEntries(want))
}

func showEntry(e sse.Entry) string {
	var names []string
	for _, topic := range e.Topics {
		names = append(names, quote(topic))
	}
	return fmt.Sprintf("position %s, time %d, topics [%s], id %q, type %q, data %s, retry %s",
		showPosition(e.Position), e.Time.UnixNano(), strings.Join(names, " "), e.Event.ID,
		e.Event.Type, quote(e.Event.Data), e.Event.Retry)
}

func showEntries(entries []sse.Entry) string {
	const limit = 20
	var text strings.Builder
	fmt.Fprintf(&text, "%d entries:", len(entries))
	for i, e := range entries {
		if i == limit {
			text.WriteString(" …")
			break
		}
		fmt.Fprintf(&text, " %d(%s)", e.Position.Seq, quote(e.Event.Data))
	}
	return text.String()
}

func showPosition(p sse.Position) string {
	if p == (sse.Position{}) {
		return "zero"
	}
	return fmt.Sprintf("number %d, epoch %x, check %x", p.Seq, p.Epoch, p.Check)
}

// equalPositions records a failure if got and want differ.
func (k *kit) equalPositions(subject string, got, want sse.Position) {
	if got != want {
		k.fail(subject, showPosition(got), showPosition(want))
	}
}
