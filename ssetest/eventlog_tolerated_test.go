package ssetest_test

import (
	"context"
	"errors"
	"iter"

	"github.com/sse-go/sse"
)

// stride is how far apart the numbers of a gappy log are.
const stride = 3

// spread and narrow translate between a gappy log and the one that it is made of.
// A number that is left out is that of the entry before it.
func spread(p sse.Position) sse.Position {
	p.Seq *= stride
	return p
}

func narrow(p sse.Position) sse.Position {
	p.Seq /= stride
	return p
}

// gappy makes a log leave out numbers.
func gappy(b *broken) {
	b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
		positions, err := b.EventLog.Append(ctx, entries...)
		for i := range positions {
			positions[i] = spread(positions[i])
		}
		return positions, err
	}
	b.read = func(ctx context.Context, q query) (sse.Page, error) {
		asked := q.after
		q.after, q.through = narrow(q.after), narrow(q.through)
		page, err := b.ask(ctx, q)
		for i := range page.Entries {
			page.Entries[i].Position = spread(page.Entries[i].Position)
		}
		page.Next, page.Lost = spread(page.Next), spread(page.Lost)
		if page.Next.Seq < asked.Seq {
			page.Next = asked
		}
		return page, err
	}
	b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
		return func(yield func(sse.Entry, error) bool) {
			for entry, err := range b.EventLog.Follow(ctx, narrow(after)) {
				entry.Position = spread(entry.Position)
				if err != nil {
					return // the end of ctx need not be told
				}
				if !yield(entry, nil) {
					return
				}
			}
		}
	}
	b.locate = func(
		ctx context.Context, start sse.Start, sel sse.Selection,
	) (sse.Position, error) {
		return gappyLocate(ctx, b.EventLog, start, sel)
	}
}

func gappyLocate(
	ctx context.Context, log sse.EventLog, start sse.Start, sel sse.Selection,
) (sse.Position, error) {
	asked := start.After
	left := asked.Seq % stride
	if start.After = narrow(asked); left > 0 {
		start.After.Seq++ // so that what is after the end is so here, too
	}
	p, err := log.Locate(ctx, start, sel)
	var gap *sse.Gap
	if errors.As(err, &gap) {
		if asked != (sse.Position{}) {
			gap.Asked = asked.String()
		}
		p = spread(p)
		gap.Available = p.String()
		return p, gap
	}
	return spread(p), err
}

// vague makes a log tell everybody what anybody has lost.
func vague(b *broken) {
	read := b.read
	b.read = func(ctx context.Context, q query) (sse.Page, error) {
		page, err := read(ctx, q)
		q.sel, q.limit = everything(), 1
		all, _ := read(ctx, q)
		page.Lost = all.Lost
		return page, err
	}
}
