package ssetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

const (
	whyLost = "Lost reports to a subscriber that events are missing: without Lost, the subscriber " +
		"assumes that it has received all events; if Lost reports events that the subscriber has " +
		"received or did not select, the subscriber starts again without need"
	whyRetention = "a log that removes too little fills the disk, and a log that removes too much " +
		"causes gaps"
)

var retentionCases = []eventLogCase{
	{
		name:    "retention/none",
		promise: "without a retention rule, the log removes no entry, and Lost is zero",
		why:     whyLost,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(300, "a")...)
			l.append(k.entries(300, "b")...)
			l.trim()
			k.equalEntries("the stored entries", l.readAll(everything), l.appended)
			for _, after := range []sse.Position{{}, l.appended[3].Position, l.end()} {
				page := l.read(after, sse.Position{}, topics("a", "no such"), 1)
				k.equalPositions(fmt.Sprintf("Lost, after %d", after.Seq), page.Lost, sse.Position{})
			}
		},
	},
	{
		name: "retention/count",
		promise: "under a rule with Entries, the log stores at least this number of the newest " +
			"entries, and at most this number plus Slack",
		why:   whyRetention,
		needs: needCount,
		run: func(k *kit) {
			const limit = 10
			l := k.open(Retention{Entries: limit})
			for _, n := range []int{1, 8, 1, 1, 7, 25} { // one batch of 25 exceeds the limit
				l.append(k.entries(n, "a")...)
				l.trim()
				stored := len(l.checkNewest(l.appended))
				least, most := min(limit, len(l.appended)), l.maxStored(limit)
				if stored < least || stored > most {
					k.fail(fmt.Sprintf("the number of stored entries, of %d appended",
						len(l.appended)), stored, fmt.Sprintf("%d to %d", least, most))
				}
			}
		},
	},
	{
		name: "retention/bytes",
		promise: "under a rule with Bytes, the log stores at most this number of bytes, plus " +
			"Slack; with entries of 1 KiB, at most half of this number is the log's overhead, " +
			"so the newest entries have at least the other half",
		why:   whyRetention,
		needs: needBytes,
		run: func(k *kit) {
			const limit, size = 64 << 10, 1 << 10
			l := k.open(Retention{Bytes: limit})
			for range 200 {
				l.append(k.entry(strings.Repeat("x", size-1), "a"))
			}
			l.trim()
			stored := size * len(l.checkNewest(l.appended))
			if least, most := limit/2, l.maxStored(limit); stored < least || stored > most {
				k.fail("the bytes of the stored entries", stored,
					fmt.Sprintf("%d to %d", least, most))
			}
		},
	},
	{
		name: "retention/age",
		promise: "under a rule with Age, the log removes every entry that is older than Age, plus " +
			"Slack, and no entry that is younger than Age",
		why:   whyRetention,
		needs: needAge,
		run: func(k *kit) {
			const age = time.Hour
			l := k.open(Retention{Age: age})
			for i := range 10 {
				l.append(k.entry(fmt.Sprint(i), "a"))
				l.trim()
				now := k.clock()
				least, most := 0, 0 // number of stored entries
				for _, entry := range l.appended {
					if now.Sub(entry.Time) < age {
						least++
					}
					if now.Sub(entry.Time) <= l.maxAge(age) {
						most++
					}
				}
				if stored := len(l.checkNewest(l.appended)); stored < least || stored > most {
					k.fail(fmt.Sprintf("the number of stored entries, of %d appended at intervals "+
						"of 25 minutes", len(l.appended)), stored, fmt.Sprintf("%d to %d", least, most))
				}
				k.advance(25 * time.Minute)
			}
		},
	},
	{
		name: "retention/pattern",
		promise: "a rule with a Pattern removes entries of the topics that the pattern matches, " +
			"and no other entries",
		why:   whyRetention,
		needs: needPattern | needRetention,
		run: func(k *kit) {
			k.forEachRule("room/*", func(rule Retention, subject string) {
				l := k.open(rule)
				k.fill(l, "room/1", "other", "room", "room/1/2")
				stored := l.checkNewest(filter(l.appended, topics("room/1")))
				if len(stored) == len(filter(l.appended, topics("room/1"))) {
					k.fail(subject+": the stored entries of topic room/1", "all", "fewer")
				}
				for _, topic := range []string{"other", "room", "room/1/2"} {
					k.equalEntries(subject+": the stored entries of topic "+topic, l.readAll(topics(topic)),
						filter(l.appended, topics(topic)))
				}
				l.checkLost(subject, l.readAll(everything), topics("room/1"), topics("other"),
					topics("room/1", "other"), patterns("room/*"), patterns("room/**"), everything)
			})
		},
	},
	{
		name: "retention/lost",
		promise: "Lost is the position of the newest removed entry that is selected and later than " +
			"After, even if this entry is later than the end of the page; without ExactLost, Lost " +
			"may be a later position",
		why:   whyLost,
		needs: needRetention,
		run: func(k *kit) {
			k.forEachTrimmed(func(l *testLog, subject string, stored []sse.Entry) {
				l.checkLost(subject, stored, topics("a"), topics("b"), topics("a", "b"), topics("early"),
					topics("late"), topics("early", "late"), topics("no such"), patterns("*"),
					patterns("a", "late"), everything, sse.Selection{})
			})
		},
	},
	{
		name: "retention/resume",
		promise: "Locate accepts the position of a removed entry as After, and Lost of the next " +
			"Read reports the entries that are missing after it",
		why:   whyResume,
		needs: needRetention,
		run: func(k *kit) {
			k.forEachTrimmed(func(l *testLog, subject string, stored []sse.Entry) {
				for _, entry := range l.appended {
					l.checkResume(subject+": an entry", entry.Position)
				}
				l.checkResume(subject+": Lost of a page",
					l.read(sse.Position{}, sse.Position{}, topics("a"), unlimited).Lost)
				last := l.appended[len(l.appended)-len(stored)-1].Position
				page := l.read(last, sse.Position{}, everything, unlimited)
				k.equalEntries(subject+": the entries after the last removed one", page.Entries, stored)
				foreign := last
				foreign.Epoch++
				l.checkGap(sse.Start{After: foreign}, everything, "epoch")
				l.checkGap(sse.Start{After: foreign}, topics("early"), "epoch")
			})
		},
	},
	{
		name:    "retention/ids",
		promise: "Locate does not find the id of a removed event",
		why: "a subscriber would not notice that later events were removed, too: it would miss " +
			"them without a gap",
		needs: needRetention,
		run: func(k *kit) {
			k.forEachTrimmed(func(l *testLog, subject string, stored []sse.Entry) {
				for i, entry := range l.appended {
					start := sse.Start{ID: entry.Event.ID}
					if i < len(l.appended)-len(stored) {
						l.checkGap(start, everything, "unknown")
					} else {
						k.equalPositions(subject+": Locate with "+showStart(start),
							l.locate(start, everything), entry.Position)
					}
				}
			})
		},
	},
	{
		name: "retention/start",
		promise: "Earliest, and a Last that exceeds the number of events, begin with the first " +
			"stored event, and a Read from this position reports no Lost",
		why:   "a subscriber that asks for all stored events would receive a gap",
		needs: needRetention,
		run: func(k *kit) {
			k.forEachTrimmed(func(l *testLog, subject string, stored []sse.Entry) {
				for _, sel := range []sse.Selection{
					topics("a"), topics("early"), topics("late"), everything,
				} {
					want := filter(stored, sel)
					l.checkStart(subject+": Last 2", sse.Start{Last: 2}, sel, want[max(0, len(want)-2):])
					l.checkStart(subject+": the time of the first appended entry",
						sse.Start{Time: l.appended[0].Time}, sel, want)
					for _, start := range []sse.Start{{Earliest: true}, {Last: 1000}} {
						l.checkStart(subject+": "+showStart(start), start, sel, want)
						p := l.locate(start, sel)
						l.checkResume(subject+": Locate with "+showStart(start), p)
						lost := l.read(p, sse.Position{}, sel, unlimited).Lost
						if k.opts.ExactLost && lost != (sse.Position{}) {
							k.fail(subject+": Lost for "+showSelection(sel)+", from "+showStart(start),
								showPosition(lost), "zero")
						}
					}
				}
			})
		},
	},
	{
		name:    "retention/follow",
		promise: "Follow leaves out only entries that were removed before it reached them",
		why:     whyFollow,
		needs:   needRetention,
		run: func(k *kit) {
			k.forEachTrimmed(func(l *testLog, subject string, stored []sse.Entry) {
				f := l.follow(sse.Position{})
				k.equalEntries(subject+": the stored entries from Follow", f.take(len(stored)), stored)
				next := l.append(k.entry("next", "a"))
				k.equalEntries(subject+": the next entry from Follow", f.take(1), next)
			})
		},
	},
	{
		name: "retention/all-removed",
		promise: "when all entries were removed, the log still has its epoch and its end, and " +
			"still reports the removed entries in Lost",
		why: "the log would use the numbers of removed events again, and clients would not notice " +
			"that they missed events",
		needs: needAge,
		run:   retentionAllRemoved,
	},
}

