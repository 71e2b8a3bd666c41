package ssetest

import (
	"fmt"
	"strings"

	"github.com/sse-go/sse"
)

const whyPages = "a subscriber reads page after page: with a wrong Next, it loses events or " +
	"receives them twice between two pages, or never reaches the end"

var readCases = []eventLogCase{
	{
		name: "read/after-through",
		promise: "Read returns the entries later than After and not later than Through; it " +
			"compares only the numbers of the positions",
		why: "a subscriber would lose events or receive them twice: at the position where it " +
			"resumes, and at the position from which the broker has the events in memory",
		run: readAfterThrough,
	},
	{
		name: "read/through-the-beginning",
		promise: "a zero Through means the end of the log, but a Through with an epoch and the " +
			"number 0 is the place before the first entry, so that the page is empty",
		why: "if a broker has all events in memory, it reads the log through that place and then " +
			"sends the events from memory: its subscribers would receive events twice",
		run: func(k *kit) {
			l := k.open()
			beginning := l.locate(sse.Start{}, everything)
			l.append(k.entries(3, "a")...)
			page := l.read(sse.Position{}, beginning, topics("a"), unlimited)
			k.equalEntries("a page through number 0 of the epoch", page.Entries, nil)
			if page.Next.Seq != 0 {
				k.fail("the number of Next of a page through number 0", page.Next.Seq, 0)
			}
			k.equalEntries("a page through the zero Position",
				l.read(beginning, sse.Position{}, topics("a"), unlimited).Entries, l.appended)
		},
	},
	{
		name: "read/limit",
		promise: "a page has at least one entry if any entry matches; it has about Limit bytes of " +
			"topics, ids, types and data",
		why: "Limit bounds the memory of a broker when thousands of subscribers read the log at " +
			"once; and a subscriber makes no progress with an empty page",
		run: readLimit,
	},
	{
		name: "read/next",
		promise: "Next is the position of the last entry of the page; if the log knows that no " +
			"more entries match, and always for an empty page, Next is Through or the end of the " +
			"log, whichever is earlier, but not earlier than After",
		why: whyPages,
		run: readNext,
	},
	{
		name: "read/page-by-page",
		promise: "if a reader reads page after page, and passes the Next of each page as After to " +
			"the next Read, it receives every matching entry exactly once",
		why: whyPages,
		run: func(k *kit) {
			l := k.open()
			for i := range 60 {
				topic := []string{"a", "b", "c"}[i%3]
				l.append(k.entry(strings.Repeat("x", i*7%100), topic))
			}
			l.append(k.entries(10, "a", "b")...)
			for _, sel := range []sse.Selection{
				topics("a"), topics("a", "b"), patterns("*"), topics("no such"), {},
			} {
				for _, limit := range []int{1, 10, 100, 333, 1000, unlimited} {
					k.equalEntries(fmt.Sprintf("the entries for %s, in pages of %d bytes",
						showSelection(sel), limit),
						l.readPages(sse.Position{}, sse.Position{}, sel, limit),
						filter(l.appended, sel))
					k.equalEntries(fmt.Sprintf(
						"the entries for %s, in pages of %d bytes, after entry 7 through entry 40",
						showSelection(sel), limit),
						l.readPages(l.appended[6].Position, l.appended[39].Position, sel, limit),
						filter(l.appended[7:40], sel))
				}
			}
		},
	},
	{
		name: "read/rare-topic",
		promise: "a page has at least one entry if any matches, however many other entries are " +
			"in between",
		why: "a subscriber takes an empty page for the end of the log: it would lose the " +
			"events after it",
		run: func(k *kit) {
			l := k.open()
			for i := range 12 {
				l.append(k.entries(100, "often")...)
				if i == 4 || i == 9 {
					l.append(k.entry("rare", "rare"))
				}
			}
			for _, sel := range []sse.Selection{topics("rare"), patterns("rare")} {
				k.equalEntries("two entries among 1,200 of another topic, for "+showSelection(sel),
					l.readPages(sse.Position{}, sse.Position{}, sel, 1), filter(l.appended, sel))
			}
		},
	},
	{
		name:    "read/stateless",
		promise: "Read depends only on its arguments: the log has no state for a reader",
		why:     "thousands of subscribers may read the log at different positions",
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(5, "a")...)
			for i := range l.appended { // from the end to the beginning, three times each
				after := l.appended[len(l.appended)-1-i].Position
				for range 3 {
					k.equalEntries(fmt.Sprintf("the entries after %d", after.Seq),
						l.readPages(after, sse.Position{}, topics("a"), unlimited),
						l.appended[len(l.appended)-i:])
				}
			}
		},
	},
}

