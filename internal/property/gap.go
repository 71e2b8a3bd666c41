package property

import (
	"fmt"
	"slices"

	"github.com/sse-go/sse"
)

// checkGap checks the fields of a gap, checks that there is a reason for the gap,
// and continues at the position in its ID.
//
// A gap covers the events after its Asked and up to its Available. The stream
// continues after the gap's ID, so events between the ID and Available that are
// still stored must arrive.
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

// checkPosition checks that p is the position of an event of the life l, or the
// beginning of l. If the event may have been removed, its Check may be 0.
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

// checkAsked checks Asked, the position after which a gap begins. It returns the
// sequence of that position.
func (c *checker) checkAsked(gap *sse.Gap, now *life) (uint64, error) {
	if c.whys != nil && slices.Contains(c.whys, "") {
		// The reason of the gap is not the ID, so the broker has accepted the ID.
		c.enter(now)
		if p, err := sse.ParsePosition(c.attempt.asked); err == nil {
			c.pos, c.minPos = p.Seq, p.Seq
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
		return p.Seq, nil // the broker repeats the ID, and need not know its Check
	}
	if err := c.checkPosition(now, p); err != nil {
		return 0, fmt.Errorf("a gap after %w", err)
	}
	if (p.Seq > c.gapEnd || c.gapEnd == 0) && p.Seq > c.accepted {
		err = c.checkReached(p.Seq)
	}
	return p.Seq, err
}

// checkReached checks that a gap may begin or end at seq. If seq is less than minPos,
// the subscriber must not have received an event after seq: no selected event may
// lie between seq and minPos. Otherwise, each selected event after pos and up to seq
// must be missing for a reason.
func (c *checker) checkReached(seq uint64) error {
	if seq < c.minPos {
		for s := seq + 1; s <= c.minPos; s++ {
			if c.selected(c.life.at(s)) {
				return fmt.Errorf("a gap after %d, although the subscriber has everything up to %d",
					seq, c.minPos)
			}
		}
		return nil
	}
	return c.skip(seq)
}

// checkTrimmed checks a gap with the reason "trimmed": selected events must have
// been removed, and the gap must end at or before a removed event. With LossNew, it
// may end at any event.
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

// lossKnown returns the largest sequence of a lost event that may be the reason for
// a gap up to available. Without a log, this is available. A log reports only its newest
// loss, which may be after available. If the broker still has this newest event in
// memory, the broker sends it. But older events may be lost, so there is a gap for them.
func (c *checker) lossKnown(available uint64) uint64 {
	if c.w.log != nil {
		return c.life.last(c.it.group)
	}
	return available
}

// lostIn reports whether a selected event after after and up to through may have
// been removed.
func (c *checker) lostIn(after, through uint64) bool {
	for seq := after + 1; seq <= through; seq++ {
		if c.lostAt(seq) {
			return true
		}
	}
	return false
}

// lostAt reports whether there is a selected event at seq and it may have been
// removed.
func (c *checker) lostAt(seq uint64) bool {
	e := c.life.at(seq)
	return e != nil && c.selected(e) && c.life.mayBeLost(e, c.it.group, c.it.time)
}

// checkLagging checks a gap with the reason "lagging": the subscriber must have been
// more than its MaxLag or MaxLagBytes behind.
func (c *checker) checkLagging(asked, available uint64) error {
	sel := &c.s.sel
	through := c.life.last(c.it.group)
	from := asked
	if asked != c.latest {
		from = min(asked, c.pos) // Asked may be the end of an earlier gap, after pos
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

// cover checks that every selected event up to the ID of a gap has arrived, or is
// missing for a reason. Then it moves the position of the subscriber to this ID.
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
	c.pos, c.minPos, c.least = id, id, id
	return nil
}

// checkRefusal checks that LossRefuse has ended the stream for a reason: events that
// the subscriber asked for were lost. The subject continues as a new subscriber.
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
	case c.lostIn(c.minPos, through):
		return nil
	}
	return fmt.Errorf("a refusal, although no event was lost after %d", c.minPos)
}

// reset forgets everything about the subject's earlier streams, because a refused
// subject continues as a new subscriber without an ID.
func (c *checker) reset() {
	*c = checker{w: c.w, s: c.s, attempt: c.attempt, it: c.it}
}