func retentionAllRemoved(k *kit) {
	l := k.open(Retention{Age: time.Hour})
	l.append(k.entries(5, "a")...)
	l.append(k.entries(5, "b")...)
	k.advance(l.maxAge(time.Hour) + time.Hour)
	l.trim()
	end := l.end()
	check := func(when string) {
		k.equalEntries("the stored entries"+when, l.readAll(everything), nil)
		page := l.read(sse.Position{}, sse.Position{}, topics("a"), unlimited)
		k.equalPositions("Next"+when, page.Next, end)
		l.checkLost("all entries removed"+when, nil, topics("a"), topics("b"), everything, topics("c"))
		for _, start := range []sse.Start{{}, {Time: k.clock()}, {After: end}} {
			k.equalPositions("Locate with "+showStart(start)+when, l.locate(start, everything), end)
		}
		l.checkStart("Earliest"+when, sse.Start{Earliest: true}, topics("a"), nil)
		l.checkStart("Last 3"+when, sse.Start{Last: 3}, topics("a"), nil)
	}
	check("")
	if k.opts.Reopen != nil {
		l.reopen()
		check(", after Reopen")
	}
	next := l.append(k.entry("next", "a"))
	if p := next[0].Position; p.Epoch != end.Epoch || p.Seq <= end.Seq {
		k.fail("the position of the next entry", showPosition(p), "one after "+showPosition(end))
	}
	k.equalEntries("the stored entries after the next Append", l.readAll(everything), next)
}

