package ssetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

const (
	whyLost = "Lost is how a subscriber learns that events are missing. One that is not told " +
		"believes it has everything; one that is told of what it had, or did not ask for, " +
		"starts over for nothing"
	whyRetention = "a log that removes too little fills the disk, and one that removes too much " +
		"makes gaps"
)

var retentionCases = []eventLogCase{
	{
		name:    "retention/none",
		promise: "Lost is zero as long as nothing is removed, and nothing is that no rule removes",
		why:     whyLost,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(300, "a")...)
			l.append(k.entries(300, "b")...)
			l.trim()
			k.same("what is kept", l.kept(everything), l.all)
			for _, after := range []sse.Position{{}, l.all[3].Position, l.end()} {
				page := l.read(after, sse.Position{}, topics("a", "no such"), 1)
				k.equalPositions(fmt.Sprintf("Lost, after %d", after.Seq), page.Lost, sse.Position{})
			}
		},
	},
	{
		name:    "retention/count",
		promise: "a rule with Entries keeps so many of the newest entries",
		why:     whyRetention,
		needs:   needCount,
		run: func(k *kit) {
			const limit = 10
			l := k.open(Retention{Entries: limit})
			for _, n := range []int{1, 8, 1, 1, 7, 25} { // 25 at once are more than it keeps
				l.append(k.entries(n, "a")...)
				l.trim()
				kept := len(l.keepsNewest(l.all))
				least, most := min(limit, len(l.all)), l.slack(limit)
				if kept < least || kept > most {
					k.found(fmt.Sprintf("how many of %d entries are kept", len(l.all)), kept,
						fmt.Sprintf("%d to %d", least, most))
				}
			}
		},
	},
	{
		name: "retention/bytes",
		promise: "a rule with Bytes keeps not more of the newest entries, and at least half as " +
			"much: what a log adds to each counts too",
		why:   whyRetention,
		needs: needBytes,
		run: func(k *kit) {
			const limit, size = 64 << 10, 1 << 10
			l := k.open(Retention{Bytes: limit})
			for range 200 {
				l.append(k.entry(strings.Repeat("x", size-1), "a"))
			}
			l.trim()
			kept := size * len(l.keepsNewest(l.all))
			if least, most := limit/2, l.slack(limit); kept < least || kept > most {
				k.found("the bytes that are kept", kept, fmt.Sprintf("%d to %d", least, most))
			}
		},
	},
	{
		name:    "retention/age",
		promise: "a rule with Age removes the entries that are older, and none that are younger",
		why:     whyRetention,
		needs:   needAge,
		run: func(k *kit) {
			const age = time.Hour
			l := k.open(Retention{Age: age})
			for i := range 10 {
				l.append(k.entry(fmt.Sprint(i), "a"))
				l.trim()
				now := k.clock()
				least, most := 0, 0 // of the newest
				for _, entry := range l.all {
					if now.Sub(entry.Time) < age {
						least++
					}
					if now.Sub(entry.Time) <= l.slackTime(age) {
						most++
					}
				}
				if kept := len(l.keepsNewest(l.all)); kept < least || kept > most {
					k.found(fmt.Sprintf("how many of %d entries are kept, published every 25 minutes",
						len(l.all)), kept, fmt.Sprintf("%d to %d", least, most))
				}
				k.advance(25 * time.Minute)
			}
		},
	},
	{
		name:    "retention/pattern",
		promise: "a rule for a pattern removes entries of the topics that it matches, and no others",
		why:     whyRetention,
		needs:   needPattern | needRetention,
		run: func(k *kit) {
			k.eachRule("room/*", func(rule Retention, what string) {
				l := k.open(rule)
				k.fill(l, "room/1", "other", "room", "room/1/2")
				kept := l.keepsNewest(selected(l.all, topics("room/1")))
				if len(kept) == len(selected(l.all, topics("room/1"))) {
					k.found(what+": what is kept of room/1", "everything", "less")
				}
				for _, topic := range []string{"other", "room", "room/1/2"} {
					k.same(what+": what is kept of "+topic, l.kept(topics(topic)),
						selected(l.all, topics(topic)))
				}
				l.lost(what, l.kept(everything), topics("room/1"), topics("other"),
					topics("room/1", "other"), patterns("room/*"), patterns("room/**"), everything)
			})
		},
	},
	{
		name: "retention/lost",
		promise: "Lost is the newest position after the one that was asked for at which a " +
			"selected entry was removed, wherever the page ends; or, if not declared exact, a newer one",
		why:   whyLost,
		needs: needRetention,
		run: func(k *kit) {
			k.eachTrimmed(func(l *tested, what string, kept []sse.Entry) {
				l.lost(what, kept, topics("a"), topics("b"), topics("a", "b"), topics("early"),
					topics("late"), topics("early", "late"), topics("no such"), patterns("*"),
					patterns("a", "late"), everything, sse.Selection{})
			})
		},
	},
	{
		name: "retention/resume",
		promise: "After the position of an entry that was removed is that position: what is " +
			"missing after it, if anything is, Lost tells",
		why:   whyResume,
		needs: needRetention,
		run: func(k *kit) {
			k.eachTrimmed(func(l *tested, what string, kept []sse.Entry) {
				for _, entry := range l.all {
					l.comesBack(what+": an entry", entry.Position)
				}
				l.comesBack(what+": Lost",
					l.read(sse.Position{}, sse.Position{}, topics("a"), plenty).Lost)
				last := l.all[len(l.all)-len(kept)-1].Position
				page := l.read(last, sse.Position{}, everything, plenty)
				k.same(what+": what follows the last that was removed", page.Entries, kept)
				foreign := last
				foreign.Epoch++
				l.refused(sse.Start{After: foreign}, everything, "epoch")
				l.refused(sse.Start{After: foreign}, topics("early"), "epoch")
			})
		},
	},
	{
		name:    "retention/ids",
		promise: "the id of an event that was removed is unknown",
		why:     "what was published after it, and removed too, would be missing without a word",
		needs:   needRetention,
		run: func(k *kit) {
			k.eachTrimmed(func(l *tested, what string, kept []sse.Entry) {
				for i, entry := range l.all {
					start := sse.Start{ID: entry.Event.ID}
					if i < len(l.all)-len(kept) {
						l.refused(start, everything, "unknown")
					} else {
						k.equalPositions(what+": the place of an id",
							l.locate(start, everything), entry.Position)
					}
				}
			})
		},
	},
	{
		name: "retention/start",
		promise: "Earliest and Last begin with the first event that is kept, and nothing is lost " +
			"after that",
		why:   "whoever asks for what there is would be told of a gap",
		needs: needRetention,
		run: func(k *kit) {
			k.eachTrimmed(func(l *tested, what string, kept []sse.Entry) {
				for _, sel := range []sse.Selection{
					topics("a"), topics("early"), topics("late"), everything,
				} {
					want := selected(kept, sel)
					l.begins(what+": Last 2", sse.Start{Last: 2}, sel, want[max(0, len(want)-2):])
					l.begins(what+": the time of the first",
						sse.Start{Time: l.all[0].Time}, sel, want)
					for _, start := range []sse.Start{{Earliest: true}, {Last: 1000}} {
						l.begins(what+": "+showStart(start), start, sel, want)
						p := l.locate(start, sel)
						l.comesBack(what+": "+showStart(start), p)
						lost := l.read(p, sse.Position{}, sel, plenty).Lost
						if k.opts.ExactLost && lost != (sse.Position{}) {
							k.found(what+": Lost, for "+show(sel)+", after "+showStart(start),
								showPosition(lost), "zero")
						}
					}
				}
			})
		},
	},
	{
		name:    "retention/follow",
		promise: "Follow leaves out only what was removed before it came to it",
		why:     whyFollow,
		needs:   needRetention,
		run: func(k *kit) {
			k.eachTrimmed(func(l *tested, what string, kept []sse.Entry) {
				f := l.follow(sse.Position{})
				k.same(what+": what Follow shows", f.take(len(kept)), kept)
				next := l.append(k.entry("next", "a"))
				k.same(what+": what it shows then", f.take(1), next)
			})
		},
	},
	{
		name:    "retention/everything",
		promise: "a log that has removed everything still knows its epoch, its end, and what is lost",
		why:     "numbers would be used again, for other events",
		needs:   needAge,
		run:     retentionEverything,
	},
}

