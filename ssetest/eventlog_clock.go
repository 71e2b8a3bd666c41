package ssetest

import (
	"fmt"
	"time"

	"github.com/sse-go/sse"
)

const whyClock = "the clock of a machine is sometimes corrected, and may then be set back"

// clockCases test a log whose clock is set back.
var clockCases = []eventLogCase{
	{
		name:    "clock/entries",
		promise: "Append stores the Time of an entry, even if an earlier entry has a later Time",
		why:     whyClock,
		run: func(k *kit) {
			l := k.open()
			l.appendWithClockSetBack()
			k.equalEntries("the entries from Read", l.readAll(everything), l.appended)
		},
	},
	{
		name: "clock/locate",
		promise: "Time begins with the first selected event that was published at that time or " +
			"later, even if events after it have earlier times",
		why: whyClock,
		run: func(k *kit) {
			l := k.open()
			l.appendWithClockSetBack()
			for _, entry := range l.appended {
				for _, sel := range []sse.Selection{topics("a"), topics("b"), everything} {
					var want []sse.Entry
					for _, other := range filter(l.appended, sel) {
						if len(want) > 0 || !other.Time.Before(entry.Time) {
							want = append(want, other)
						}
					}
					l.checkStart(fmt.Sprintf("the time of %q, after the clock was set back",
						entry.Event.Data), sse.Start{Time: entry.Time}, sel, want)
				}
			}
		},
	},
	{
		name: "clock/retention",
		promise: "under a rule with Age, the log removes no entry that is younger than Age, even " +
			"if it stored the entries in another order than their times; later it removes every " +
			"entry that is too old",
		why:   whyClock,
		needs: needAge,
		run: func(k *kit) {
			const age = time.Hour
			l := k.open(Retention{Age: age})
			l.append(k.entry("on time", "a"))
			k.setClock(k.clock().Add(50 * time.Minute))
			l.append(k.entry("ahead", "a"))
			k.setClock(k.clock().Add(-49 * time.Minute))
			l.append(k.entry("set back", "a"))
			l.trim()
			k.equalEntries("the stored entries, all younger than the rule's age",
				l.readAll(everything), l.appended)
			k.setClock(k.clock().Add(2 * l.maxAge(age)))
			last := l.append(k.entry("much later", "a"))
			l.trim()
			k.equalEntries("the stored entries, of which all but the last are too old",
				l.readAll(everything), last)
		},
	},
}

// appendWithClockSetBack appends three groups of four entries to two topics in turn,
// and sets the clock back after each group.
func (l *testLog) appendWithClockSetBack() {
	for round := range 3 {
		for i := range 4 {
			l.append(l.entry(fmt.Sprintf("%d.%d", round, i), []string{"a", "b"}[i%2]))
			l.setClock(l.clock().Add(time.Second))
		}
		l.setClock(l.clock().Add(-6 * time.Second))
	}
}
