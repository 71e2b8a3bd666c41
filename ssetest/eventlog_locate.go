package ssetest

import (
	"fmt"
	"time"

	"github.com/sse-go/sse"
)

const (
	whyStart = "a subscriber would begin at a wrong position: it would miss events, or receive " +
		"events that it did not ask for"
	whyResume = "if a log accepts a position that does not belong to it, a client loses events " +
		"without notice; if a log refuses one of its own positions, a client receives a gap " +
		"although no event is missing"
)

var locateCases = []eventLogCase{
	{
		name:    "locate/end",
		promise: "the zero Start begins at the end of the log",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, topics("a"))
			k.equalPositions("the end of an empty log, for another selection",
				l.locate(sse.Start{}, everything), empty)
			l.append(k.entries(3, "a")...)
			l.append(k.entry("four", "b"))
			for _, sel := range []sse.Selection{topics("a"), topics("no such"), everything, {}} {
				k.equalPositions("the end of the log, for "+showSelection(sel),
					l.locate(sse.Start{}, sel), l.end())
			}
		},
	},
	{
		name: "locate/empty",
		promise: "the beginning and the end of an empty log are the position with its epoch and " +
			"number 0: the place before its first entry",
		why: "a client that subscribes before the first event must receive that event",
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			for _, start := range []sse.Start{
				{Earliest: true}, {Last: 1}, {Last: 1000}, {Time: k.clock()},
				{Time: k.clock().Add(-time.Hour)}, {Time: k.clock().Add(time.Hour)},
				{After: empty},
			} {
				k.equalPositions("Locate with "+showStart(start)+", in an empty log",
					l.locate(start, topics("a")), empty)
			}
			l.checkGap(sse.Start{ID: "x"}, topics("a"), "unknown")
			l.checkGap(sse.Start{After: sse.Position{Epoch: empty.Epoch, Seq: 1}}, everything,
				"future")
			l.checkGap(sse.Start{After: sse.Position{Epoch: empty.Epoch + 1}}, everything, "epoch")
			l.append(k.entry("the first", "a"))
			k.equalEntries("the entries after the position of the empty log",
				l.readPages(empty, sse.Position{}, topics("a"), unlimited), l.appended)
		},
	},
	{
		name:    "locate/earliest",
		promise: "Earliest begins with the first stored event that is selected",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			l.append(k.entries(3, "b")...)
			for _, sel := range []sse.Selection{
				topics("a"), topics("b"), everything, topics("no such"),
			} {
				l.checkStart("Earliest", sse.Start{Earliest: true}, sel, filter(l.appended, sel))
			}
		},
	},
	{
		name: "locate/last",
		promise: "Last: n begins with the n newest selected events, or with all selected events " +
			"if there are fewer",
		why: whyStart,
		run: func(k *kit) {
			l := k.open()
			for i := range 12 {
				l.append(k.entry(fmt.Sprint(i), []string{"a", "b", "c"}[i%3]))
			}
			l.append(k.entry("both", "a", "b"))
			for _, sel := range []sse.Selection{
				topics("a"), topics("a", "b"), patterns("*"), topics("c"), topics("no such"),
			} {
				all := filter(l.appended, sel)
				for _, n := range []int{1, 2, 4, 5, 9, 10, 13, 14, 1 << 30} {
					l.checkStart(fmt.Sprintf("Last %d", n), sse.Start{Last: n}, sel,
						all[max(0, len(all)-n):])
				}
			}
		},
	},
	{
		name:    "locate/last-of-many",
		promise: "Last: n is exact for a pattern that selects many topics",
		why:     whyStart,
		run: func(k *kit) {
			l := k.open()
			var entries []sse.Entry
			for i := range 300 {
				entries = append(entries, k.entry(fmt.Sprint(i),
					fmt.Sprint("room/a", i*37%101), fmt.Sprint("room/1", i*53%89), "other"))
			}
			l.append(entries...)
			for _, n := range []int{1, 10, 100, 200, 299, 300, 301} {
				l.checkStart(fmt.Sprintf("Last %d", n), sse.Start{Last: n}, patterns("room/*"),
					l.appended[max(0, len(l.appended)-n):])
			}
		},
	},
	{
		name: "locate/time",
		promise: "Time begins with the first selected event that was published at that time or " +
			"later",
		why: whyStart,
		run: func(k *kit) {
			l := k.open()
			for i := range 6 {
				l.append(k.entry(fmt.Sprint(i), []string{"a", "b"}[i%2]))
			}
			twin := k.entry("at the same time", "a")
			twin.Time = l.appended[5].Time
			l.append(twin)
			for i, entry := range l.appended[:6] {
				for _, sel := range []sse.Selection{topics("a"), topics("b"), everything} {
					for d, skip := range map[time.Duration]int{-1: 0, 0: 0, 1: 1} {
						want := l.appended[i+skip:]
						if i == 5 && skip == 1 {
							want = nil // the twin is not later than entry 6 either
						}
						l.checkStart(fmt.Sprintf("the time of entry %d, plus %d ns", i+1, d),
							sse.Start{Time: entry.Time.Add(d)}, sel, filter(want, sel))
					}
				}
			}
			l.checkStart("an hour before the first entry",
				sse.Start{Time: l.appended[0].Time.Add(-time.Hour)}, topics("a"),
				filter(l.appended, topics("a")))
			l.checkStart("an hour after the last entry", sse.Start{Time: twin.Time.Add(time.Hour)},
				everything, nil)
		},
	},
	{
		name: "locate/id",
		promise: "ID begins right after the event to which an application gave this id; if " +
			"several stored events have it, right after the earliest selected event of them",
		why: "right after a later event, a subscriber would miss the events in between; right " +
			"after an event of a topic that it did not select, it would begin at a wrong " +
			"position, and could find out that the id exists",
		run: locateID,
	},
	{
		name: "locate/after",
		promise: "After begins right after a position of the log: the position of an entry, " +
			"selected or not, or the position with number 0",
		why: whyResume,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			l.append(k.entries(3, "a")...)
			l.append(k.entries(3, "b")...)
			for _, sel := range []sse.Selection{topics("a"), everything, topics("no such")} {
				k.equalPositions("Locate with After number 0 of the epoch",
					l.locate(sse.Start{After: empty}, sel), empty)
				for _, entry := range l.appended {
					start := sse.Start{After: entry.Position}
					k.equalPositions("Locate with "+showStart(start)+", for "+showSelection(sel),
						l.locate(start, sel), entry.Position)
				}
			}
		},
	},
	{
		name:    "locate/epoch",
		promise: `After with a position of another epoch is a gap with Why "epoch", at any number`,
		why:     whyResume,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for _, change := range []uint64{1, 1 << 63} {
				for _, p := range []sse.Position{
					l.appended[0].Position, l.end(), {Epoch: l.end().Epoch},
					{Epoch: l.end().Epoch, Seq: l.end().Seq + 10},
				} {
					p.Epoch ^= change
					l.checkGap(sse.Start{After: p}, topics("a"), "epoch")
				}
			}
		},
	},
	{
		name:    "locate/future",
		promise: `After with a position beyond the end of the log is a gap with Why "future"`,
		why:     whyResume,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for _, n := range []uint64{1, 100, 1 << 40} {
				p := l.end()
				p.Seq += n
				l.checkGap(sse.Start{After: p}, topics("a"), "future")
			}
		},
	},
	{
		name: "locate/check",
		promise: `After with a position whose Check differs from the Check of its entry is a gap ` +
			`with Why "check"`,
		why: whyResume,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for _, entry := range l.appended {
				p := entry.Position
				p.Check++
				l.checkGap(sse.Start{After: p}, topics("a"), "check")
				l.checkGap(sse.Start{After: p}, topics("b"), "check")
			}
		},
	},
	{
		name:    "locate/resume",
		promise: "Locate accepts every position that the log has returned, as After",
		why:     "subscribers receive these positions as event ids and resume from them",
		run: func(k *kit) {
			l := k.open()
			for i := range 9 {
				l.append(k.entry(fmt.Sprint(i), []string{"a", "b", "c"}[i%3]))
			}
			for _, sel := range []sse.Selection{topics("a"), topics("no such"), everything} {
				l.checkResume("Next", l.read(sse.Position{}, sse.Position{}, sel, unlimited).Next)
				l.checkResume("Next", l.read(sse.Position{}, sse.Position{}, sel, 1).Next)
				for _, start := range []sse.Start{
					{}, {Earliest: true}, {Last: 2}, {Last: 100}, {Time: l.appended[4].Time},
				} {
					l.checkResume("Locate with "+showStart(start), l.locate(start, sel))
				}
			}
		},
	},
}

// checkResume checks that Locate accepts a position that the log has returned. For the
// message of a failure, source names the call or the entry from which p comes.
func (l *testLog) checkResume(source string, p sse.Position) {
	page, err := l.log.Locate(l.ctx, sse.Start{After: p}, everything)
	got := page.Next
	if err != nil || page.Gap != nil || got != p {
		l.fail(fmt.Sprintf("Locate with After the position of %s (%s)", source, showPosition(p)),
			fmt.Sprintf("%s, gap %v, error %v", showPosition(got), page.Gap, err),
			"the same position, no gap, no error")
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
		k.equalPositions(fmt.Sprintf("Locate with ID %q, for %s", c.id, showSelection(c.sel)),
			l.locate(sse.Start{ID: c.id}, c.sel), l.appended[c.want].Position)
	}
	l.checkGap(sse.Start{ID: "no such"}, topics("a"), "unknown")
	l.checkGap(sse.Start{ID: "0"}, everything, "unknown")
	l.checkGap(sse.Start{ID: "4"}, topics("a"), "unknown")
	l.checkGap(sse.Start{ID: "1"}, sse.Selection{}, "unknown")
}
