package ssetest_test

import (
	"context"
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

// broken is a log with a fault: functions that stand in for methods. Those that
// are nil are as they should be.
type broken struct {
	sse.EventLog // a good one
	append       func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error)
	read         func(ctx context.Context, q query) (sse.Page, error)
	follow       func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error]
	locate       func(ctx context.Context, start sse.Start, sel sse.Selection) (sse.Position, error)
}

// query is what Read is asked.
type query struct {
	after, through sse.Position
	sel            sse.Selection
	limit          int
}

func (b *broken) Append(ctx context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	if b.append == nil {
		return b.EventLog.Append(ctx, entries...)
	}
	return b.append(ctx, slices.Clone(entries))
}

func (b *broken) Read(
	ctx context.Context, after, through sse.Position, sel sse.Selection, limit int,
) (sse.Page, error) {
	q := query{after, through, sel, limit}
	if b.read == nil {
		return b.ask(ctx, q)
	}
	return b.read(ctx, q)
}

// ask asks the good log.
func (b *broken) ask(ctx context.Context, q query) (sse.Page, error) {
	return b.EventLog.Read(ctx, q.after, q.through, q.sel, q.limit)
}

func (b *broken) Follow(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
	if b.follow == nil {
		return b.EventLog.Follow(ctx, after)
	}
	return b.follow(ctx, after)
}

func (b *broken) Locate(
	ctx context.Context, start sse.Start, sel sse.Selection,
) (sse.Position, error) {
	if b.locate == nil {
		return b.EventLog.Locate(ctx, start, sel)
	}
	return b.locate(ctx, start, sel)
}

// fault breaks a log, which is good before.
type fault struct {
	name  string
	fails string // the case that must fail
	do    func(b *broken)
}

// TestEventLogFindsFaults runs the kit against logs that are broken in one way
// each.
func TestEventLogFindsFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: the whole kit for each of some 60 faults")
	}
	for _, f := range slices.Concat(readFaults, appendFaults, followFaults, locateFaults) {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fails(t, breakWith(inMemory(), f.do), "", f.fails) })
		})
	}
}

// breakWith breaks every log that is opened.
func breakWith(opts ssetest.EventLogOptions, do func(b *broken)) ssetest.EventLogOptions {
	open := opts.Open
	opts.Open = func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
		b := &broken{EventLog: open(t, setup)}
		do(b)
		return b
	}
	opts.Fail = func(log sse.EventLog, n int) { log.(*broken).EventLog.(*reflog.Log).FailAfter(n) }
	opts.Trim = func(t testing.TB, log sse.EventLog) { log.(*broken).EventLog.(*reflog.Log).Trim() }
	return opts
}

// fails checks that a case fails, of those whose names begin with prefix.
func fails(t *testing.T, opts ssetest.EventLogOptions, prefix, name string) {
	t.Helper()
	failing := ssetest.FailingCases(t, opts, prefix)
	if len(failing[name]) == 0 {
		t.Errorf("got failures of %v, want %s to fail", slices.Sorted(maps.Keys(failing)), name)
		return
	}
	for _, word := range []string{"promise: ", "why: ", "seen: ", "got: ", "want: "} {
		if !strings.Contains(failing[name], "\n"+word) {
			t.Errorf("got a report without %q:\n%s", word, failing[name])
		}
	}
	t.Logf("failing: %v\n%s", slices.Sorted(maps.Keys(failing)), failing[name])
}

// onPage breaks what Read returns.
func onPage(change func(page *sse.Page, q query)) func(b *broken) {
	return func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := b.ask(ctx, q)
			page.Entries = slices.Clone(page.Entries)
			change(&page, q)
			return page, err
		}
	}
}

// onQuery breaks what Read is asked.
func onQuery(change func(q *query)) func(b *broken) {
	return func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			change(&q)
			return b.ask(ctx, q)
		}
	}
}

