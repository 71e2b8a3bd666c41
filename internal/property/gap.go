package property

import (
	"fmt"
	"slices"

	"github.com/sse-go/sse"
)

// checkGap checks a gap.
func (c *checker) checkGap(event sse.Event) error {
	gap, err := sse.Decode[sse.Gap](event)
	if err != nil {
		return err
	}
	c.w.count("gap " + string(gap.Why))
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
		if err := c.checkPosition(now, p); err != nil && p.String() != c.attempt.asked {
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
			return fmt.Errorf("a gap, although the policy is LossRefuse")
		}
		c.life = nil
		c.enter(now)
		c.synced = 0
		if available != id && !c.w.inexact(now, c.it.group) && !c.lostAt(available.Seq) &&
			!c.lostIn(available.Seq, c.lossKnown(available.Seq)) {
			return fmt.Errorf("a gap up to %d, where no event was lost", available.Seq)
		}
	case gap.Why == "trimmed" || gap.Why == "lagging":
		if asked, err = c.checkAsked(&gap, now); err != nil {
			return err
		}
		if gap.Why == "lagging" {
			err = c.checkLagging(asked, available.Seq)
		} else {
			err = c.checkTrimmed(asked, available.Seq, id.Seq)
		}
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("a gap with the reason %q, want one of %q", gap.Why, first)
	}
	return c.cover(&gap, available.Seq, id.Seq)
}

// checkPosition checks that a position is in a life. If the event may have been
// removed, its check may be 0.
func (c *checker) checkPosition(l *life, p sse.Position) error {
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

// checkAsked checks the position after which a gap begins, and returns its
// sequence.
func (c *checker) checkAsked(gap *sse.Gap, now *life) (uint64, error) {
	if c.whys != nil && slices.Contains(c.whys, "") {
		// The broker has trusted the id of the request.
		c.enter(now)
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
		return 0, fmt.Errorf("a gap with the reason %q, want one of %q", gap.Why, c.whys)
	case c.life != now:
		return 0, fmt.Errorf("a gap with the reason %q, in another life", gap.Why)
	case p.Seq < c.gapEnd:
		return 0, fmt.Errorf("a gap after %d, inside the gap before it up to %d", p.Seq, c.gapEnd)
	}
	if c.attempt.asked == gap.Asked && !c.seen {
		return p.Seq, nil // the broker may have forgotten the check of this position
	}
	if err := c.checkPosition(now, p); err != nil {
		return 0, fmt.Errorf("a gap after %w", err)
	}
	if (p.Seq > c.gapEnd || c.gapEnd == 0) && p.Seq > c.accepted {
		err = c.checkReached(p.Seq)
	}
	return p.Seq, err
}

// checkReached checks that the subscriber has received everything up to seq and
// nothing after it: no selected event may lie between seq and the range opt to
// pos.
func (c *checker) checkReached(seq uint64) error {
	if seq < c.opt {
		for s := seq + 1; s <= c.opt; s++ {
			if c.selected(c.life.at(s)) {
				return fmt.Errorf("a gap after %d, although the subscriber has everything up to %d",
					seq, c.opt)
			}
		}
		return nil
	}
	return c.skip(seq)
}

// checkTrimmed checks that selected events were removed, and that the gap ends
// at a removed event.
func (c *checker) checkTrimmed(asked, available, id uint64) error {
	if c.s.sel.Loss == sse.LossRefuse {
		return fmt.Errorf("a gap, although the policy is LossRefuse")
	}
	if c.w.inexact(c.life, c.it.group) {
		return nil
	}
	last := c.lossKnown(available)
	if !c.lostIn(asked, last) {
		return fmt.Errorf("a gap from %d to %d, where no selected event was lost", asked, available)
	}
	if !c.lostAt(available) && !c.lostIn(available, last) &&
		!(c.s.sel.Loss == sse.LossNew && available == id) {
		return fmt.Errorf("a gap from %d to %d, whose end is not a lost event", asked, available)
	}
	return nil
}

// lossKnown returns the sequence up to which a loss may have been the reason
// for a gap up to available. A log returns only its newest loss. If the broker
// still has that event in memory, it cannot know whether another event was lost
// before it.
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

// checkLagging checks that the subscriber was too far behind.
func (c *checker) checkLagging(asked, available uint64) error {
	sel := &c.s.sel
	through := c.life.last(c.it.group)
	from := asked
	if asked != c.latest {
		from = min(asked, c.pos) // the gap before this one may have ended after pos
	}
	events, bytes := c.life.behind(sel, from, through)
	if events <= sel.MaxLag && bytes <= sel.MaxLagBytes {
		return fmt.Errorf("a gap from %d to %d with a lag of %d events and %d bytes, "+
			"but the limits are %d and %d", asked, available, events, bytes, sel.MaxLag, sel.MaxLagBytes)
	}
	c.w.count("lagging " + string(sel.Lag))
	switch sel.Lag {
	case sse.LagSkip:
		// If events were lost as well, LossNew may have skipped more.
		c.skipped = available
		c.wantNewest = sel.Loss != sse.LossNew || !c.lostIn(asked, c.lossKnown(available))
	case sse.LagLatest:
		c.latest = available
	default:
		return fmt.Errorf("a gap because of lag, but the policy is %q", sel.Lag)
	}
	return nil
}

// cover updates the position of the subscriber to the id of a gap.
func (c *checker) cover(gap *sse.Gap, available, id uint64) error {
	if c.s.sel.Loss == sse.LossNew && gap.Why != "lagging" {
		newest := min(c.attempt.from, c.life.last(c.attempt.group))
		if id != available || id < newest {
			return fmt.Errorf("a gap up to %d with the id %d, but LossNew continues after %d",
				available, id, newest)
		}
		c.onlyNew = id
	}
	c.whys = nil
	c.gapEnd = available
	c.seen, c.opening = true, false
	if id < c.pos {
		if err := c.checkReached(id); err != nil {
			return err
		}
	} else if err := c.skip(id); err != nil {
		return err
	}
	c.pos, c.opt, c.least = id, id, id
	return nil
}

// checkRefusal checks that events the subscriber asked for were lost.
func (c *checker) checkRefusal() error {
	c.w.count("refused")
	defer c.reset()
	if c.s.sel.Loss != sse.LossRefuse {
		return fmt.Errorf("a refusal, but the policy is %q", c.s.sel.Loss)
	}
	if c.life == nil {
		c.enter(c.w.lives[c.attempt.life])
	}
	through := c.life.last(c.it.group)
	switch {
	case c.whys != nil, c.w.inexact(c.life, c.it.group):
		return nil
	case c.lostIn(c.opt, through):
		return nil
	}
	return fmt.Errorf("a refusal, although no event was lost after %d", c.opt)
}

// reset makes the subject a new subscriber without an id.
func (c *checker) reset() {
	*c = checker{w: c.w, s: c.s, attempt: c.attempt, it: c.it}
}
