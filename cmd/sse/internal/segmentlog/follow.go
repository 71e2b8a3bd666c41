package segmentlog

import (
	"context"
	"iter"

	"github.com/sse-go/sse"
)

// followPage is about the number of bytes of events that Follow reads at once.
const followPage = 256 << 10

// Follow implements [sse.EventLog]. When ctx is done, the iterator ends without an
// error. The newest entries come from memory.
func (l *Log) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		seq := r.After.Seq
		for ctx.Err() == nil {
			entries, next, err := l.following(ctx, seq)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(sse.Entry{}, err)
				return
			}
			for i := range entries {
				if ctx.Err() != nil || !yield(entries[i], nil) {
					return
				}
			}
			if seq = next; len(entries) > 0 {
				continue
			}
			changed := l.changed.wait()
			if l.end.Load().seq > seq {
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

// following returns the next entries, and the number after which to continue.
func (l *Log) following(ctx context.Context, seq uint64) ([]sse.Entry, uint64, error) {
	end := l.end.Load().seq
	if end <= seq {
		return nil, seq, nil
	}
	if err := l.enter(); err != nil {
		return nil, seq, err
	}
	defer l.exit()
	if entries := l.recent.after(seq); entries != nil && !l.losses.anyAfter(seq) {
		return entries, entries[len(entries)-1].Position.Seq, nil
	}
	p := pager{Log: l, ctx: ctx, sel: newSelector(nil), through: end, limit: followPage}
	if err := p.read(seq + 1); err != nil {
		return nil, seq, err
	}
	if p.full {
		end = p.entries[len(p.entries)-1].Position.Seq
	}
	return p.entries, end, nil
}
