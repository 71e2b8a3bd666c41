package ssetest_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/ssetest"
)

// broken is a log with a fault: its functions replace methods of a correct log.
// If a function is nil, broken calls the method of the correct log. The functions
// append and keyed both replace Append: append for requests without a key, and keyed
// for requests with a key.
type broken struct {
	correct
	append func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error)
	keyed  func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error)
	read   func(ctx context.Context, q query) (sse.Page, error)
	follow func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error]
	locate func(ctx context.Context, start sse.Start, sel sse.Selection) (sse.Position, error)
}

// query holds the arguments of Read.
type query struct {
	after, through sse.Position
	sel            sse.Selection
	limit          int
}

// correct is a log without a fault. The functions of a broken log call its methods.
// These methods have only the arguments and results that faults change. The method
// position returns a gap as an error.
type correct struct{ log sse.EventLog }

func (c correct) appendEntries(ctx context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	result, err := c.log.Append(ctx, sse.AppendRequest{Entries: entries})
	return result.Positions, err
}

func (c correct) readCorrect(ctx context.Context, q query) (sse.Page, error) {
	return c.log.Read(ctx, sse.ReadRequest{
		After: q.after, Through: q.through, Selection: q.sel, Limit: q.limit,
	})
}

func (c correct) followAfter(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
	return c.log.Follow(ctx, sse.ReadRequest{After: after})
}

func (c correct) position(ctx context.Context, start sse.Start, sel sse.Selection) (
	sse.Position, error) {
	page, err := c.log.Locate(ctx, start, sel)
	if page.Gap != nil {
		return page.Next, page.Gap
	}
	return page.Next, err
}

func (b *broken) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	switch {
	case r.Key != "" && b.keyed != nil:
		return b.keyed(ctx, r)
	case r.Key != "" || b.append == nil:
		return b.log.Append(ctx, r)
	}
	positions, err := b.append(ctx, slices.Clone(r.Entries))
	return sse.AppendResult{Positions: positions}, err
}

func (b *broken) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	if b.read == nil {
		return b.log.Read(ctx, r)
	}
	return b.read(ctx, query{r.After, r.Through, r.Selection, r.Limit})
}

func (b *broken) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	if b.follow == nil {
		return b.log.Follow(ctx, r)
	}
	return b.follow(ctx, r.After)
}

func (b *broken) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (
	sse.Page, error) {
	if b.locate == nil {
		return b.log.Locate(ctx, start, sel)
	}
	next, err := b.locate(ctx, start, sel)
	if gap := (*sse.Gap)(nil); errors.As(err, &gap) {
		return sse.Page{Next: next, Gap: gap}, nil
	}
	return sse.Page{Next: next}, err
}

// fault is one way to break a log.
type fault struct {
	name     string
	failing  string // the case of TestEventLog that must fail
	breakLog func(b *broken)
}

// TestEventLogFindsFaults runs TestEventLog with many logs, each with one fault. It
// checks that the right case fails.
func TestEventLogFindsFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: runs TestEventLog once for each of about 80 faults")
	}
	for _, f := range slices.Concat(readFaults, appendFaults, keyFaults, followFaults, locateFaults) {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { wantFailure(t, breakWith(inMemory(), f.breakLog), "", f.failing) })
		})
	}
}

// breakWith returns options with which Open applies breakLog to every new log.
func breakWith(opts ssetest.EventLogOptions, breakLog func(b *broken)) ssetest.EventLogOptions {
	open := opts.Open
	opts.Open = func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
		b := &broken{correct: correct{open(t, setup)}}
		breakLog(b)
		return b
	}
	opts.Fail = func(log sse.EventLog, n int) { log.(*broken).log.(*reflog.Log).FailAfter(n) }
	opts.Trim = func(t testing.TB, log sse.EventLog) { log.(*broken).log.(*reflog.Log).Trim() }
	return opts
}

// wantFailure runs the cases whose names begin with prefix. It checks that the case
// with the given name fails, and that its message has all parts.
func wantFailure(t *testing.T, opts ssetest.EventLogOptions, prefix, name string) {
	t.Helper()
	failing := ssetest.FailingCases(t, opts, prefix)
	if len(failing[name]) == 0 {
		t.Errorf("got failures of %v, want %s to fail", slices.Sorted(maps.Keys(failing)), name)
		return
	}
	for _, word := range []string{"promise: ", "why: ", "checked: ", "got: ", "want: "} {
		if !strings.Contains(failing[name], "\n"+word) {
			t.Errorf("got a message without %q:\n%s", word, failing[name])
		}
	}
	t.Logf("failing cases: %v\n%s", slices.Sorted(maps.Keys(failing)), failing[name])
}

// onPage returns a function that breaks a log: Read changes the page that it returns.
func onPage(change func(page *sse.Page, q query)) func(b *broken) {
	return func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := b.readCorrect(ctx, q)
			page.Entries = slices.Clone(page.Entries)
			change(&page, q)
			return page, err
		}
	}
}

