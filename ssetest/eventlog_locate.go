package ssetest

import (
	"fmt"
	"time"

	"github.com/sse-go/sse"
)

const (
	whyStart = "a subscriber would begin elsewhere: it misses events, or gets what it did not " +
		"ask for"
	whyResume = "a position of another life of the log, taken for one of this, is loss without a " +
		"word; one of this life that is refused, a gap where nothing is missing"
)

var locateCases = []eventLogCase{
	{
		name:    "locate/end",
		promise: "the zero Start is the end of the log",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, topics("a"))
			k.equalPositions("the end of an empty log, for another selection",
				l.locate(sse.Start{}, everything), empty)
			l.append(k.entries(3, "a")...)
			l.append(k.entry("four", "b"))
			for _, sel := range []sse.Selection{topics("a"), topics("no such"), everything, {}} {
				k.equalPositions("the end of the log, for "+show(sel),
					l.locate(sse.Start{}, sel), l.end())
			}
		},
	},
	{
		name:    "locate/empty",
		promise: "an empty log begins and ends before its first entry, number 0 of its epoch",
		why:     "whoever subscribes before the first event must get it",
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			for _, start := range []sse.Start{
				{Earliest: true}, {Last: 1}, {Last: 1000}, {Time: k.clock()},
				{Time: k.clock().Add(-time.Hour)}, {Time: k.clock().Add(time.Hour)},
				{After: empty},
			} {
				k.equalPositions(showStart(start)+", in an empty log",
					l.locate(start, topics("a")), empty)
			}
			l.refused(sse.Start{ID: "x"}, topics("a"), "unknown")
			l.refused(sse.Start{After: sse.Position{Epoch: empty.Epoch, Seq: 1}}, everything,
				"future")
			l.refused(sse.Start{After: sse.Position{Epoch: empty.Epoch + 1}}, everything, "epoch")
			l.append(k.entry("the first", "a"))
			k.same("what follows that", l.readAll(empty, sse.Position{}, topics("a"), plenty), l.all)
		},
	},
	{
		name:    "locate/earliest",
		promise: "Earliest begins with the first event that is kept",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			l.append(k.entries(3, "b")...)
			for _, sel := range []sse.Selection{
				topics("a"), topics("b"), everything, topics("no such"),
			} {
				l.begins("Earliest", sse.Start{Earliest: true}, sel, selected(l.all, sel))
			}
		},
	},
	{
		name:    "locate/last",
		promise: "Last begins with so many of the newest events that are selected, or with all",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			for i := range 12 {
				l.append(k.entry(fmt.Sprint(i), []string{"a", "b", "c"}[i%3]))
			}
			l.append(k.entry("both", "a", "b"))
			for _, sel := range []sse.Selection{
				topics("a"), topics("a", "b"), patterns("*"), topics("c"), topics("no such"),
			} {
				all := selected(l.all, sel)
				for _, n := range []int{1, 2, 4, 5, 9, 10, 13, 14, 1 << 30} {
					l.begins(fmt.Sprintf("Last %d", n), sse.Start{Last: n}, sel,
						all[max(0, len(all)-n):])
				}
			}
		},
	},
	{
		name:    "locate/time",
		promise: "Time begins with the first event that was not published before it",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			for i := range 6 {
				l.append(k.entry(fmt.Sprint(i), []string{"a", "b"}[i%2]))
			}
			twin := k.entry("at the same time", "a")
			twin.Time = l.all[5].Time
			l.append(twin)
			for i, entry := range l.all[:6] {
				for _, sel := range []sse.Selection{topics("a"), topics("b"), everything} {
					for d, skip := range map[time.Duration]int{-1: 0, 0: 0, 1: 1} {
						want := l.all[i+skip:]
						if i == 5 && skip == 1 {
							want = nil // its twin is as old
						}
						l.begins(fmt.Sprintf("the time of entry %d, and %d ns", i, d),
							sse.Start{Time: entry.Time.Add(d)}, sel, selected(want, sel))
					}
				}
			}
			l.begins("an hour before all", sse.Start{Time: l.all[0].Time.Add(-time.Hour)},
				topics("a"), selected(l.all, topics("a")))
			l.begins("an hour after all", sse.Start{Time: twin.Time.Add(time.Hour)},
				everything, nil)
		},
	},
	{
		name: "locate/id",
		promise: "ID is the position of the event to which an application gave that id: the " +
			"earliest of those that are kept and selected",
		why: "a later one skips what is between them; one of a topic that is not selected says " +
			"nothing of those that are, and tells a stranger that it exists",
		run: locateID,
	},
	{
		name: "locate/after",
		promise: "After is the position itself, if the log has it: that of an entry, selected or " +
			"not, or number 0 of the epoch",
		why: whyResume,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			l.append(k.entries(3, "a")...)
			l.append(k.entries(3, "b")...)
			for _, sel := range []sse.Selection{topics("a"), everything, topics("no such")} {
				k.equalPositions("After the place before the first entry",
					l.locate(sse.Start{After: empty}, sel), empty)
				for _, entry := range l.all {
					start := sse.Start{After: entry.Position}
					k.equalPositions(showStart(start)+", for "+show(sel),
						l.locate(start, sel), entry.Position)
				}
			}
		},
	},
	{
		name:    "locate/epoch",
		promise: `After a position of another epoch is a gap, Why "epoch", whatever its number`,
		why:     whyResume,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for _, change := range []uint64{1, 1 << 63} {
				for _, p := range []sse.Position{
					l.all[0].Position, l.end(), {Epoch: l.end().Epoch},
					{Epoch: l.end().Epoch, Seq: l.end().Seq + 10},
				} {
					p.Epoch ^= change
					l.refused(sse.Start{After: p}, topics("a"), "epoch")
				}
			}
		},
	},
	{
		name:    "locate/future",
		promise: `After a position beyond the end of the log is a gap, Why "future"`,
		why:     whyResume,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for _, n := range []uint64{1, 100, 1 << 40} {
				p := l.end()
				p.Seq += n
				l.refused(sse.Start{After: p}, topics("a"), "future")
			}
		},
	},
	{
		name:    "locate/check",
		promise: `After a position whose check is not that of the entry there is a gap, Why "check"`,
		why:     whyResume,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for _, entry := range l.all {
				p := entry.Position
				p.Check++
				l.refused(sse.Start{After: p}, topics("a"), "check")
				l.refused(sse.Start{After: p}, topics("b"), "check")
			}
		},
	},
	{
		name:    "locate/comes-back",
		promise: "every position that the log hands out is one to come back with",
		why:     "they are sent to clients as ids, and are what these resume from",
		run: func(k *kit) {
			l := k.open()
			for i := range 9 {
				l.append(k.entry(fmt.Sprint(i), []string{"a", "b", "c"}[i%3]))
			}
			for _, sel := range []sse.Selection{topics("a"), topics("no such"), everything} {
				l.comesBack("Next", l.read(sse.Position{}, sse.Position{}, sel, plenty).Next)
				l.comesBack("Next", l.read(sse.Position{}, sse.Position{}, sel, 1).Next)
				for _, start := range []sse.Start{
					{}, {Earliest: true}, {Last: 2}, {Last: 100}, {Time: l.all[4].Time},
				} {
					l.comesBack(showStart(start), l.locate(start, sel))
				}
			}
		},
	},
}

