package ssetest

import (
	"fmt"
	"slices"

	"github.com/sse-go/sse"
)

const whyReopen = "after a restart, clients reconnect with positions from before the restart, " +
	"and must receive exactly the events that they missed"

var reopenCases = []eventLogCase{
	{
		name: "reopen/entries",
		promise: "entries whose positions Append has returned survive a restart, with their " +
			"positions, times and epoch",
		why:   whyReopen,
		needs: needReopen,
		run: func(k *kit) {
			l := k.open()
			beginning := l.locate(sse.Start{}, everything)
			for _, event := range k.unusualEvents() {
				entry := k.entry("", "b")
				entry.Event = event
				l.append(entry)
			}
			for round := range 3 {
				l.append(k.entries(5, "a", "é \"*\"")...)
				last := l.append(k.entry("the last", "c"))[0].Position
				l.reopen()
				when := fmt.Sprintf(", after %d calls of Reopen", round+1)
				k.equalEntries("the entries from Read"+when, l.readAll(everything), l.appended)
				k.equalEntries("the entries from Follow"+when,
					l.follow(sse.Position{}).take(len(l.appended)), l.appended)
				k.equalPositions("the end of the log"+when, l.locate(sse.Start{}, everything), last)
				for _, entry := range l.appended {
					l.checkResume("an entry before Reopen", entry.Position)
				}
				l.checkResume("the empty log before Reopen", beginning)
			}
			l.checkNext()
		},
	},
	{
		name:    "reopen/empty",
		promise: "an empty log has the same epoch after a restart",
		why:     "a client that subscribed before the first event reconnects with that epoch",
		needs:   needReopen,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			l.reopen()
			k.equalPositions("the end of the empty log, after Reopen",
				l.locate(sse.Start{}, everything), empty)
			l.checkResume("the empty log before Reopen", empty)
			l.append(k.entry("the first", "a"))
			k.equalEntries("the entries after the position of the empty log",
				l.readPages(empty, sse.Position{}, everything, unlimited), l.appended)
			if got := l.end().Epoch; got != empty.Epoch {
				k.fail("the epoch of the first entry, against that before Reopen", got, empty.Epoch)
			}
		},
	},
	{
		name:    "reopen/numbers",
		promise: "a log uses no number twice in an epoch",
		why:     "the position of a client would name a different event",
		needs:   needReopen,
		run: func(k *kit) {
			l := k.open()
			for i := range 5 {
				l.append(k.entries(1+i, "a")...)
				if k.opts.Fail != nil {
					k.opts.Fail(l.log, 1)
					_ = l.tryAppend(k.ctx, k.entries(3, "a")...) // stores at most one entry
				}
				l.reopen()
			}
			l.append(k.entry("the last", "a"))
			seen := make(map[uint64]string)
			for _, entry := range l.appended {
				p := entry.Position
				if other, ok := seen[p.Seq]; ok {
					k.fail(fmt.Sprintf("the entries with the number %d", p.Seq), "data "+other+
						" and data "+quote(entry.Event.Data), "one entry")
				}
				seen[p.Seq] = quote(entry.Event.Data)
				if p.Epoch != l.appended[0].Position.Epoch {
					k.fail("the epoch after Reopen", p.Epoch,
						l.appended[0].Position.Epoch)
				}
			}
			k.equalEntries("the entries from Read", l.readAll(everything), l.appended)
		},
	},
	{
		name:    "reopen/ids",
		promise: "after a restart, Locate still finds the ids that applications gave to events",
		why:     whyReopen,
		needs:   needReopen,
		run: func(k *kit) {
			l := k.open()
			for _, id := range []string{"1", "2", "1", "é", "3"} {
				entry := k.entry("with id "+id, "a")
				entry.Event.ID = id
				l.append(entry)
			}
			l.reopen()
			for id, i := range map[string]int{"1": 0, "2": 1, "é": 3, "3": 4} {
				k.equalPositions(fmt.Sprintf("Locate with ID %q, after Reopen", id),
					l.locate(sse.Start{ID: id}, topics("a")), l.appended[i].Position)
			}
			l.checkGap(sse.Start{ID: "4"}, topics("a"), "unknown")
		},
	},
	{
		name:    "reopen/lost",
		promise: "Lost still reports removed entries after a restart",
		why:     whyLost,
		needs:   needReopen | needRetention,
		run: func(k *kit) {
			k.forEachTrimmed(func(l *testLog, subject string, stored []sse.Entry) {
				l.reopen()
				subject += ", after Reopen"
				k.equalEntries(subject+": the stored entries", l.readAll(everything), stored)
				l.checkLost(subject, stored, topics("a"), topics("early"), topics("late"), everything)
				l.checkNext()
			})
		},
	},
	{
		name: "reopen/lost-entries",
		promise: "if a log has lost stored entries, Locate returns a gap for their positions, " +
			"even if other entries now have the same numbers",
		why:   whyResume,
		needs: needLose,
		run:   reopenLostEntries,
	},
}

// checkNext appends an entry, and checks that its position is after the positions of
// all others.
func (l *testLog) checkNext() {
	end := l.end()
	next := l.append(l.entry("next", "a"))
	if p := next[0].Position; p.Epoch != end.Epoch || p.Seq <= end.Seq {
		l.fail("the position of the next entry", showPosition(p), "one after "+showPosition(end))
	}
	l.equalEntries("the entries after the former end",
		l.readPages(end, sse.Position{}, everything, unlimited), next)
}

func reopenLostEntries(k *kit) {
	const n, lost = 10, 4
	l := k.open()
	l.append(k.entries(n, "a")...)
	before := l.appended
	l.log = k.opts.Lose(k.tb, l.log, lost)
	l.appended = slices.Clone(before[:n-lost])
	stored := l.readAll(everything)
	if len(stored) != len(l.appended) {
		k.fatal("the stored entries after Lose", showEntries(stored), showEntries(l.appended))
	}
	for i, entry := range stored {
		if !sameContent(entry, l.appended[i]) {
			k.fail("a stored entry after Lose", showEntry(entry), showEntry(l.appended[i]))
		}
	}
	checkGaps := func() {
		for _, entry := range before[n-lost:] {
			l.checkGap(sse.Start{After: entry.Position}, topics("a"), "epoch", "future", "check")
		}
	}
	checkGaps()
	l.append(k.entries(lost+2, "b")...) // reuse the numbers for other data
	checkGaps()
	for _, entry := range l.appended[:n-lost] {
		// These entries are not lost. But a log that does not know exactly which
		// entries it has lost may draw a new epoch, and refuse these positions, too.
		start := sse.Start{After: entry.Position}
		page, err := l.log.Locate(k.ctx, start, everything)
		if err == nil && page.Gap == nil {
			k.equalPositions("Locate with After a stored entry, after Lose", page.Next, entry.Position)
		} else {
			l.checkGap(start, everything, "epoch")
		}
	}
}