// onQuery returns a function that breaks a log: Read changes its arguments.
func onQuery(change func(q *query)) func(b *broken) {
	return func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			change(&q)
			return b.readCorrect(ctx, q)
		}
	}
}

var readFaults = []fault{
	{"Read returns the entry at after", "read/after-through", onQuery(func(q *query) {
		q.after.Seq = max(q.after.Seq, 1) - 1
	})},
	{"Read omits the entry at through", "read/after-through", onQuery(func(q *query) {
		if q.through.Seq > 0 {
			q.through = sse.Position{Epoch: 1, Seq: q.through.Seq - 1}
		}
	})},
	{"Read through number 0 reads to the end", "read/through-the-beginning", onQuery(func(q *query) {
		if q.through.Seq == 0 {
			q.through = sse.Position{}
		}
	})},
	{"Read ignores the limit", "read/limit", onQuery(func(q *query) { q.limit = 1 << 30 })},
	{"pages have one entry only", "read/limit", onQuery(func(q *query) { q.limit = 1 })},
	{"a page with a small limit is empty", "read/limit", onPage(func(p *sse.Page, q query) {
		if q.limit < 100 {
			p.Entries = nil
		}
	})},
	{"Next skips a number", "read/page-by-page", onPage(func(p *sse.Page, q query) {
		if len(p.Entries) > 0 && q.limit < 1000 {
			p.Next.Seq++
		}
	})},
	{"Next of an empty page is after", "read/next", onPage(func(p *sse.Page, q query) {
		if len(p.Entries) == 0 {
			p.Next = q.after
		}
	})},
	{"Next is beyond the end of the log", "read/next", onPage(func(p *sse.Page, q query) {
		if q.through.Seq > p.Next.Seq {
			p.Next = q.through
		}
	})},
	{"the second topic does not select an event", "entries/two-topics",
		onPage(func(p *sse.Page, q query) {
			p.Entries = slices.DeleteFunc(p.Entries, func(e sse.Entry) bool {
				return !q.sel.Match(e.Topics[:1])
			})
		})},
	{"two topics select an event twice", "entries/two-topics", onPage(func(p *sse.Page, q query) {
		var entries []sse.Entry
		for _, e := range p.Entries {
			for _, topic := range e.Topics {
				if q.sel.Match([]string{topic}) {
					entries = append(entries, e)
				}
			}
		}
		p.Entries = entries
	})},
	{"entries are ordered by topic", "entries/selection", onPage(func(p *sse.Page, q query) {
		slices.SortStableFunc(p.Entries, func(a, b sse.Entry) int {
			return strings.Compare(a.Topics[0], b.Topics[0])
		})
	})},
	{"a topic is parsed as a pattern", "entries/topics", onQuery(func(q *query) {
		if pattern, err := sse.ParsePattern(strings.Join(q.sel.Topics, "")); err == nil {
			q.sel = sse.Selection{Patterns: []sse.Pattern{pattern}}
		}
	})},
	{"the empty selection matches every event", "entries/selection", onQuery(func(q *query) {
		if len(q.sel.Topics)+len(q.sel.Patterns) == 0 {
			q.sel = everything()
		}
	})},
	{"Read searches only the next 100 entries", "read/rare-topic", onQuery(func(q *query) {
		if q.through == (sse.Position{}) && len(q.sel.Topics) > 0 {
			q.through = sse.Position{Seq: q.after.Seq + 100}
		}
	})},
	{"Lost is always zero", "retention/lost", onPage(func(p *sse.Page, q query) {
		p.Lost = sse.Position{}
	})},
	{"Lost is not the newest removed position", "retention/lost", onPage(func(p *sse.Page, q query) {
		if p.Lost.Seq > 0 {
			p.Lost.Seq--
		}
	})},
	{"Lost is zero beyond the page", "retention/lost",
		onPage(func(p *sse.Page, q query) {
			if p.Lost.Seq > p.Next.Seq {
				p.Lost = sse.Position{}
			}
		})},
	{"Lost reports entries before after", "retention/lost", func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := b.readCorrect(ctx, q)
			all, _ := b.readCorrect(ctx, query{sel: q.sel})
			page.Lost = all.Lost
			return page, err
		}
	}},
	{"Lost reports entries of all topics", "retention/lost", func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := b.readCorrect(ctx, q)
			all, _ := b.readCorrect(ctx, query{after: q.after, sel: everything()})
			page.Lost = all.Lost
			return page, err
		}
	}},
	{"Lost is set although nothing was removed", "retention/none", onPage(func(p *sse.Page, q query) {
		if p.Next.Seq > q.after.Seq {
			p.Lost = p.Next
		}
	})},
}

func everything() sse.Selection {
	pattern, _ := sse.ParsePattern("**")
	return sse.Selection{Patterns: []sse.Pattern{pattern}}
}