func retentionEverything(k *kit) {
	l := k.open(Retention{Age: time.Hour})
	l.append(k.entries(5, "a")...)
	l.append(k.entries(5, "b")...)
	k.advance(l.slackTime(time.Hour) + time.Hour)
	l.trim()
	end := l.end()
	check := func(when string) {
		k.same("what is kept"+when, l.kept(everything), nil)
		page := l.read(sse.Position{}, sse.Position{}, topics("a"), plenty)
		k.equalPositions("Next"+when, page.Next, end)
		l.lost("everything is removed"+when, nil, topics("a"), topics("b"), everything, topics("c"))
		for _, start := range []sse.Start{{}, {Time: k.clock()}, {After: end}} {
			k.equalPositions(showStart(start)+when, l.locate(start, everything), end)
		}
		l.begins("Earliest"+when, sse.Start{Earliest: true}, topics("a"), nil)
		l.begins("Last 3"+when, sse.Start{Last: 3}, topics("a"), nil)
	}
	check("")
	if k.opts.Reopen != nil {
		l.reopen()
		check(", after the log was opened again")
	}
	next := l.append(k.entry("next", "a"))
	if p := next[0].Position; p.Epoch != end.Epoch || p.Seq <= end.Seq {
		k.found("the next position", showPosition(p), "one after "+showPosition(end))
	}
	k.same("what is kept then", l.kept(everything), next)
}

