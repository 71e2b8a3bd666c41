package ssetest

import (
	"fmt"
	"strings"

	"github.com/sse-go/sse"
)

const whyPages = "a subscriber reads page after page: events are lost or come twice where two " +
	"pages meet, or it never arrives at the end"

var readCases = []eventLogCase{
	{
		name: "read/after-through",
		promise: "Read returns what is after one position, without that, up to another, with " +
			"that; only the numbers of the positions count",
		why: "events are lost or come twice where a subscriber resumes, and where it goes over " +
			"from the log to the broker's memory",
		run: readAfterThrough,
	},
	{
		name: "read/through-the-beginning",
		promise: "a zero through means the end of the log; but an epoch with the number 0 is the " +
			"place before the first entry, up to which there is nothing",
		why: "a broker whose memory begins with the first event reads up to there, and what is " +
			"after it from its memory: it would come twice",
		run: func(k *kit) {
			l := k.open()
			beginning := l.locate(sse.Start{}, everything)
			l.append(k.entries(3, "a")...)
			page := l.read(sse.Position{}, beginning, topics("a"), plenty)
			k.same("a page through the beginning", page.Entries, nil)
			if page.Next.Seq != 0 {
				k.found("its Next", page.Next.Seq, 0)
			}
			k.same("a page through zero", l.read(beginning, sse.Position{}, topics("a"),
				plenty).Entries, l.all)
		},
	},
	{
		name: "read/limit",
		promise: "a page has at least one entry, if there is any, and otherwise about as many as " +
			"have limit bytes of topics, ids, types and data",
		why: "the limit is what bounds the memory of thousands of subscribers that catch up; and " +
			"one that gets nothing does not get on",
		run: readLimit,
	},
	{
		name: "read/next",
		promise: "Next is the position of the last entry, or, if there are no more, and always " +
			"without any, that up to which was asked or the log's last, whichever is earlier, but " +
			"never before after",
		why: whyPages,
		run: readNext,
	},
	{
		name:    "read/page-by-page",
		promise: "reading on from Next, page by page, returns everything exactly once",
		why:     whyPages,
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
				for _, limit := range []int{1, 10, 100, 333, 1000, plenty} {
					k.same(fmt.Sprintf("%s, in pages of %d bytes", show(sel), limit),
						l.readAll(sse.Position{}, sse.Position{}, sel, limit),
						selected(l.all, sel))
					k.same(fmt.Sprintf("%s, in pages of %d bytes, after 7 through 40", show(sel),
						limit),
						l.readAll(l.all[6].Position, l.all[39].Position, sel, limit),
						selected(l.all[7:40], sel))
				}
			}
		},
	},
	{
		name:    "read/rare",
		promise: "a page has at least one entry, if there is any, however far away that is",
		why:     "an empty page means that there is nothing: what is behind it would be lost",
		run: func(k *kit) {
			l := k.open()
			for i := range 12 {
				l.append(k.entries(100, "often")...)
				if i == 4 || i == 9 {
					l.append(k.entry("rare", "rare"))
				}
			}
			for _, sel := range []sse.Selection{topics("rare"), patterns("rare")} {
				k.same("two entries among 1200 of another topic, for "+show(sel),
					l.readAll(sse.Position{}, sse.Position{}, sel, 1), selected(l.all, sel))
			}
		},
	},
	{
		name:    "read/nothing-held",
		promise: "nothing is held between calls: positions are all that a reader has",
		why:     "thousands of subscribers may be on their way through the log",
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(5, "a")...)
			for i := range l.all { // backwards, and again and again
				after := l.all[len(l.all)-1-i].Position
				for range 3 {
					k.same(fmt.Sprintf("what is after %d", after.Seq),
						l.readAll(after, sse.Position{}, topics("a"), plenty), l.all[len(l.all)-i:])
				}
			}
		},
	},
}

