package segmentlog_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/sse-go/sse"
)

// checkPlaces locates positions, IDs, times and the newest entries.
func (d *damaged) checkPlaces(ctx context.Context, all *sse.Page) error {
	if err := d.model.each(func(r *crashRequest, n, i int) error {
		e := &r.entries[i]
		if r.gone&(1<<i) == 0 && e.Event.ID != "" {
			if err := d.checkID(ctx, [2]int{n, i}, e.Event.ID); err != nil {
				return err
			}
		}
		if (n+i)%5 != 0 && n < len(d.model.requests)-3 || r.at[i].Check == 0 ||
			r.at[i].Epoch != d.epoch {
			return nil
		}
		return d.checkAfter(ctx, [2]int{n, i}, r.at[i], all.Next)
	}); err != nil {
		return err
	}
	for i := 0; i < len(all.Entries); i += 4 {
		if err := d.checkTime(ctx, all.Entries, i); err != nil {
			return err
		}
	}
	return checkNewest(ctx, d.log, all.Entries)
}

func (d *damaged) checkID(ctx context.Context, at [2]int, id string) error {
	page, err := d.log.Locate(ctx, sse.Start{ID: id}, anything)
	seq := d.model.requests[at[0]].at[at[1]].Seq
	switch {
	case err != nil:
		return err
	case d.result[at] != (page.Gap != nil):
		return fmt.Errorf("ID %q: lost %t, gap %s", id, d.result[at], fmt.Sprint(page.Gap))
	case !d.result[at] && page.Next.Seq != seq:
		return fmt.Errorf("ID %q is at %v, want %d", id, page.Next, seq)
	}
	return nil
}

// checkAfter continues after a position that the log returned before the damage.
func (d *damaged) checkAfter(ctx context.Context, at [2]int, p, end sse.Position) error {
	page, err := d.log.Locate(ctx, sse.Start{After: p}, anything)
	switch {
	case err != nil:
		return err
	case end.Epoch != p.Epoch:
		if page.Gap == nil || page.Gap.Why != sse.GapEpoch {
			return fmt.Errorf("%v: a position of the old epoch has the gap %s", at, fmt.Sprint(page.Gap))
		}
	case page.Gap != nil && !d.result[at]:
		return fmt.Errorf("%v: the position has the gap %s", at, fmt.Sprint(page.Gap))
	}
	return nil
}

// checkTime locates the time of an entry. The first entry that is not older must follow.
func (d *damaged) checkTime(ctx context.Context, all []sse.Entry, i int) error {
	at := all[i].Time
	page, err := d.log.Locate(ctx, sse.Start{Time: at}, anything)
	if err != nil {
		return err
	}
	first := slices.IndexFunc(all, func(e sse.Entry) bool { return !e.Time.Before(at) })
	if page.Next.Seq >= all[first].Position.Seq {
		return fmt.Errorf("time %v is after %v, want before %v", at, page.Next, all[first].Position)
	}
	return nil
}

// checkKeys repeats the requests with keys. If the log does not remember a key, it must
// have logged that.
func (d *damaged) checkKeys(ctx context.Context) error {
	for n := range d.model.requests {
		r := d.model.requests[n]
		if r.key == "" {
			continue
		}
		got, err := d.log.Append(ctx, sse.AppendRequest{Entries: r.entries, Key: r.key})
		if err != nil {
			return fmt.Errorf("key of %d: %w", n, err)
		}
		if got.Replayed {
			for i, p := range got.Positions {
				if p.Seq != r.at[i].Seq {
					return fmt.Errorf("key of %d: %v, want %v", n, got.Positions, r.at)
				}
			}
			continue
		}
		if d.told = append(d.told, d.said.take()...); len(d.told) == 0 {
			return fmt.Errorf("the key of %d is forgotten, and nothing is logged", n)
		}
	}
	return nil
}
