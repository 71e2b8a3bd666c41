package ssetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/sse-go/sse"
)

const whyFollow = "connected subscribers receive the entries that Follow yields: they never " +
	"receive an entry that Follow leaves out, and receive a repeated entry twice"

var followCases = []eventLogCase{
	{
		name: "follow/from",
		promise: "Follow yields every entry after a position: first the stored entries, then new " +
			"ones; the zero Position is before the first entry",
		why: whyFollow,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			early := l.follow(empty)
			l.append(k.entries(5, "a", "b")...)
			from := map[string]*follower{
				"zero":                     l.follow(sse.Position{}),
				"the end of the empty log": l.follow(empty),
				"the middle":               l.follow(l.appended[2].Position),
				"the end":                  l.follow(l.end()),
			}
			skip := map[string]int{"the middle": 3, "the end": 5}
			l.append(k.entry("without a topic"))
			l.append(k.entries(2, "c")...)
			for name, f := range from {
				want := l.appended[skip[name]:]
				k.equalEntries("the entries from Follow after "+name, f.take(len(want)), want)
			}
			k.equalEntries("the entries from a Follow that began in an empty log",
				early.take(len(l.appended)), l.appended)
		},
	},
	{
		name: "follow/concurrent-append",
		promise: "Follow yields every entry exactly once, even an entry that is appended while " +
			"Follow still yields earlier ones",
		why: whyFollow,
		run: followConcurrentAppend,
	},
	{
		name: "follow/agrees-with-read",
		promise: "Follow and Read return the same entries in the same order, even with " +
			"concurrent Appends",
		why: whyOrder,
		run: func(k *kit) {
			l := k.open()
			own := testLog{kit: k, log: l.log}
			done := make(chan error, 1)
			go func() {
				var err error
				for i := 0; i < 100 && err == nil; i++ {
					err = own.appendInGoroutine(k.entries(1+i%3, "a", "b")...)
				}
				done <- err
			}()
			var followers []*follower
			for range 5 { // each follower begins at another moment during the Appends
				f := l.follow(sse.Position{})
				followers = append(followers, f)
				f.take(1)
			}
			if err := <-done; err != nil {
				k.fail("Append", err, "no error")
			}
			l.appended = own.appended
			all := l.readAll(everything)
			for _, f := range followers {
				k.equalEntries("the entries from Follow after the first, against those from Read",
					f.take(len(all)-1), all[min(1, len(all)):])
			}
		},
	},
	{
		name: "follow/ends",
		promise: "Follow ends when its context is done, with or without yielding the context's " +
			"error as its last value",
		why: "a broker waits for its Follow to end when it shuts down",
		run: followEnds,
	},
	{
		name:    "follow/break",
		promise: "a caller may break out of the loop over Follow and call Follow again",
		why:     "a broker calls Follow again after an error",
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for i := range 50 {
				var got []sse.Entry
				for entry, err := range l.log.Follow(k.ctx, sse.ReadRequest{}) {
					if err != nil {
						k.fatal("Follow", err, "no error")
					}
					got = append(got, entry)
					if len(got) > i%3 {
						break
					}
				}
				k.equalEntries("the entries from Follow before a break", got, l.appended[:1+i%3])
			}
			l.append(k.entry("after the breaks", "a"))
			k.equalEntries("the entries from Follow after 50 loops with a break",
				l.follow(sse.Position{}).take(4), l.appended)
		},
	},
	{
		name:    "follow/resume",
		promise: "a Follow after the last entry of an earlier Follow yields exactly the rest",
		why:     whyFollow,
		run: func(k *kit) {
			l := k.open()
			var got []sse.Entry
			after := l.locate(sse.Start{}, everything)
			for i := range 10 {
				f := l.follow(after)
				l.append(k.entries(5, fmt.Sprint(i))...)
				next := f.take(3) // each round appends 5 and takes 3, so 2 more remain
				if len(next) < 3 {
					return
				}
				f.end()
				got = append(got, next...)
				after = next[2].Position
			}
			k.equalEntries("the entries from 10 successive Follows", got, l.appended[:30])
			k.equalEntries("the entries after the last Follow", l.follow(after).take(20), l.appended[30:])
		},
	},
}

// followConcurrentAppend appends entries inside the loop over Follow: first while Follow
// yields the entries that were stored before the loop began, and then while Follow
// yields the entries that were appended inside the loop.
func followConcurrentAppend(k *kit) {
	for _, stored := range []int{0, 1, 4} {
		l := k.open()
		l.append(k.entry("the first", "a"))
		l.append(k.entries(stored, "a")...)
		total := stored + 8
		ctx, cancel := context.WithCancel(k.ctx)
		var got []sse.Entry
		for entry, err := range l.log.Follow(ctx, sse.ReadRequest{}) {
			if err != nil {
				k.fail(fmt.Sprintf("Follow, after %d of %d entries", len(got), total+1), err,
					"no error")
				break
			}
			got = append(got, entry)
			if len(l.appended) < total {
				l.append(k.entry("in the loop", "b"))
			}
			if len(got) == len(l.appended) && len(l.appended) == total {
				// This last entry ends the loop. If Follow repeats an earlier entry, the
				// repeated entry comes before the last entry.
				l.append(k.entry("the last", "c"))
			}
			if entry.Position == l.end() || len(got) > 2*total {
				break
			}
		}
		cancel()
		k.equalEntries("the entries from Follow, with appends inside its loop", got, l.appended)
	}
}

func followEnds(k *kit) {
	l := k.open()
	l.append(k.entries(2, "a")...)
	waiting := l.follow(sse.Position{})
	waiting.take(2)
	k.checkEnd("while it waits for new entries", waiting)

	behind := l.follow(sse.Position{})
	behind.take(1)
	k.checkEnd("while it has stored entries to yield", behind)

	canceled, cancel := context.WithCancel(k.ctx)
	cancel()
	n := 0
	for _, err := range l.log.Follow(canceled, sse.ReadRequest{}) {
		if n++; n > 10 {
			k.fail("Follow, with a context that is done already", "more than 10 values", "Follow ends")
			break
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			k.fail("the error of Follow, with a context that is done already", err,
				context.Canceled)
		}
	}
	l.append(k.entry("three", "a"))
	k.equalEntries("the entries from Read after three canceled Follows", l.readAll(everything),
		l.appended)
}

// checkEnd cancels the context of f. It checks that Follow ends, and that its error, if
// it yields one, is the error of the context.
func (k *kit) checkEnd(when string, f *follower) {
	f.end()
	select {
	case <-f.done:
		if f.err != nil && !errors.Is(f.err, context.Canceled) {
			k.fail("the error of Follow, if its context is canceled "+when, f.err, context.Canceled)
		}
	default: // end has recorded the failure
	}
}
