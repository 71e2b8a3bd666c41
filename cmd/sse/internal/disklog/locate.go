package disklog

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
)

// The reasons of a [sse.Gap] that a log finds.
const (
	whyUnknown = "unknown"
	whyEpoch   = "epoch"
	whyFuture  = "future"
	whyCheck   = "check"
)

// Locate implements [sse.EventLog]. A position whose entry was removed is taken to
// be what it says; what was removed after it, [sse.Page.Lost] tells.
func (l *Log) Locate(
	ctx context.Context, start sse.Start, sel sse.Selection,
) (sse.Position, error) {
	if err := l.enter(); err != nil {
		return sse.Position{}, err
	}
	defer l.exit()
	if err := context.Cause(ctx); err != nil {
		return sse.Position{}, err
	}
	end := *l.published.Load()
	f := seeker{l: l, ctx: ctx, sel: &sel, end: end}
	switch {
	case start.After != (sse.Position{}):
		why, err := f.verify(start.After)
		return f.answer(start.After, start.After.String(), why, err)
	case start.ID != "":
		p, found, err := f.named(start.ID)
		why := ""
		if !found {
			why = whyUnknown
		}
		return f.answer(p, start.ID, why, err)
	case start.Last > 0:
		return f.before(f.newest(start.Last))
	case !start.Time.IsZero():
		return f.before(f.since(start.Time))
	case start.Earliest:
		return f.before(f.earliest())
	}
	return l.position(end), nil
}

// seeker looks for a place, in the log up to its end.
type seeker struct {
	l   *Log
	ctx context.Context
	sel *sse.Selection
	end place
}

// answer is what Locate returns for a place that was asked for.
func (f *seeker) answer(
	p sse.Position, asked, why string, err error,
) (sse.Position, error) {
	if err != nil {
		return sse.Position{}, err
	}
	if why == "" {
		return p, nil
	}
	begin, err := f.before(f.earliest())
	if err != nil {
		return sse.Position{}, err
	}
	return begin, &sse.Gap{Asked: asked, Available: begin.String(), Why: sse.GapReason(why)}
}

// verify says why a position is not one of the log, or nothing.
func (f *seeker) verify(p sse.Position) (why string, err error) {
	switch {
	case p.Epoch != f.l.epoch:
		return whyEpoch, nil
	case p.Seq > f.end.seq:
		return whyFuture, nil
	case p.Seq == 0:
		return "", nil
	}
	sum, kept, err := f.l.sumAt(p.Seq)
	if err != nil {
		return "", err
	}
	if p.Seq == f.end.seq {
		sum, kept = f.end.sum, true
	}
	if kept && f.l.position(place{p.Seq, sum}) != p {
		return whyCheck, nil
	}
	return "", nil
}

// sumAt returns the sum of an entry, if the log has the entry.
func (l *Log) sumAt(seq uint64) (sum uint32, kept bool, err error) {
	if seq < l.first.Load() {
		return 0, false, nil
	}
	value, closer, err := l.db.Get(numberKey(nil, entryKey, seq))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer closer.Close()
	if len(value) < 5 {
		return 0, false, errDamaged
	}
	return binary.LittleEndian.Uint32(value[1:5]), true, nil
}

// before is the position to read after, to begin with an entry; or the end, if
// there is none. It may be asked for what found it.
func (f *seeker) before(seq uint64, err error) (sse.Position, error) {
	if err != nil {
		return sse.Position{}, err
	}
	if seq == 0 || seq > f.end.seq {
		return f.l.position(f.end), nil
	}
	p := sse.Position{Epoch: f.l.epoch, Seq: seq - 1}
	if p.Seq == 0 {
		return p, nil
	}
	sum, kept, err := f.l.sumAt(p.Seq)
	if err != nil {
		return sse.Position{}, err
	}
	if kept {
		p = f.l.position(place{p.Seq, sum})
	}
	return p, nil
}

// named finds the earliest entry that is selected and has an application's id.
func (f *seeker) named(id string) (sse.Position, bool, error) {
	lower := append([]byte{idKey}, hashSlice(id)...)
	iter, err := f.l.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return sse.Position{}, false, err
	}
	defer iter.Close()
	for valid := iter.First(); valid; valid = iter.Next() {
		seq := seqOf(iter.Key())
		if seq > f.end.seq {
			break
		}
		if seq < f.l.first.Load() {
			continue
		}
		value, closer, err := f.l.db.Get(numberKey(nil, entryKey, seq))
		if errors.Is(err, pebble.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return sse.Position{}, false, err
		}
		h, err := viewHead(value)
		same := h.id == id && f.sel.Match(h.topics)
		closer.Close()
		if err != nil {
			return sse.Position{}, false, err
		}
		if same {
			return f.l.position(place{seq, h.sum}), true, nil
		}
	}
	return sse.Position{}, false, iter.Error()
}

func hashSlice(id string) []byte {
	hash := hashOf(id)
	return hash[:]
}