// maxStored returns the number of entries or bytes that a log may store under a
// limit: the limit plus Slack.
func (l *testLog) maxStored(limit int) int {
	return limit + int(float64(limit)*l.opts.Slack)
}

// maxAge returns the age that a stored entry may have under a limit: the limit plus
// Slack.
func (l *testLog) maxAge(limit time.Duration) time.Duration {
	return limit + time.Duration(float64(limit)*l.opts.Slack)
}

// checkNewest checks that the log has removed only the oldest of the given entries,
// which are all entries that were appended with the same topics. It returns the stored
// entries with these topics.
func (l *testLog) checkNewest(entries []sse.Entry) []sse.Entry {
	stored := l.readAll(everything)
	stored = slices.DeleteFunc(stored, func(entry sse.Entry) bool {
		return len(entries) == 0 || !slices.Equal(entry.Topics, entries[0].Topics)
	})
	l.equalEntries("the stored entries, against the newest appended entries", stored,
		entries[max(0, len(entries)-len(stored)):])
	return stored
}

// forEachRule calls f with a rule of each declared kind, and with a description of the
// log for messages. The entries that fill appends exceed the limit of each rule. If
// pattern is "", the rule applies to the whole log.
func (k *kit) forEachRule(pattern string, f func(rule Retention, subject string)) {
	var p sse.Pattern
	if pattern != "" {
		p = patterns(pattern).Patterns[0]
	}
	if k.opts.ByCount {
		f(Retention{Pattern: p, Entries: 10}, "a log limited to 10 entries")
	}
	if k.opts.ByBytes {
		f(Retention{Pattern: p, Bytes: 10 << 10}, "a log limited to 10 KiB")
	}
	if k.opts.ByAge {
		f(Retention{Pattern: p, Age: time.Hour}, "a log limited to an hour")
	}
}