var readFaults = []fault{
	{"reads the entry at after again", "read/after-through", onQuery(func(q *query) {
		q.after.Seq = max(q.after.Seq, 1) - 1
	})},
	{"leaves out the entry at through", "read/after-through", onQuery(func(q *query) {
		if q.through.Seq > 0 {
			q.through = sse.Position{Epoch: 1, Seq: q.through.Seq - 1}
		}
	})},
	{"takes number 0 for the end", "read/through-the-beginning", onQuery(func(q *query) {
		if q.through.Seq == 0 {
			q.through = sse.Position{}
		}
	})},
	{"ignores the limit", "read/limit", onQuery(func(q *query) { q.limit = 1 << 30 })},
	{"gives a page of one entry only", "read/limit", onQuery(func(q *query) { q.limit = 1 })},
	{"gives an empty page if the limit is small", "read/limit", onPage(func(p *sse.Page, q query) {
		if q.limit < 100 {
			p.Entries = nil
		}
	})},
	{"skips a number after a page", "read/page-by-page", onPage(func(p *sse.Page, q query) {
		if len(p.Entries) > 0 && q.limit < 1000 {
			p.Next.Seq++
		}
	})},
	{"stays where it is when a page is empty", "read/next", onPage(func(p *sse.Page, q query) {
		if len(p.Entries) == 0 {
			p.Next = q.after
		}
	})},
	{"says to read on after what is not there yet", "read/next", onPage(func(p *sse.Page, q query) {
		if q.through.Seq > p.Next.Seq {
			p.Next = q.through
		}
	})},
	{"gives no entry to the second topic of an event", "entries/two-topics",
		onPage(func(p *sse.Page, q query) {
			p.Entries = slices.DeleteFunc(p.Entries, func(e sse.Entry) bool {
				return !q.sel.Match(e.Topics[:1])
			})
		})},
	{"gives an event with two topics twice", "entries/two-topics", onPage(func(p *sse.Page, q query) {
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
	{"loses the order between topics", "entries/selection", onPage(func(p *sse.Page, q query) {
		slices.SortStableFunc(p.Entries, func(a, b sse.Entry) int {
			return strings.Compare(a.Topics[0], b.Topics[0])
		})
	})},
	{"takes a topic for a pattern", "entries/topics", onQuery(func(q *query) {
		if pattern, err := sse.ParsePattern(strings.Join(q.sel.Topics, "")); err == nil {
			q.sel = sse.Selection{Patterns: []sse.Pattern{pattern}}
		}
	})},
	{"gives everything to who selects nothing", "entries/selection", onQuery(func(q *query) {
		if len(q.sel.Topics)+len(q.sel.Patterns) == 0 {
			q.sel = everything()
		}
	})},
	{"looks only at the next 100 entries", "read/rare", onQuery(func(q *query) {
		if q.through == (sse.Position{}) && len(q.sel.Topics) > 0 {
			q.through = sse.Position{Seq: q.after.Seq + 100}
		}
	})},
	{"does not tell what is lost", "retention/lost", onPage(func(p *sse.Page, q query) {
		p.Lost = sse.Position{}
	})},
	{"tells the oldest that is lost", "retention/lost", onPage(func(p *sse.Page, q query) {
		if p.Lost.Seq > 0 {
			p.Lost.Seq--
		}
	})},
	{"tells what is lost only if it is in the page", "retention/lost",
		onPage(func(p *sse.Page, q query) {
			if p.Lost.Seq > p.Next.Seq {
				p.Lost = sse.Position{}
			}
		})},
	{"tells what is lost to whom it does not matter", "retention/lost", func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := b.ask(ctx, q)
			all, _ := b.ask(ctx, query{sel: q.sel})
			page.Lost = all.Lost
			return page, err
		}
	}},
	{"tells everybody what anybody has lost", "retention/lost", func(b *broken) {
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := b.ask(ctx, q)
			all, _ := b.ask(ctx, query{after: q.after, sel: everything()})
			page.Lost = all.Lost
			return page, err
		}
	}},
	{"tells a loss where nothing is lost", "retention/none", onPage(func(p *sse.Page, q query) {
		if p.Next.Seq > q.after.Seq {
			p.Lost = p.Next
		}
	})},
}

func everything() sse.Selection {
	pattern, _ := sse.ParsePattern("**")
	return sse.Selection{Patterns: []sse.Pattern{pattern}}
}
