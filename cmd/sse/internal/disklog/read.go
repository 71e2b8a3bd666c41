package disklog

import (
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
)

// Read implements [sse.EventLog]. It costs what it returns: it goes through the
// indexes of the topics that are selected, or, where these are many, through
// the log itself.
func (l *Log) Read(
	ctx context.Context, after, through sse.Position, sel sse.Selection, limit int,
) (sse.Page, error) {
	if err := l.enter(); err != nil {
		return sse.Page{}, err
	}
	defer l.exit()
	end := l.position(*l.published.Load())
	if through != (sse.Position{}) && through.Seq < end.Seq {
		end = through
	}
	page := sse.Page{Next: end}
	if after.Seq > end.Seq {
		page.Next = after
	} else if after.Seq < end.Seq {
		p := pager{l: l, ctx: ctx, sel: &sel, upto: end.Seq, limit: limit}
		if err := p.read(after.Seq + 1); err != nil {
			return sse.Page{}, err
		}
		page.Entries = p.entries
		if p.full {
			page.Next = p.entries[len(p.entries)-1].Position
		}
	}
	// Last, so that what was removed under our eyes is told.
	if lost := l.losses.of(&sel, after.Seq); lost.seq != 0 {
		page.Lost = l.position(lost.place)
	}
	return page, nil
}

// pager reads one page.
type pager struct {
	l     *Log
	ctx   context.Context
	sel   *sse.Selection // nil: everything
	upto  uint64         // the last number to read
	limit int

	entries []sse.Entry
	size    int
	full    bool // the limit is reached, and there may be more
}

const (
	// few numbers are looked through rather than to look for topics.
	few = 64

	// dense is how many entries may be looked at for one that is returned.
	dense = 8
)

func (p *pager) read(from uint64) error {
	from = max(from, p.l.first.Load())
	if from > p.upto {
		return nil
	}
	span := p.upto - from + 1
	if span <= few || isAll(p.sel) {
		return p.scan(from)
	}
	topics, ok, err := p.l.candidates(p.sel, from, span)
	if err != nil {
		return err
	}
	// Each candidate has an entry in what is left, so that one in dense is
	// returned, at least, if all are looked at.
	if !ok || uint64(len(topics))*dense > span {
		return p.scan(from)
	}
	return p.merge(topics, from)
}

// add appends an entry to the page, and reports whether there is room for more.
func (p *pager) add(seq uint64, value []byte) (bool, error) {
	e, err := p.l.decodeEntry(seq, value)
	if err != nil {
		return false, err
	}
	p.entries = append(p.entries, e)
	p.size += sizeOf(&e)
	p.full = p.size >= p.limit
	return !p.full, nil
}

// scan looks at one entry after the other.
func (p *pager) scan(from uint64) error {
	if from > p.upto {
		return nil
	}
	iter, err := p.l.entries(from, p.upto)
	if err != nil {
		return err
	}
	m := newRecordMatcher(p.sel)
	looked := 0
	for valid := iter.First(); valid; valid = iter.Next() {
		if looked++; looked%1024 == 0 && p.ctx.Err() != nil {
			iter.Close()
			return context.Cause(p.ctx)
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			iter.Close()
			return err
		}
		wanted, err := m.matches(value)
		more := true
		if err == nil && wanted {
			more, err = p.add(seqOf(iter.Key()), value)
		}
		if err != nil {
			iter.Close()
			return err
		}
		if !more {
			break
		}
	}
	return iter.Close()
}

// entries iterates over the entries of a range of numbers.
func (l *Log) entries(from, upto uint64) (*pebble.Iterator, error) {
	return l.db.NewIter(&pebble.IterOptions{
		LowerBound: numberKey(nil, entryKey, from), UpperBound: numberKey(nil, entryKey, upto+1),
	})
}

// isAll reports whether a selection matches everything.
func isAll(sel *sse.Selection) bool {
	return sel == nil || slices.ContainsFunc(sel.Patterns,
		func(p sse.Pattern) bool { return p.String() == "**" })
}

// recordMatcher reports which records a selection matches.
type recordMatcher struct {
	all     bool
	selects func(topic string) bool // unless all
}

func newRecordMatcher(sel *sse.Selection) *recordMatcher {
	if isAll(sel) {
		return &recordMatcher{all: true}
	}
	return &recordMatcher{selects: matcher.New(sel)}
}

// matches reports whether a record's topics are selected.
func (m *recordMatcher) matches(value []byte) (bool, error) {
	if m.all {
		return true, nil
	}
	h, err := viewHead(value)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(h.topics, m.selects), nil
}
