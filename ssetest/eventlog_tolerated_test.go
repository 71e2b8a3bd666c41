package ssetest_test

import (
	"context"
	"errors"
	"iter"

	"github.com/sse-go/sse"
)

// stride is the distance between the numbers of a log with leaveOutNumbers: 3, 6, 9.
const stride = 3

// spread converts a position of the correct log to a position of a log that leaves out
// numbers, and narrow converts it back. For narrow, a number that was left out stands
// for the entry before it.
func spread(p sse.Position) sse.Position {
	p.Seq *= stride
	return p
}

func narrow(p sse.Position) sse.Position {
	p.Seq /= stride
	return p
}

// leaveOutNumbers makes a log use only every third number.
func leaveOutNumbers(b *broken) {
	b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
		positions, err := b.appendEntries(ctx, entries...)
		for i := range positions {
			positions[i] = spread(positions[i])
		}
		return positions, err
	}
	b.read = func(ctx context.Context, q query) (sse.Page, error) {
		asked := q.after
		q.after, q.through = narrow(q.after), narrow(q.through)
		page, err := b.readCorrect(ctx, q)
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
			for entry, err := range b.followAfter(ctx, narrow(after)) {
				entry.Position = spread(entry.Position)
				if err != nil {
					return // without the context's error, as the contract allows
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
		return locateSpread(ctx, b.correct, start, sel)
	}
}

// locateSpread is the method Locate of a log that leaves out numbers. log is the
// correct log.
func locateSpread(
	ctx context.Context, log correct, start sse.Start, sel sse.Selection,
) (sse.Position, error) {
	asked := start.After
	rest := asked.Seq % stride
	if start.After = narrow(asked); rest > 0 {
		start.After.Seq++ // so that a position beyond the end stays beyond the end
	}
	p, err := log.position(ctx, start, sel)
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

// reportLostBroadly makes Read report as Lost the newest removed entry of any topic,
// selected or not.
func reportLostBroadly(b *broken) {
	read := b.read
	b.read = func(ctx context.Context, q query) (sse.Page, error) {
		page, err := read(ctx, q)
		q.sel, q.limit = everything(), 1
		all, _ := read(ctx, q)
		page.Lost = all.Lost
		return page, err
	}
}