// slack is how much a log may keep at most.
func (l *tested) slack(limit int) int {
	return limit + int(float64(limit)*l.opts.Slack)
}

// slackTime is how old entries may become at most.
func (l *tested) slackTime(limit time.Duration) time.Duration {
	return limit + time.Duration(float64(limit)*l.opts.Slack)
}

// keepsNewest returns what is kept of a list, and checks that it is the end of it.
func (l *tested) keepsNewest(all []sse.Entry) []sse.Entry {
	kept := l.kept(everything)
	kept = slices.DeleteFunc(kept, func(entry sse.Entry) bool {
		return len(all) == 0 || !slices.Equal(entry.Topics, all[0].Topics)
	})
	l.same("what is kept, against the newest that were appended", kept,
		all[max(0, len(all)-len(kept)):])
	return kept
}

// eachRule calls f with a rule of each kind that is declared. What fill appends
// is too much for them.
func (k *kit) eachRule(pattern string, f func(rule Retention, what string)) {
	var p sse.Pattern
	if pattern != "" {
		p = patterns(pattern).Patterns[0]
	}
	if k.opts.ByCount {
		f(Retention{Pattern: p, Entries: 10}, "10 entries are kept")
	}
	if k.opts.ByBytes {
		f(Retention{Pattern: p, Bytes: 10 << 10}, "10 KiB are kept")
	}
	if k.opts.ByAge {
		f(Retention{Pattern: p, Age: time.Hour}, "an hour is kept")
	}
}

// fill appends 40 entries of 1 KiB to each of some topics, the last 10 some hours
// after the others; each has an id of its own.
func (k *kit) fill(l *tested, topics ...string) {
	for i := range 40 {
		if i == 30 {
			k.advance(l.slackTime(2 * time.Hour))
		}
		for _, topic := range topics {
			l.append(k.big(fmt.Sprint(topic, " ", i), topic))
		}
	}
	l.trim()
}

func (k *kit) big(id string, topics ...string) sse.Entry {
	entry := k.entry(strings.Repeat("x", 1<<10), topics...)
	entry.Event.ID = id
	return entry
}

// eachTrimmed calls f with logs that have removed their first entries, by a rule
// of each kind that is declared. All of topic early, and some of a and b are gone,
// none of late.
func (k *kit) eachTrimmed(f func(l *tested, what string, kept []sse.Entry)) {
	k.eachRule("", func(rule Retention, what string) {
		l := k.open(rule)
		for i := range 4 {
			l.append(k.big(fmt.Sprint("early ", i), "early"))
		}
		for i := range 12 {
			l.append(k.big(fmt.Sprint("a ", i), "a"), k.big(fmt.Sprint("b ", i), "b"))
			l.append(k.big(fmt.Sprint("both ", i), "a", "b"))
		}
		k.advance(l.slackTime(2 * time.Hour))
		l.append(k.big("late a", "a"), k.big("late b", "b"))
		l.append(k.big("late 1", "late"), k.big("late 2", "late"))
		l.trim()
		kept := l.kept(everything)
		if len(kept) < 4 || len(kept) > 32 {
			k.stop(what+", of 44: what is left", showEntries(kept), "the last 4, and at most 32")
		}
		k.same(what+": what is kept", kept, l.all[len(l.all)-len(kept):])
		f(l, what, kept)
	})
}

// lost checks Lost, for everyone who comes with any position. What was appended
// and is not among kept is removed.
func (l *tested) lost(what string, kept []sse.Entry, sels ...sse.Selection) {
	isKept := make(map[uint64]bool)
	for _, entry := range kept {
		isKept[entry.Position.Seq] = true
	}
	for _, sel := range sels {
		var newest sse.Position
		for _, entry := range l.all {
			if !isKept[entry.Position.Seq] && sel.Match(entry.Topics) {
				newest = entry.Position
			}
		}
		for i := 0; i <= len(l.all); i += 1 + len(l.all)/60 {
			var after sse.Position
			if i > 0 {
				after = l.all[i-1].Position
			}
			want := newest
			if newest.Seq <= after.Seq {
				want = sse.Position{}
			}
			what := fmt.Sprintf("%s: Lost of %s, after %d", what, show(sel), after.Seq)
			l.isLost(what, l.read(after, sse.Position{}, sel, 1).Lost, want, after)
			through := l.all[len(l.all)/2].Position
			l.isLost(fmt.Sprintf("%s through %d", what, through.Seq),
				l.read(after, through, sel, plenty).Lost, want, after)
		}
	}
}

func (l *tested) isLost(what string, got, want, after sse.Position) {
	end := l.end()
	switch {
	case got == want:
	case l.opts.ExactLost:
		l.equalPositions(what, got, want)
	case got.Seq < want.Seq || got.Seq <= after.Seq || got.Seq > end.Seq ||
		got.Epoch != end.Epoch:
		l.found(what, showPosition(got), "one from "+showPosition(want)+" to the log's last")
	}
}
