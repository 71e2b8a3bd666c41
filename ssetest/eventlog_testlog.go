package ssetest

import (
	"context"
	"fmt"

	"github.com/sse-go/sse"
)

// unlimited is a page limit that is larger than everything a case appends.
const unlimited = 1 << 30

// testLog wraps the log that is tested. If the log returns an error, a method of
// testLog either returns this error or records a failure. The methods append, read and
// locate, and all methods that call them, then also end the case.
type testLog struct {
	*kit
	log      sse.EventLog
	appended []sse.Entry // all entries that were ever stored, in order, with their positions
}

// open opens a new log with retention rules.
func (k *kit) open(rules ...Retention) *testLog {
	log := k.opts.Open(k.tb, EventLogSetup{Retention: rules, Now: k.clock})
	return &testLog{kit: k, log: log}
}

// append appends entries with one call of Append and returns them with their
// positions.
func (l *testLog) append(entries ...sse.Entry) []sse.Entry {
	result, err := l.log.Append(l.ctx, sse.AppendRequest{Entries: entries})
	positions := result.Positions
	if err != nil || len(positions) != len(entries) {
		l.fatal(fmt.Sprintf("Append of %d entries", len(entries)),
			fmt.Sprintf("%d positions, error %v", len(positions), err),
			"one position for each entry, and no error")
	}
	l.record(entries, positions)
	return l.appended[len(l.appended)-len(entries):]
}

// tryAppend appends entries with a call of Append that may fail, and returns the error
// of Append. It adds the entries for which Append has returned positions to
// l.appended.
func (l *testLog) tryAppend(ctx context.Context, entries ...sse.Entry) error {
	result, err := l.log.Append(ctx, sse.AppendRequest{Entries: entries})
	positions := result.Positions
	if len(positions) > len(entries) || err == nil && len(positions) < len(entries) {
		l.fatal(fmt.Sprintf("Append of %d entries", len(entries)),
			fmt.Sprintf("%d positions, error %v", len(positions), err),
			"one position for each stored entry, and an error unless all are stored")
	}
	l.record(entries, positions)
	return err
}

// record adds the entries that have positions to l.appended.
func (l *testLog) record(entries []sse.Entry, positions []sse.Position) {
	if len(positions) > len(entries) {
		l.fatal("Append", fmt.Sprintf("%d positions", len(positions)),
			fmt.Sprintf("at most %d, one for each entry", len(entries)))
	}
	for i, p := range positions {
		entry := entries[i]
		entry.Position = p
		l.appended = append(l.appended, entry)
	}
}

// trim makes the log remove the entries that exceed its retention. If the options have
// no Trim, Append has already removed these entries.
func (l *testLog) trim() {
	if l.opts.Trim != nil {
		l.opts.Trim(l.tb, l.log)
	}
}

// reopen replaces the log by the result of Reopen.
func (l *testLog) reopen() { l.log = l.opts.Reopen(l.tb, l.log) }

// end returns the position of the newest entry that was stored, or zero.
func (l *testLog) end() sse.Position {
	if len(l.appended) == 0 {
		return sse.Position{}
	}
	return l.appended[len(l.appended)-1].Position
}

func (l *testLog) read(after, through sse.Position, sel sse.Selection, limit int) sse.Page {
	page, err := l.log.Read(l.ctx, sse.ReadRequest{
		After: after, Through: through, Selection: sel, Limit: limit,
	})
	if err != nil {
		l.fatal(fmt.Sprintf("Read for %s, after %d, through %d",
			showSelection(sel), after.Seq, through.Seq), err, "no error")
	}
	return page
}

// readPages reads page after page until a page is empty, and returns all entries. Each
// page begins after the Next of the page before it.
func (l *testLog) readPages(
	after, through sse.Position, sel sse.Selection, limit int,
) []sse.Entry {
	var all []sse.Entry
	for {
		page := l.read(after, through, sel, limit)
		if len(page.Entries) == 0 {
			return all
		}
		all = append(all, page.Entries...)
		if page.Next.Seq <= after.Seq || len(all) > 2*len(l.appended)+10 {
			l.fatal(fmt.Sprintf("Next of a page with entries, for %s, after %d",
				showSelection(sel), after.Seq),
				fmt.Sprintf("number %d, after reading %s", page.Next.Seq, showEntries(all)),
				"the number of the last entry in the page, or a later one")
		}
		after = page.Next
	}
}

// readAll returns all stored entries that sel matches.
func (l *testLog) readAll(sel sse.Selection) []sse.Entry {
	return l.readPages(sse.Position{}, sse.Position{}, sel, unlimited)
}

// filter returns the entries that sel matches.
func filter(entries []sse.Entry, sel sse.Selection) []sse.Entry {
	var matching []sse.Entry
	for _, entry := range entries {
		if sel.Match(entry.Topics) {
			matching = append(matching, entry)
		}
	}
	return matching
}

func (l *testLog) locate(start sse.Start, sel sse.Selection) sse.Position {
	page, err := l.log.Locate(l.ctx, start, sel)
	subject := "Locate with " + showStart(start) + ", for " + showSelection(sel)
	switch {
	case err != nil:
		l.fatal(subject, err, "no error")
	case page.Gap != nil:
		l.fatal(subject, page.Gap, "no gap")
	}
	return page.Next
}

// checkGap checks that Locate returns a gap whose Why is one of whys. It also checks
// the other fields of the gap, and the position that Locate returns with the gap.
func (l *testLog) checkGap(start sse.Start, sel sse.Selection, whys ...sse.GapReason) {
	subject := "Locate with " + showStart(start) + ", for " + showSelection(sel)
	page, err := l.log.Locate(l.ctx, start, sel)
	p, gap := page.Next, page.Gap
	if err != nil || gap == nil {
		l.fail(subject, fmt.Sprintf("position %s, error %v", showPosition(p), err),
			fmt.Sprintf("a gap with one of Why %q, and no error", whys))
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
		l.fail(subject, fmt.Sprintf("%+v", *gap),
			fmt.Sprintf("a gap with Asked %q, Available %q, and one of Why %q", asked, p, whys))
	}
	l.equalPositions(subject+": the position beside the gap, against the result for Earliest",
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

// checkStart checks that the entries after the position that Locate returns for start
// are want.
func (l *testLog) checkStart(
	subject string, start sse.Start, sel sse.Selection, want []sse.Entry,
) {
	p := l.locate(start, sel)
	l.equalEntries(subject+", for "+showSelection(sel)+": the entries after the result of Locate",
		l.readPages(p, sse.Position{}, sel, unlimited), want)
}
