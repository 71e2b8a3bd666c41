package ssetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/sse-go/sse"
)

// plenty is a limit in which everything has room.
const plenty = 1 << 30

// tested is a log under test. Its methods fail the case where the log returns an
// error.
type tested struct {
	*kit
	log sse.EventLog
	all []sse.Entry // those that were appended, with their positions
}

func (k *kit) open(rules ...Retention) *tested {
	log := k.opts.Open(k.tb, EventLogSetup{Retention: rules, Now: k.clock})
	return &tested{kit: k, log: log}
}

// append appends entries at once, and returns them with their positions.
func (l *tested) append(entries ...sse.Entry) []sse.Entry {
	positions, err := l.log.Append(l.ctx, entries...)
	if err != nil || len(positions) != len(entries) {
		l.stop(fmt.Sprintf("Append of %d entries", len(entries)),
			fmt.Sprintf("%d positions, error %v", len(positions), err), "a position for each")
	}
	l.note(entries, positions)
	return l.all[len(l.all)-len(entries):]
}

// appendSome appends entries where that may fail, and returns the error. The log
// has kept those that it has returned positions of.
func (l *tested) appendSome(ctx context.Context, entries ...sse.Entry) error {
	positions, err := l.log.Append(ctx, entries...)
	if len(positions) > len(entries) || err == nil && len(positions) < len(entries) {
		l.stop(fmt.Sprintf("Append of %d entries", len(entries)),
			fmt.Sprintf("%d positions, error %v", len(positions), err),
			"a position for each, or an error and a position for each that is kept")
	}
	l.note(entries, positions)
	return err
}

func (l *tested) note(entries []sse.Entry, positions []sse.Position) {
	for i, p := range positions {
		entry := entries[i]
		entry.Position = p
		l.all = append(l.all, entry)
	}
}

// trim has the log remove what its retention does not keep.
func (l *tested) trim() {
	if l.opts.Trim != nil {
		l.opts.Trim(l.tb, l.log)
	}
}

// reopen closes the log and opens it again.
func (l *tested) reopen() { l.log = l.opts.Reopen(l.tb, l.log) }

// end is the position of the newest entry.
func (l *tested) end() sse.Position {
	if len(l.all) == 0 {
		return sse.Position{}
	}
	return l.all[len(l.all)-1].Position
}

func (l *tested) read(after, through sse.Position, sel sse.Selection, limit int) sse.Page {
	page, err := l.log.Read(l.ctx, after, through, sel, limit)
	if err != nil {
		l.stop(fmt.Sprintf("Read of %s, after %d, through %d", show(sel), after.Seq, through.Seq),
			err, "no error")
	}
	return page
}

// readAll reads a page after the other until there are no more.
func (l *tested) readAll(
	after, through sse.Position, sel sse.Selection, limit int,
) []sse.Entry {
	var all []sse.Entry
	for {
		page := l.read(after, through, sel, limit)
		if len(page.Entries) == 0 {
			return all
		}
		all = append(all, page.Entries...)
		if page.Next.Seq <= after.Seq || len(all) > 2*len(l.all)+10 {
			l.stop(fmt.Sprintf("Next of a page of %s after %d, which is not empty",
				show(sel), after.Seq), fmt.Sprintf("%d, after %s", page.Next.Seq, showEntries(all)),
				"a place further on")
		}
		after = page.Next
	}
}

// kept is all that a selection gets, from the beginning.
func (l *tested) kept(sel sse.Selection) []sse.Entry {
	return l.readAll(sse.Position{}, sse.Position{}, sel, plenty)
}

// selected are those of all that a selection matches.
func selected(all []sse.Entry, sel sse.Selection) []sse.Entry {
	var some []sse.Entry
	for _, entry := range all {
		if sel.Match(entry.Topics) {
			some = append(some, entry)
		}
	}
	return some
}

func (l *tested) locate(start sse.Start, sel sse.Selection) sse.Position {
	p, err := l.log.Locate(l.ctx, start, sel)
	if err != nil {
		l.stop("Locate of "+showStart(start)+" for "+show(sel), err, "no error")
	}
	return p
}

// refused checks that Locate finds a gap, and how it tells.
func (l *tested) refused(start sse.Start, sel sse.Selection, whys ...string) {
	what := "Locate of " + showStart(start) + " for " + show(sel)
	p, err := l.log.Locate(l.ctx, start, sel)
	var gap *sse.Gap
	if !errors.As(err, &gap) {
		l.found(what, fmt.Sprintf("position %s, error %v", showPosition(p), err),
			fmt.Sprintf("a *Gap, because of %q", whys))
		return
	}
	right := false
	for _, why := range whys {
		right = right || gap.Why == why
	}
	asked := start.ID
	if asked == "" {
		asked = start.After.String()
	}
	if !right || gap.Asked != asked || gap.Available != p.String() {
		l.found(what, fmt.Sprintf("%+v", *gap), fmt.Sprintf("Asked %q, Available %q, Why %q",
			asked, p, whys))
	}
	l.equalPositions(what+": the position with the gap, which is where the log begins",
		p, l.locate(sse.Start{Earliest: true}, sel))
}

func showStart(start sse.Start) string {
	switch {
	case start.After != (sse.Position{}):
		return "After " + showPosition(start.After)
	case start.ID != "":
		return fmt.Sprintf("ID %q", start.ID)
	case start.Last != 0:
		return fmt.Sprintf("Last %d", start.Last)
	case !start.Time.IsZero():
		return fmt.Sprintf("Time %d", start.Time.UnixNano())
	case start.Earliest:
		return "Earliest"
	}
	return "the zero Start"
}

// begins checks what follows the position that Locate finds.
func (l *tested) begins(what string, start sse.Start, sel sse.Selection, want []sse.Entry) {
	p := l.locate(start, sel)
	l.same("what follows "+what+", for "+show(sel),
		l.readAll(p, sse.Position{}, sel, plenty), want)
}
