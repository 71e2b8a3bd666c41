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

// patience is how long a case may take, and how long Follow may take to end.
const patience = 30 * time.Second

// finding is what is wrong with a log.
type finding struct {
	what      string // is looked at
	got, want string
}

func (f finding) String() string {
	return fmt.Sprintf("%s\ngot:     %s\nwant:    %s", f.what, f.got, f.want)
}

// kit is one case at work.
type kit struct {
	tb     testing.TB
	opts   *EventLogOptions
	ctx    context.Context // done when the case has taken too long
	cancel context.CancelFunc
	limit  *time.Timer // cancels ctx

	mu        sync.Mutex // guards the following
	now       time.Time
	findings  []finding
	followers []*follower
}

func newKit(tb testing.TB, opts *EventLogOptions) *kit {
	k := &kit{tb: tb, opts: opts, now: time.Now()}
	k.ctx, k.cancel = context.WithCancel(tb.Context())
	k.limit = time.AfterFunc(patience, k.cancel)
	return k
}

// stopped is what stop panics with.
type stopped struct{}

// run calls a case's function, and then ends what that has left running.
func (k *kit) run(f func(k *kit)) {
	defer k.limit.Stop()
	defer func() {
		for _, follower := range k.followers {
			follower.end()
		}
	}()
	defer func() {
		if r := recover(); r != nil && r != (stopped{}) {
			panic(r)
		}
	}()
	f(k)
}

// found notes what is wrong with the log. It may be called from any goroutine.
func (k *kit) found(what string, got, want any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.findings = append(k.findings, finding{what, fmt.Sprint(got), fmt.Sprint(want)})
}

// stop is found, after which the case makes no sense. Only the goroutine of the
// case may call it.
func (k *kit) stop(what string, got, want any) {
	k.found(what, got, want)
	panic(stopped{})
}

// clock is the time by which entries grow old.
func (k *kit) clock() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// advance lets time pass, also for a log that looks at the clock of its bubble.
func (k *kit) advance(d time.Duration) {
	if k.opts.Bubble {
		k.limit.Stop()
		<-time.After(d)
		k.limit.Reset(patience)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(d)
}

// entry makes an entry. No two have the same time.
func (k *kit) entry(data string, topics ...string) sse.Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(time.Millisecond + time.Nanosecond)
	if len(topics) == 0 {
		topics = []string{""}
	}
	return sse.Entry{Time: k.now, Topics: topics, Event: sse.Event{Data: data}}
}

// entries makes n of them.
func (k *kit) entries(n int, topics ...string) []sse.Entry {
	entries := make([]sse.Entry, n)
	for i := range entries {
		entries[i] = k.entry(fmt.Sprintf("%s %d", strings.Join(topics, ","), i+1), topics...)
	}
	return entries
}

// everything selects every entry.
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

// show describes a selection.
func show(sel sse.Selection) string {
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

// quote makes a text fit for a line.
func quote(text string) string {
	const limit = 60
	if len(text) <= limit {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q… (%d bytes)", text[:limit], len(text))
}

// equalEntries reports whether two entries are the same, position included.
func equalEntries(a, b sse.Entry) bool {
	return a.Position == b.Position && equalContent(a, b)
}

// equalContent is equalEntries but for the position.
func equalContent(a, b sse.Entry) bool {
	return a.Event == b.Event && a.Time.UnixNano() == b.Time.UnixNano() &&
		slices.Equal(a.Topics, b.Topics)
}

// same notes where a list of entries is not the one that was wanted.
func (k *kit) same(what string, got, want []sse.Entry) {
	if slices.EqualFunc(got, want, equalEntries) {
		return
	}
	for i := range min(len(got), len(want)) {
		if !equalEntries(got[i], want[i]) && got[i].Position.Seq == want[i].Position.Seq {
			k.found(what, showEntry(got[i]), showEntry(want[i]))
			return
		}
	}
	k.found(what, showEntries(got), showEntries(want))
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

// equalPositions notes where a position is not the one that was wanted.
func (k *kit) equalPositions(what string, got, want sse.Position) {
	if got != want {
		k.found(what, showPosition(got), showPosition(want))
	}
}