// comesBack checks that a position is taken.
func (l *tested) comesBack(what string, p sse.Position) {
	got, err := l.log.Locate(l.ctx, sse.Start{After: p}, everything)
	if err != nil || got != p {
		l.found(fmt.Sprintf("After the position (%s) that came from %s", showPosition(p), what),
			fmt.Sprintf("%s, error %v", showPosition(got), err), "the same")
	}
}

func locateID(k *kit) {
	l := k.open()
	with := func(id string, topics ...string) {
		entry := k.entry("with id "+id, topics...)
		entry.Event.ID = id
		l.append(entry)
	}
	with("1", "a")     // 0
	with("2", "b")     // 1
	with("2", "a")     // 2
	with("", "a")      // 3
	with("3", "a")     // 4
	with("2", "a")     // 5
	with("1", "a")     // 6
	with("4", "c")     // 7
	with(" 4 ", "c")   // 8
	with("é ~\"", "c") // 9
	with("5", "a", "b")
	for _, c := range []struct {
		id   string
		sel  sse.Selection
		want int // index of the entry
	}{
		{"1", topics("a"), 0}, {"2", topics("a"), 2}, {"2", topics("b"), 1},
		{"2", topics("a", "b"), 1}, {"2", everything, 1}, {"3", patterns("*"), 4},
		{"4", topics("c"), 7}, {" 4 ", topics("c"), 8}, {"é ~\"", topics("c", "a"), 9},
		{"5", topics("b"), 10}, {"5", topics("a"), 10},
	} {
		k.equalPositions(fmt.Sprintf("ID %q, for %s", c.id, show(c.sel)),
			l.locate(sse.Start{ID: c.id}, c.sel), l.all[c.want].Position)
	}
	l.refused(sse.Start{ID: "no such"}, topics("a"), "unknown")
	l.refused(sse.Start{ID: "0"}, everything, "unknown")
	l.refused(sse.Start{ID: "4"}, topics("a"), "unknown")
	l.refused(sse.Start{ID: "1"}, sse.Selection{}, "unknown")
}