func readAfterThrough(k *kit) {
	l := k.open()
	l.append(k.entries(6, "a")...)
	for i := range len(l.all) + 1 {
		for j := range len(l.all) + 1 {
			after, through := sse.Position{}, sse.Position{}
			if i > 0 {
				after.Seq = l.all[i-1].Position.Seq
			}
			want := l.all[i:]
			if j > 0 {
				through.Seq = l.all[j-1].Position.Seq
				want = l.all[i:max(i, j)]
			}
			k.same(fmt.Sprintf("a page after %d through %d", after.Seq, through.Seq),
				l.read(after, through, topics("a"), plenty).Entries, want)
			if i == 0 || j == 0 {
				continue
			}
			after.Epoch, through.Check = 1, 2
			k.same("the same, with another epoch and check",
				l.read(after, through, topics("a"), plenty).Entries, want)
		}
	}
	beyond := sse.Position{Seq: l.end().Seq + 10}
	k.same("a page through a number that is not there yet",
		l.read(l.all[3].Position, beyond, topics("a"), plenty).Entries, l.all[4:])
	k.same("a page after a number that is not there yet",
		l.read(beyond, sse.Position{}, topics("a"), plenty).Entries, nil)
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
	for _, limit := range []int{-1, 0, 1, size, 8 * size, 16 * size, n * size, plenty} {
		page := l.read(sse.Position{}, sse.Position{}, patterns("*"), limit)
		got := len(page.Entries)
		// "About" is a factor of four here.
		least, most := max(1, min(n, limit/size/4)), min(n, max(1, 4*limit/size))
		if limit >= 4*n*size {
			least = n
		}
		if got < least || got > most {
			k.found(fmt.Sprintf("entries of %d bytes in a page of %d bytes", size, limit), got,
				fmt.Sprintf("%d to %d", least, most))
		}
		k.same("the entries in the page", page.Entries, l.all[:min(got, n)])
	}
}

func readNext(k *kit) {
	l := k.open()
	empty := l.locate(sse.Start{}, everything)
	k.equalPositions("Next in an empty log",
		l.read(sse.Position{}, sse.Position{}, everything, plenty).Next, empty)
	l.append(k.entries(4, "a")...)
	l.append(k.entries(4, "b")...)
	zero, a, b := sse.Position{}, topics("a"), topics("b")
	at := func(n int) sse.Position { return l.all[n-1].Position }
	for _, c := range []struct {
		after, through sse.Position
		sel            sse.Selection
		limit          int
		want           []sse.Position
	}{
		{zero, zero, a, 1, []sse.Position{at(1)}},
		{at(1), zero, a, 1, []sse.Position{at(2)}},
		{zero, zero, b, 1, []sse.Position{at(5)}},
		{at(3), zero, a, 1, []sse.Position{at(4), at(8)}}, // whether it knows, or not
		{zero, zero, a, plenty, []sse.Position{at(4), at(8)}},
		{at(4), zero, a, plenty, []sse.Position{at(8)}},
		{at(4), at(6), a, plenty, []sse.Position{at(6)}},
		{zero, at(3), b, plenty, []sse.Position{at(3)}},
		{zero, at(6), b, plenty, []sse.Position{at(6)}},
		{zero, at(2), a, plenty, []sse.Position{at(2)}},
		{at(8), zero, a, plenty, []sse.Position{at(8)}},
		{at(7), at(8), topics("no such"), plenty, []sse.Position{at(8)}},
		{at(6), at(3), b, plenty, []sse.Position{at(6)}},
	} {
		got := l.read(c.after, c.through, c.sel, c.limit).Next
		if got != c.want[0] && got != c.want[len(c.want)-1] {
			k.found(fmt.Sprintf("Next of %s, after %d through %d, in %d bytes", show(c.sel),
				c.after.Seq, c.through.Seq, c.limit), showPosition(got), showPosition(c.want[0]))
		}
	}
	beyond := sse.Position{Epoch: empty.Epoch, Seq: at(8).Seq + 5}
	k.equalPositions("Next after the end of the log, through a number that is not there yet",
		l.read(at(8), beyond, everything, plenty).Next, at(8))
	k.equalPositions("Next after a number that is not there yet",
		l.read(beyond, zero, everything, plenty).Next, beyond)
}