func readAfterThrough(k *kit) {
	l := k.open()
	l.append(k.entries(6, "a")...)
	for i := range len(l.appended) + 1 {
		for j := range len(l.appended) + 1 {
			after, through := sse.Position{}, sse.Position{}
			if i > 0 {
				after.Seq = l.appended[i-1].Position.Seq
			}
			want := l.appended[i:]
			if j > 0 {
				through.Seq = l.appended[j-1].Position.Seq
				want = l.appended[i:max(i, j)]
			}
			k.equalEntries(fmt.Sprintf("a page after %d through %d", after.Seq, through.Seq),
				l.read(after, through, topics("a"), unlimited).Entries, want)
			if i == 0 || j == 0 {
				continue
			}
			after.Epoch, through.Check = 1, 2
			k.equalEntries("the same page, with a different epoch and check in the positions",
				l.read(after, through, topics("a"), unlimited).Entries, want)
		}
	}
	beyond := sse.Position{Seq: l.end().Seq + 10}
	k.equalEntries("a page through a number beyond the end of the log",
		l.read(l.appended[3].Position, beyond, topics("a"), unlimited).Entries, l.appended[4:])
	k.equalEntries("a page after a number beyond the end of the log",
		l.read(beyond, sse.Position{}, topics("a"), unlimited).Entries, nil)
}

func readLimit(k *kit) {
	const n, size = 64, 1 << 10
	l := k.open()
	for range n {
		entry := k.entry(strings.Repeat("d", 200), strings.Repeat("t", 300))
		entry.Event.Type = strings.Repeat("y", 500)
		entry.Event.ID = strings.Repeat("i", size-1000)
		l.append(entry)
	}
	for _, limit := range []int{-1, 0, 1, size, 8 * size, 16 * size, n * size, unlimited} {
		page := l.read(sse.Position{}, sse.Position{}, patterns("*"), limit)
		got := len(page.Entries)
		// "About Limit bytes" means from a quarter of Limit to four times Limit.
		least, most := max(1, min(n, limit/size/4)), min(n, max(1, limit/(size/4)))
		if limit >= 4*n*size {
			least = n
		}
		if got < least || got > most {
			k.fail(fmt.Sprintf("the number of %d-byte entries in a page with limit %d", size, limit),
				got, fmt.Sprintf("%d to %d", least, most))
		}
		k.equalEntries("the entries in the page", page.Entries, l.appended[:min(got, n)])
	}
}

func readNext(k *kit) {
	l := k.open()
	empty := l.locate(sse.Start{}, everything)
	k.equalPositions("Next in an empty log",
		l.read(sse.Position{}, sse.Position{}, everything, unlimited).Next, empty)
	l.append(k.entries(4, "a")...)
	l.append(k.entries(4, "b")...)
	zero, a, b := sse.Position{}, topics("a"), topics("b")
	at := func(n int) sse.Position { return l.appended[n-1].Position }
	for _, c := range []struct {
		after, through sse.Position
		sel            sse.Selection
		limit          int
		want           []sse.Position
	}{
		{zero, zero, a, 1, []sse.Position{at(1)}},
		{at(1), zero, a, 1, []sse.Position{at(2)}},
		{zero, zero, b, 1, []sse.Position{at(5)}},
		{at(3), zero, a, 1, []sse.Position{at(4), at(8)}}, // at(8) if the log knows that no more match
		{zero, zero, a, unlimited, []sse.Position{at(4), at(8)}},
		{at(4), zero, a, unlimited, []sse.Position{at(8)}},
		{at(4), at(6), a, unlimited, []sse.Position{at(6)}},
		{zero, at(3), b, unlimited, []sse.Position{at(3)}},
		{zero, at(6), b, unlimited, []sse.Position{at(6)}},
		{zero, at(2), a, unlimited, []sse.Position{at(2)}},
		{at(8), zero, a, unlimited, []sse.Position{at(8)}},
		{at(7), at(8), topics("no such"), unlimited, []sse.Position{at(8)}},
		{at(6), at(3), b, unlimited, []sse.Position{at(6)}},
	} {
		got := l.read(c.after, c.through, c.sel, c.limit).Next
		if got != c.want[0] && got != c.want[len(c.want)-1] {
			k.fail(fmt.Sprintf("Next for %s, after %d through %d, in a page of %d bytes",
				showSelection(c.sel), c.after.Seq, c.through.Seq, c.limit), showPosition(got),
				showPosition(c.want[0]))
		}
	}
	beyond := sse.Position{Epoch: empty.Epoch, Seq: at(8).Seq + 5}
	k.equalPositions("Next after the end of the log, through a number beyond it",
		l.read(at(8), beyond, everything, unlimited).Next, at(8))
	k.equalPositions("Next after a number beyond the end of the log",
		l.read(beyond, zero, everything, unlimited).Next, beyond)
}
