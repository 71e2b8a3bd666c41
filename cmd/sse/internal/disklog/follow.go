package disklog

import (
	"context"
	"iter"

	"github.com/sse-go/sse"
)

// followPage is how many bytes of events Follow has in memory, about.
const followPage = 256 << 10

// Follow implements [sse.EventLog]. When ctx is done it ends, without an error.
func (l *Log) Follow(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		seq := after.Seq
		for ctx.Err() == nil {
			entries, next, err := l.following(ctx, seq)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(sse.Entry{}, err)
				return
			}
			for _, e := range entries {
				if ctx.Err() != nil || !yield(e, nil) {
					return
				}
			}
			if seq = next; len(entries) > 0 {
				continue
			}
			changed := l.changed.wait()
			if l.published.Load().seq > seq {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			case <-l.closing:
				yield(sse.Entry{}, ErrClosed)
				return
			}
		}
	}
}

// following returns the next page of all entries, and where to go on.
func (l *Log) following(ctx context.Context, seq uint64) ([]sse.Entry, uint64, error) {
	upto := l.published.Load().seq
	if upto <= seq {
		return nil, seq, nil
	}
	if err := l.enter(); err != nil {
		return nil, seq, err
	}
	defer l.exit()
	p := pager{l: l, ctx: ctx, upto: upto, limit: followPage}
	if err := p.scan(max(seq+1, l.first.Load())); err != nil {
		return nil, seq, err
	}
	if p.full {
		return p.entries, p.entries[len(p.entries)-1].Position.Seq, nil
	}
	return p.entries, upto, nil
}
