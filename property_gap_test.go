package sse_test

import (
	"fmt"
	"slices"

	"github.com/sse-go/sse"
)

// gotGap checks a gap.
func (c *checker) gotGap(event sse.Event) error {
	gap, err := sse.Decode[sse.Gap](event)
	if err != nil {
		return err
	}
	c.w.count("gap " + gap.Why)
	available, err := sse.ParsePosition(gap.Available)
	if err != nil {
		return err
	}
	id, err := sse.ParsePosition(event.ID)
	if err != nil {
		return err
	}
	now := c.w.lives[c.attempt.life]
	for _, p := range []sse.Position{id, available} {
		if err := c.has(now, p); err != nil && p.String() != c.attempt.asked {
			return fmt.Errorf("a gap with %w", err)
		}
	}
	if available.Seq < id.Seq {
		return fmt.Errorf("a gap whose end %d is before its id %d", available.Seq, id.Seq)
	}
	var asked uint64
	switch first := c.whys; {
	case slices.Contains(first, gap.Why):
		if gap.Asked != c.attempt.asked {
			return fmt.Errorf("a gap after %q, want %q", gap.Asked, c.attempt.asked)
		}
		if c.s.sel.Loss == sse.LossRefuse {
			return fmt.Errorf("a gap for one that wants to be refused")
		}
		c.life = nil
		c.settle(now)
		c.synced = 0
		if available != id && !c.w.forgotten(now, c.it.group) && !c.lostAt(available.Seq) &&
			!c.lostIn(available.Seq, c.lossKnown(available.Seq)) {
			return fmt.Errorf("a gap up to %d, where nothing was lost", available.Seq)
		}
	case gap.Why == "trimmed" || gap.Why == "lagging":
		if asked, err = c.askedIn(&gap, now); err != nil {
			return err
		}
		if gap.Why == "lagging" {
			err = c.lagged(asked, available.Seq)
		} else {
			err = c.trimmed(asked, available.Seq, id.Seq)
		}
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("a gap because of %q, want one of %q", gap.Why, first)
	}
	return c.cover(&gap, available.Seq, id.Seq)
}

// has checks that a position is one of the life. The check of what was removed
// may not be known any more.
func (c *checker) has(l *life, p sse.Position) error {
	e := l.at(p.Seq)
	switch {
	case p.Epoch != l.epoch:
		return fmt.Errorf("a position of another epoch: %v", p)
	case p.Seq == 0 && p.Check == 0, e != nil && e.at == p:
		return nil
	case e != nil && p.Check == 0 && l.mayBeLost(e, c.it.group, c.it.time):
		return nil
	}
	return fmt.Errorf("a position that no event has: %+v", p)
}

// askedIn checks after what a gap says that events are missing.
func (c *checker) askedIn(gap *sse.Gap, now *life) (uint64, error) {
	if c.whys != nil && slices.Contains(c.whys, "") {
		// The position was taken on trust.
		c.settle(now)
		if p, err := sse.ParsePosition(c.attempt.asked); err == nil {
			c.pos, c.opt = p.Seq, p.Seq
		}
		c.whys = nil
	}
	p, err := sse.ParsePosition(gap.Asked)
	switch {
	case err != nil:
		return 0, err
	case c.whys != nil:
		return 0, fmt.Errorf("a gap because of %q, want one of %q", gap.Why, c.whys)
	case c.life != now:
		return 0, fmt.Errorf("a gap because of %q, in another life", gap.Why)
	case p.Seq < c.told:
		return 0, fmt.Errorf("a gap after %d, and one before it up to %d", p.Seq, c.told)
	}
	if c.attempt.asked == gap.Asked && !c.seen {
		return p.Seq, nil // its check may not be known any more
	}
	if err := c.has(now, p); err != nil {
		return 0, fmt.Errorf("a gap after %w", err)
	}
	if (p.Seq > c.told || c.told == 0) && p.Seq > c.accepted {
		err = c.stands(p.Seq)
	}
	return p.Seq, err
}

// stands checks that a place is the one up to which the subscriber has got
// everything: that between it and what is known there is nothing for it.
func (c *checker) stands(seq uint64) error {
	if seq < c.opt {
		for s := seq + 1; s <= c.opt; s++ {
			if c.selected(c.life.at(s)) {
				return fmt.Errorf("a gap after %d, although it has got everything up to %d", seq, c.opt)
			}
		}
		return nil
	}
	return c.skip(seq)
}