// fill appends 40 entries of 1 KiB to each of the topics. The last 10 entries of a
// topic are at least 2 hours younger than the others. No two entries have the same id.
func (k *kit) fill(l *testLog, topics ...string) {
	for i := range 40 {
		if i == 30 {
			k.advance(l.maxAge(2 * time.Hour))
		}
		for _, topic := range topics {
			l.append(k.bigEntry(fmt.Sprint(topic, " ", i), topic))
		}
	}
	l.trim()
}

// bigEntry returns an entry with 1 KiB of data.
func (k *kit) bigEntry(id string, topics ...string) sse.Entry {
	entry := k.entry(strings.Repeat("x", 1<<10), topics...)
	entry.Event.ID = id
	return entry
}

// forEachTrimmed calls f, for a rule of each declared kind, with a log that has
// removed its first entries, and with the entries that it still stores. The log has
// removed all entries of topic early, some of the topics a and b, and none of late.
func (k *kit) forEachTrimmed(f func(l *testLog, subject string, stored []sse.Entry)) {
	k.forEachRule("", func(rule Retention, subject string) {
		l := k.open(rule)
		for i := range 4 {
			l.append(k.bigEntry(fmt.Sprint("early ", i), "early"))
		}
		for i := range 12 {
			l.append(k.bigEntry(fmt.Sprint("a ", i), "a"), k.bigEntry(fmt.Sprint("b ", i), "b"))
			l.append(k.bigEntry(fmt.Sprint("both ", i), "a", "b"))
		}
		k.advance(l.maxAge(2 * time.Hour))
		l.append(k.bigEntry("late a", "a"), k.bigEntry("late b", "b"))
		l.append(k.bigEntry("late 1", "late"), k.bigEntry("late 2", "late"))
		l.trim()
		stored := l.readAll(everything)
		if len(stored) < 4 || len(stored) > 32 {
			k.fatal(subject+": the stored entries, of 44 appended", showEntries(stored),
				"the last 4, and at most 32")
		}
		k.equalEntries(subject+": the stored entries", stored, l.appended[len(l.appended)-len(stored):])
		f(l, subject, stored)
	})
}

// checkLost reads pages after many positions, for each selection, and checks Lost. The
// log must have removed every appended entry that is not in stored.
func (l *testLog) checkLost(subject string, stored []sse.Entry, sels ...sse.Selection) {
	isStored := make(map[uint64]bool)
	for _, entry := range stored {
		isStored[entry.Position.Seq] = true
	}
	for _, sel := range sels {
		var newest sse.Position
		for _, entry := range l.appended {
			if !isStored[entry.Position.Seq] && sel.Match(entry.Topics) {
				newest = entry.Position
			}
		}
		for i := 0; i <= len(l.appended); i += 1 + len(l.appended)/60 {
			var after sse.Position
			if i > 0 {
				after = l.appended[i-1].Position
			}
			want := newest
			if newest.Seq <= after.Seq {
				want = sse.Position{}
			}
			subject := fmt.Sprintf("%s: Lost for %s, after %d", subject, showSelection(sel), after.Seq)
			l.checkLostPosition(subject, l.read(after, sse.Position{}, sel, 1).Lost, want, after)
			through := l.appended[len(l.appended)/2].Position
			l.checkLostPosition(fmt.Sprintf("%s through %d", subject, through.Seq),
				l.read(after, through, sel, unlimited).Lost, want, after)
		}
	}
}

// checkLostPosition checks got, the Lost of a page after a position. If the options
// declare ExactLost, got must be want. Otherwise got may be a later position.
func (l *testLog) checkLostPosition(subject string, got, want, after sse.Position) {
	end := l.end()
	switch {
	case got == want:
	case l.opts.ExactLost:
		l.equalPositions(subject, got, want)
	case got.Seq < want.Seq || got.Seq <= after.Seq || got.Seq > end.Seq ||
		got.Epoch != end.Epoch:
		l.fail(subject, showPosition(got), "a position from "+showPosition(want)+
			" through the end of the log")
	}
}
