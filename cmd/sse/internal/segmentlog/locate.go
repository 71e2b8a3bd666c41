package segmentlog

import (
	"context"
	"sort"
	"time"

	"github.com/sse-go/sse"
)

// Locate implements [sse.EventLog]. Locate accepts every position whose entry was
// removed. [sse.Page.Lost] of the next Read reports what was removed after it.
func (l *Log) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (sse.Page, error) {
	if err := l.enter(); err != nil {
		return sse.Page{}, err
	}
	defer l.exit()
	if err := context.Cause(ctx); err != nil {
		return sse.Page{}, err
	}
	f := seeker{Log: l, ctx: ctx, sel: &sel, selector: newSelector(&sel), end: *l.end.Load()}
	defer f.frames.close()
	switch {
	case start.After != (sse.Position{}):
		why, err := f.verify(start.After)
		return f.answer(start.After, start.After.String(), why, err)
	case start.ID != "":
		p, why, err := f.named(start.ID)
		return f.answer(p, start.ID, why, err)
	case start.Last > 0:
		return f.before(f.newest(start.Last))
	case !start.Time.IsZero():
		return f.before(f.since(start.Time))
	case start.Earliest:
		return f.before(f.earliest())
	}
	return sse.Page{Next: l.position(f.end)}, nil
}

// seeker looks for a place in the log, up to its end.
type seeker struct {
	*Log
	ctx      context.Context
	sel      *sse.Selection
	selector *selector
	end      place
	frames   frameReader
}

// answer returns the result of Locate for a place that was asked for.
func (f *seeker) answer(p sse.Position, asked string, why sse.GapReason, err error) (
	sse.Page, error) {
	if err != nil || why == "" {
		return sse.Page{Next: p}, err
	}
	page, err := f.before(f.earliest())
	if err == nil {
		page.Gap = &sse.Gap{Asked: asked, Available: page.Next.String(), Why: why}
	}
	return page, err
}

// verify returns the reason why a position is not one of the log, or an empty string.
func (f *seeker) verify(p sse.Position) (sse.GapReason, error) {
	switch {
	case p.Epoch != f.epoch:
		return sse.GapEpoch, nil
	case p.Seq > f.end.seq:
		return sse.GapFuture, nil
	case p.Seq == 0:
		return "", nil
	}
	sum, stored, err := f.sumAt(p.Seq)
	if err != nil {
		return "", err
	}
	if stored && f.position(place{p.Seq, sum}) != p {
		return sse.GapCheck, nil
	}
	return "", nil
}

// sumAt returns the sum of an entry, if the log has the entry.
func (f *seeker) sumAt(seq uint64) (sum uint32, stored bool, err error) {
	if seq == f.end.seq {
		return f.end.sum, true, nil
	}
	err = f.walk(seq, seq, func(s *segment) (bool, error) {
		i, err := f.ordinalOf(s, seq)
		if err != nil || i < 0 {
			return false, err
		}
		payload, found, _, err := f.frame(&f.frames, s, i)
		sum, stored = found, payload != nil
		return false, err
	})
	return sum, stored, err
}

// ordinalOf returns the ordinal of an entry that is not removed, or -1.
func (f *seeker) ordinalOf(s *segment, seq uint64) (ordinal int, err error) {
	ordinal = -1
	err = f.withIndex(s, func(idx index) error {
		i, err := idx.find(seq)
		if err != nil || i == idx.len() || s.isRemoved(i) {
			return err
		}
		if found, err := idx.seq(i); err != nil || found != seq {
			return err
		}
		ordinal = i
		return nil
	})
	return ordinal, err
}

// before returns the position after which an entry is the next one. If there is no such
// entry, it returns the end. Its arguments are the results of the method that has found
// the entry.
func (f *seeker) before(seq uint64, err error) (sse.Page, error) {
	if err != nil {
		return sse.Page{}, err
	}
	if seq == 0 || seq > f.end.seq {
		return sse.Page{Next: f.position(f.end)}, nil
	}
	p := sse.Position{Epoch: f.epoch, Seq: seq - 1}
	if p.Seq == 0 {
		return sse.Page{Next: p}, nil
	}
	sum, stored, err := f.sumAt(p.Seq)
	if stored {
		p = f.position(place{p.Seq, sum})
	}
	return sse.Page{Next: p}, err
}