// trimmed checks that something of the selection was removed.
func (c *checker) trimmed(asked, available, id uint64) error {
	if c.s.sel.Loss == sse.LossRefuse {
		return fmt.Errorf("a gap for one that wants to be refused")
	}
	if c.w.forgotten(c.life, c.it.group) {
		return nil
	}
	last := c.lossKnown(available)
	if !c.lostIn(asked, last) {
		return fmt.Errorf("a gap from %d to %d, where nothing of the selection was lost", asked, available)
	}
	if !c.lostAt(available) && !c.lostIn(available, last) && !(c.s.sel.Loss == sse.LossNew && available == id) {
		return fmt.Errorf("a gap from %d to %d, where nothing was lost at its end", asked, available)
	}
	return nil
}

// lossKnown is up to where a loss may have been the reason for a gap. A log tells
// the newest alone, which may be one that the broker has in memory: then it is
// not known whether there was another before it.
func (c *checker) lossKnown(available uint64) uint64 {
	if c.w.log != nil {
		return c.life.last(c.it.group)
	}
	return available
}

func (c *checker) lostIn(after, through uint64) bool {
	for seq := after + 1; seq <= through; seq++ {
		if c.lostAt(seq) {
			return true
		}
	}
	return false
}

// lostAt reports whether an event of the selection may have been removed.
func (c *checker) lostAt(seq uint64) bool {
	e := c.life.at(seq)
	return e != nil && c.selected(e) && c.life.mayBeLost(e, c.it.group, c.it.time)
}

// lagged checks that the subscriber was too far behind.
func (c *checker) lagged(asked, available uint64) error {
	sel := &c.s.sel
	through := c.life.last(c.it.group)
	from := asked
	if asked != c.latest {
		from = min(asked, c.pos) // as a gap before this one reached further
	}
	events, bytes := c.life.behind(sel, from, through)
	if events <= sel.MaxLag && bytes <= sel.MaxLagBytes {
		return fmt.Errorf("a gap from %d to %d because of %d events and %d bytes behind, "+
			"of which it may have %d and %d", asked, available, events, bytes, sel.MaxLag, sel.MaxLagBytes)
	}
	c.w.count("lagging " + string(sel.Lag))
	switch sel.Lag {
	case sse.LagSkip:
		// If something was lost as well, LossNew may have gone further.
		c.skipped = available
		c.wantNewest = sel.Loss != sse.LossNew || !c.lostIn(asked, c.lossKnown(available))
	case sse.LagLatest:
		c.latest = available
	default:
		return fmt.Errorf("a gap because it lags, which is not its policy")
	}
	return nil
}

// cover moves on to the id of a gap.
func (c *checker) cover(gap *sse.Gap, available, id uint64) error {
	if c.s.sel.Loss == sse.LossNew && gap.Why != "lagging" {
		newest := min(c.attempt.from, c.life.last(c.attempt.group))
		if id != available || id < newest {
			return fmt.Errorf("a gap up to %d and the id %d, for one that wants only what is new, "+
				"after %d", available, id, newest)
		}
		c.onlyNew = id
	}
	c.whys = nil
	c.told = available
	c.seen, c.opening = true, false
	if id < c.pos {
		if err := c.stands(id); err != nil {
			return err
		}
	} else if err := c.skip(id); err != nil {
		return err
	}
	c.pos, c.opt, c.least = id, id, id
	return nil
}

// refused checks that something which the subscriber asked for is gone.
func (c *checker) refused() error {
	c.w.count("refused")
	defer c.forget()
	if c.s.sel.Loss != sse.LossRefuse {
		return fmt.Errorf("it was refused, which is not its policy")
	}
	if c.life == nil {
		c.settle(c.w.lives[c.attempt.life])
	}
	through := c.life.last(c.it.group)
	switch {
	case c.whys != nil, c.w.forgotten(c.life, c.it.group):
		return nil
	case c.lostIn(c.opt, through):
		return nil
	}
	return fmt.Errorf("it was refused, and nothing was lost after %d", c.opt)
}

// forget makes it a new subscriber, without an id.
func (c *checker) forget() {
	*c = checker{w: c.w, s: c.s, attempt: c.attempt, it: c.it}
}
