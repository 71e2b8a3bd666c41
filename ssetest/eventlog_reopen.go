package ssetest

import (
	"fmt"
	"slices"

	"github.com/sse-go/sse"
)

const whyReopen = "clients come back after a restart with the positions that they had, and must " +
	"get exactly what they miss"

var reopenCases = []eventLogCase{
	{
		name:    "reopen/entries",
		promise: "what Append has returned outlives the process: entries, positions, times, epoch",
		why:     whyReopen,
		needs:   needReopen,
		run: func(k *kit) {
			l := k.open()
			beginning := l.locate(sse.Start{}, everything)
			for _, event := range k.strangeEvents() {
				entry := k.entry("", "b")
				entry.Event = event
				l.append(entry)
			}
			for round := range 3 {
				l.append(k.entries(5, "a", "é \"*\"")...)
				last := l.append(k.entry("the last", "c"))[0].Position
				l.reopen()
				what := fmt.Sprintf(", after the log was opened again, %d times", round+1)
				k.same("what Read shows"+what, l.kept(everything), l.all)
				k.same("what Follow shows"+what, l.follow(sse.Position{}).take(len(l.all)), l.all)
				k.equalPositions("the end"+what, l.locate(sse.Start{}, everything), last)
				for _, entry := range l.all {
					l.comesBack("an entry, before the log was opened again", entry.Position)
				}
				l.comesBack("the empty log", beginning)
			}
			l.followsOn()
		},
	},
	{
		name:    "reopen/empty",
		promise: "an empty log keeps its epoch, too",
		why:     "whoever has subscribed before the first event comes back with it",
		needs:   needReopen,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			l.reopen()
			k.equalPositions("the end, after the log was opened again",
				l.locate(sse.Start{}, everything), empty)
			l.comesBack("the empty log", empty)
			l.append(k.entry("the first", "a"))
			k.same("what follows that", l.readAll(empty, sse.Position{}, everything, plenty), l.all)
			if got := l.end().Epoch; got != empty.Epoch {
				k.found("the epoch of the first entry", got, empty.Epoch)
			}
		},
	},
	{
		name:    "reopen/numbers",
		promise: "no number is used twice in an epoch",
		why:     "a client's position would be that of another event",
		needs:   needReopen,
		run: func(k *kit) {
			l := k.open()
			for i := range 5 {
				l.append(k.entries(1+i, "a")...)
				if k.opts.Fail != nil {
					k.opts.Fail(l.log, 1)
					_ = l.appendSome(k.ctx, k.entries(3, "a")...) // says what it has kept
				}
				l.reopen()
			}
			l.append(k.entry("the last", "a"))
			seen := make(map[uint64]string)
			for _, entry := range l.all {
				p := entry.Position
				if other, ok := seen[p.Seq]; ok {
					k.found(fmt.Sprintf("what has the number %d", p.Seq), "both "+other+" and "+
						quote(entry.Event.Data), "one of them")
				}
				seen[p.Seq] = quote(entry.Event.Data)
				if p.Epoch != l.all[0].Position.Epoch {
					k.found("the epoch, after the log was opened again", p.Epoch,
						l.all[0].Position.Epoch)
				}
			}
			k.same("what Read shows", l.kept(everything), l.all)
		},
	},
	{
		name:    "reopen/ids",
		promise: "the ids that applications give are known after a restart, too",
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
				k.equalPositions(fmt.Sprintf("ID %q, after the log was opened again", id),
					l.locate(sse.Start{ID: id}, topics("a")), l.all[i].Position)
			}
			l.refused(sse.Start{ID: "4"}, topics("a"), "unknown")
		},
	},
	{
		name:    "reopen/lost",
		promise: "what was removed is still told after a restart",
		why:     whyLost,
		needs:   needReopen | needRetention,
		run: func(k *kit) {
			k.eachTrimmed(func(l *tested, what string, kept []sse.Entry) {
				l.reopen()
				what += ", and the log was opened again"
				k.same(what+": what is kept", l.kept(everything), kept)
				l.lost(what, kept, topics("a"), topics("early"), topics("late"), everything)
				l.followsOn()
			})
		},
	},
	{
		name: "reopen/lost-tail",
		promise: "a log that has lost entries which were kept, or whose numbers others have now, " +
			"says so to whoever comes with the position of one",
		why:   whyResume,
		needs: needLose,
		run:   reopenLostTail,
	},
}

// followsOn checks that what is appended next has its place after all others.
func (l *tested) followsOn() {
	end := l.end()
	next := l.append(l.entry("next", "a"))
	if p := next[0].Position; p.Epoch != end.Epoch || p.Seq <= end.Seq {
		l.found("the next position", showPosition(p), "one after "+showPosition(end))
	}
	l.same("what follows the end", l.readAll(end, sse.Position{}, everything, plenty), next)
}

func reopenLostTail(k *kit) {
	const n, lost = 10, 4
	l := k.open()
	l.append(k.entries(n, "a")...)
	before := l.all
	l.log = k.opts.Lose(k.tb, l.log, lost)
	l.all = slices.Clone(before[:n-lost])
	kept := l.kept(everything)
	if len(kept) != len(l.all) {
		k.stop("what is kept", showEntries(kept), showEntries(l.all))
	}
	for i, entry := range kept {
		if !equalContent(entry, l.all[i]) {
			k.found("what is kept", showEntry(entry), showEntry(l.all[i]))
		}
	}
	refused := func() {
		for _, entry := range before[n-lost:] {
			l.refused(sse.Start{After: entry.Position}, topics("a"), "epoch", "future", "check")
		}
	}
	refused()
	l.append(k.entries(lost+2, "b")...) // with other data
	refused()
	for _, entry := range l.all[:n-lost] {
		// Another epoch is as good: the log need not know what exactly it has lost.
		start := sse.Start{After: entry.Position}
		if p, err := l.log.Locate(k.ctx, start, everything); err == nil {
			k.equalPositions("After an entry that is kept", p, entry.Position)
		} else {
			l.refused(start, everything, "epoch")
		}
	}
}