// earliest finds the first selected entry, or zero.
func (f *seeker) earliest() (seq uint64, err error) {
	err = f.walk(0, f.end.seq, func(s *segment) (bool, error) {
		if err := context.Cause(f.ctx); err != nil {
			return false, err
		}
		err := f.withIndex(s, func(idx index) error {
			set, err := f.selector.in(s, idx)
			if err != nil {
				return err
			}
			if i := set.next(0); i >= 0 {
				seq, err = idx.seq(i)
			}
			return err
		})
		return seq == 0, err
	})
	return seq, err
}

// newest finds the first of the n newest selected entries. If there are fewer, it finds
// the first of all; if there are none, zero.
func (f *seeker) newest(n int) (seq uint64, err error) {
	for range maxStale {
		if seq, err = f.newestIn(f.list(), n); !isMissing(err) {
			break // otherwise, a segment was rewritten or removed meanwhile
		}
	}
	return seq, err
}

func (f *seeker) newestIn(segments []*segment, n int) (seq uint64, err error) {
	for i := len(segments) - 1; i >= 0 && n > 0 && err == nil; i-- {
		if err := context.Cause(f.ctx); err != nil {
			return 0, err
		}
		err = f.withIndex(segments[i], func(idx index) error {
			set, err := f.selector.in(segments[i], idx)
			if err != nil {
				return err
			}
			first := -1
			for ord := set.prev(len(set)*64 - 1); ord >= 0 && n > 0; ord = set.prev(ord - 1) {
				first, n = ord, n-1
			}
			if first >= 0 {
				seq, err = idx.seq(first)
			}
			return err
		})
	}
	return seq, err
}

// since finds the first selected entry that is not older than t, or zero. The times of
// entries need not increase. But the newest time of all entries up to an entry never
// decreases, and indexes have it. Of the removed entries, only the time of the newest is
// known. If it is not older than t, the place is before it.
func (f *seeker) since(t time.Time) (uint64, error) {
	nano := t.UnixNano()
	segments := f.list()
	i := sort.Search(len(segments)-1, func(i int) bool { return segments[i].time >= nano })
	from := segments[i].base
	found := uint64(0)
	err := f.walk(from, f.end.seq, func(s *segment) (bool, error) {
		var err error
		found, err = f.sinceIn(s, nano, &from)
		return found == 0, err
	})
	if err != nil {
		return 0, err
	}
	lost := f.losses.of(f.sel, segments[i].base-1)
	if lost.seq != 0 && lost.nano >= nano && (found == 0 || lost.seq < found) {
		return lost.seq, nil
	}
	return found, nil
}

// sinceIn looks at the selected entries of a segment. It sets from to the number after
// those that it has looked at.
func (f *seeker) sinceIn(s *segment, nano int64, from *uint64) (uint64, error) {
	var set bitset
	first := 0
	if err := f.withIndex(s, func(idx index) (err error) {
		set, err = f.selector.in(s, idx)
		if err == nil && set != nil {
			var timed int
			timed, err = idx.timed(nano)
			first = timed
		}
		if err == nil {
			var i int
			i, err = idx.find(*from)
			first = max(first, i)
		}
		return err
	}); err != nil {
		return 0, err
	}
	var h head
	looked := 0
	for i := set.next(first); i >= 0; i = set.next(i + 1) {
		if looked++; looked%1024 == 0 && f.ctx.Err() != nil {
			return 0, context.Cause(f.ctx)
		}
		payload, _, seq, err := f.frame(&f.frames, s, i)
		if err != nil {
			return 0, err
		}
		*from = seq + 1
		if payload == nil {
			continue
		}
		if err := h.parse(view(payload)); err != nil {
			return 0, err
		}
		if h.nano >= nano {
			return seq, nil
		}
	}
	return 0, nil
}

// named finds the earliest selected entry with an ID of an application.
func (f *seeker) named(id string) (p sse.Position, why sse.GapReason, err error) {
	why = sse.GapUnknown
	hash := hashID(id)
	var h head
	err = f.walk(0, f.end.seq, func(s *segment) (bool, error) {
		var ords []int
		if err := f.withIndex(s, func(idx index) (err error) {
			ords, err = idx.named(hash)
			return err
		}); err != nil {
			return false, err
		}
		for _, i := range ords {
			if s.isRemoved(i) {
				continue
			}
			payload, sum, seq, err := f.frame(&f.frames, s, i)
			if err != nil || seq > f.end.seq {
				return false, err
			}
			if payload == nil {
				continue
			}
			if err := h.parse(view(payload)); err != nil {
				return false, err
			}
			if h.id == id && f.sel.Match(h.topics) {
				p, why = f.position(place{seq, sum}), ""
				return false, nil
			}
		}
		return true, nil
	})
	return p, why, err
}
