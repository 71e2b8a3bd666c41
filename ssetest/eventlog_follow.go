package ssetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/sse-go/sse"
)

const whyFollow = "what Follow shows is what live subscribers get: they do not ask again for " +
	"what it leaves out, and drop nothing that comes twice"

var followCases = []eventLogCase{
	{
		name: "follow/from",
		promise: "Follow returns every entry after a position: those that are kept, and then " +
			"those to come; zero is before the first",
		why: whyFollow,
		run: func(k *kit) {
			l := k.open()
			empty := l.locate(sse.Start{}, everything)
			early := l.follow(empty)
			l.append(k.entries(5, "a", "b")...)
			from := map[string]*follower{
				"zero":                     l.follow(sse.Position{}),
				"the end of the empty log": l.follow(empty),
				"the middle":               l.follow(l.all[2].Position),
				"the end":                  l.follow(l.end()),
			}
			skip := map[string]int{"the middle": 3, "the end": 5}
			l.append(k.entry("without a topic"))
			l.append(k.entries(2, "c")...)
			for name, f := range from {
				want := l.all[skip[name]:]
				k.same("what Follow shows from "+name, f.take(len(want)), want)
			}
			k.same("what Follow shows that began in an empty log", early.take(len(l.all)), l.all)
		},
	},
	{
		name:    "follow/appended-meanwhile",
		promise: "Follow leaves out none that is appended while it is on its way, and shows none twice",
		why:     whyFollow,
		run:     followMeanwhile,
	},
	{
		name:    "follow/agrees-with-read",
		promise: "Follow and Read show the same entries in the same order, whoever appends",
		why:     whyOrder,
		run: func(k *kit) {
			l := k.open()
			own := tested{kit: k, log: l.log}
			done := make(chan error, 1)
			go func() {
				var err error
				for i := 0; i < 100 && err == nil; i++ {
					err = own.appendConcurrent(k.entries(1+i%3, "a", "b")...)
				}
				done <- err
			}()
			var followers []*follower
			for range 5 { // each begins at another moment
				f := l.follow(sse.Position{})
				followers = append(followers, f)
				f.take(1)
			}
			if err := <-done; err != nil {
				k.found("Append", err, "no error")
			}
			l.all = own.all
			all := l.kept(everything)
			for _, f := range followers {
				k.same("what Follow shows after the first entry, against what Read shows",
					f.take(len(all)-1), all[min(1, len(all)):])
			}
		},
	},
	{
		name:    "follow/ends",
		promise: "Follow ends when its context is done, with the context's error or nothing more",
		why:     "a broker that shuts down waits for it",
		run:     followEnds,
	},
	{
		name:    "follow/break",
		promise: "who has enough breaks out of the loop, and may follow again",
		why:     "a broker begins anew, after an error too",
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			for i := range 50 {
				var got []sse.Entry
				for entry, err := range l.log.Follow(k.ctx, sse.Position{}) {
					if err != nil {
						k.stop("Follow", err, "no error")
					}
					got = append(got, entry)
					if len(got) > i%3 {
						break
					}
				}
				k.same("what Follow shows before a break", got, l.all[:1+i%3])
			}
			l.append(k.entry("after the breaks", "a"))
			k.same("what Follow shows after others broke off",
				l.follow(sse.Position{}).take(4), l.all)
		},
	},
	{
		name:    "follow/again",
		promise: "a Follow from where another has ended shows exactly the rest",
		why:     whyFollow,
		run: func(k *kit) {
			l := k.open()
			var got []sse.Entry
			after := l.locate(sse.Start{}, everything)
			for i := range 10 {
				f := l.follow(after)
				l.append(k.entries(5, fmt.Sprint(i))...)
				some := f.take(3) // and leaves 2 more each time
				if len(some) < 3 {
					return
				}
				f.end()
				got = append(got, some...)
				after = some[2].Position
			}
			k.same("what 10 Follows have shown", got, l.all[:30])
			k.same("what is left", l.follow(after).take(20), l.all[30:])
		},
	},
}

// followMeanwhile appends in the loop itself: at every moment between what was
// there when Follow began and what has come since.
func followMeanwhile(k *kit) {
	for _, old := range []int{0, 1, 4} {
		l := k.open()
		l.append(k.entry("the first", "a"))
		l.append(k.entries(old, "a")...)
		total := old + 8
		ctx, cancel := context.WithCancel(k.ctx)
		var got []sse.Entry
		for entry, err := range l.log.Follow(ctx, sse.Position{}) {
			if err != nil {
				k.found(fmt.Sprintf("Follow, after %d of %d entries", len(got), total+1), err,
					"no error")
				break
			}
			got = append(got, entry)
			if len(l.all) < total {
				l.append(k.entry("meanwhile", "b"))
			}
			if len(got) == len(l.all) && len(l.all) == total {
				// One more, to see whether something comes twice.
				l.append(k.entry("the last", "c"))
			}
			if entry.Position == l.end() || len(got) > 2*total {
				break
			}
		}
		cancel()
		k.same("what Follow shows, against what was appended in its loop", got, l.all)
	}
}

func followEnds(k *kit) {
	l := k.open()
	l.append(k.entries(2, "a")...)
	waiting := l.follow(sse.Position{})
	waiting.take(2)
	k.ends("while it waits", waiting)

	amid := l.follow(sse.Position{})
	amid.take(1)
	k.ends("while there is more", amid)

	canceled, cancel := context.WithCancel(k.ctx)
	cancel()
	n := 0
	for _, err := range l.log.Follow(canceled, sse.Position{}) {
		if n++; n > 10 {
			k.found("Follow, with a context that was done before", "it goes on", "its end")
			break
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			k.found("Follow, with a context that was done before", err, context.Canceled)
		}
	}
	l.append(k.entry("three", "a"))
	k.same("what is kept after all that", l.kept(everything), l.all)
}

func (k *kit) ends(when string, f *follower) {
	f.end()
	select {
	case <-f.done:
		if f.err != nil && !errors.Is(f.err, context.Canceled) {
			k.found("the error of Follow, whose context is done "+when, f.err, context.Canceled)
		}
	default: // end has told
	}
}
