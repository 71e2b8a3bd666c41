package ssetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sse-go/sse"
)

const (
	whyPrefix = "an event that was reported as failed would be published again by its " +
		"application, and come twice; or its number would be given to another"
	whyOrder = "a subscriber that resumes reads the log; one that is there follows it. If " +
		"they disagree, events are lost or come twice where the two meet"
)

var appendCases = []eventLogCase{
	{
		name: "append/positions",
		promise: "Append returns the positions: the numbers grow, from 1, the epoch is the " +
			"log's own and not zero, Check is that of the entry; the entry's Position is ignored",
		why: "positions are the ids that clients come back with",
		run: appendPositions,
	},
	{
		name:    "append/gapless",
		promise: "the log declares that it leaves out no number",
		why:     "who counts on it takes a number left out for an event that is lost",
		needs:   needGapless,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entry("one"))
			l.append(k.entries(4, "a", "b")...)
			l.append(k.entry("six"))
			for i, entry := range l.all {
				if entry.Position.Seq != uint64(i)+1 {
					k.found(fmt.Sprintf("the number of entry %d", i+1), entry.Position.Seq, i+1)
				}
			}
		},
	},
	{
		name:    "append/one-place",
		promise: "the position that Append returns is the one that Read and Follow show",
		why:     whyOrder,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			l.append(k.entry("four", "b", "c"))
			k.same("what Read shows", l.kept(everything), l.all)
			k.same("what Follow shows", l.follow(sse.Position{}).take(len(l.all)), l.all)
		},
	},
	{
		name:    "append/concurrent",
		promise: "Append is safe for concurrent use, and there is one order for all",
		why:     whyOrder,
		run:     func(k *kit) { appendConcurrently(k, false) },
	},
	{
		name:    "append/contiguous",
		promise: "the log declares that the entries of one Append follow each other",
		why:     "who counts on it would find the events of others between its own",
		needs:   needContiguous,
		run:     func(k *kit) { appendConcurrently(k, true) },
	},
	{
		name: "append/visible-when-kept",
		promise: "an entry is never seen by Read or Follow before it is kept, and can be read " +
			"once Append has returned",
		why: "an event that a subscriber has seen, and that is lost, leaves its number to " +
			"another event",
		run: appendVisible,
	},
	{
		name:    "append/canceled",
		promise: "on error, Append returns the positions of those that it has kept, a prefix",
		why:     whyPrefix,
		run: func(k *kit) {
			l := k.open()
			f := l.follow(sse.Position{})
			l.append(k.entries(2, "a")...)
			ctx, cancel := context.WithCancel(k.ctx)
			cancel()
			// Whether it keeps them all the same is the log's business.
			_ = l.appendSome(ctx, k.entries(3, "a")...)
			l.append(k.entries(2, "a")...)
			l.sawPrefix(f)
		},
	},
	{
		name:    "append/canceled-meanwhile",
		promise: "on error, Append returns the positions of those that it has kept, a prefix",
		why:     whyPrefix,
		run:     appendCanceledMeanwhile,
	},
	{
		name:    "append/failed",
		promise: "on error, Append returns the positions of those that it has kept, a prefix",
		why:     whyPrefix,
		needs:   needFail,
		run: func(k *kit) {
			l := k.open()
			f := l.follow(sse.Position{})
			for n := range 4 {
				k.opts.Fail(l.log, n)
				before := len(l.all)
				err := l.appendSome(k.ctx, k.entries(4, "a")...)
				if kept := len(l.all) - before; err == nil || kept > n {
					k.found(fmt.Sprintf("Append of 4 entries, which fails after %d", n),
						fmt.Sprintf("%d positions, error %v", kept, err), "an error, and no more")
				}
				l.append(k.entry("after a failure", "a"))
			}
			l.sawPrefix(f)
		},
	},
}

func appendPositions(k *kit) {
	l := k.open()
	empty := l.locate(sse.Start{}, everything)
	if empty.Epoch == 0 || empty.Seq != 0 || empty.Check != 0 {
		k.found("the end of an empty log", showPosition(empty), "number 0, check 0, an epoch")
	}
	strange := k.entry("with a position", "a")
	strange.Position = sse.Position{Epoch: 7, Seq: 70, Check: 700}
	l.append(k.entry("one", "a"))
	l.append(strange)
	l.append(k.entries(3, "a", "b")...)
	last := empty
	for i, entry := range l.all {
		want := sse.Position{Epoch: empty.Epoch, Seq: entry.Position.Seq, Check: entry.Check()}
		k.equalPositions(fmt.Sprintf("the position of entry %d", i+1), entry.Position, want)
		if entry.Position.Seq <= last.Seq || entry.Position.Seq > 1_000_000 {
			k.found(fmt.Sprintf("the number of entry %d", i+1), entry.Position.Seq,
				fmt.Sprintf("a little more than %d", last.Seq))
		}
		last = entry.Position
	}
	k.equalPositions("the end of the log", l.locate(sse.Start{}, everything), last)
}

// appendConcurrently has several goroutines append batches.
func appendConcurrently(k *kit, contiguous bool) {
	const appenders, batches, size = 8, 12, 3
	l := k.open()
	f := l.follow(sse.Position{})
	var (
		wg  sync.WaitGroup
		own [appenders]tested
	)
	for i := range own {
		own[i] = tested{kit: k, log: l.log}
		wg.Go(func() {
			for range batches {
				err := own[i].appendConcurrent(k.entries(size, fmt.Sprint("appender ", i))...)
				if err != nil {
					k.found("Append, while others append", err, "no error")
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range own {
		l.all = append(l.all, own[i].all...)
		if !slices.IsSortedFunc(own[i].all, bySeq) {
			k.found("the positions of one appender, one Append after the other",
				showEntries(own[i].all), "growing numbers")
		}
	}
	slices.SortStableFunc(l.all, bySeq)
	k.same("what Read shows, against the positions that Append has returned",
		l.kept(everything), l.all)
	k.same("what Follow shows, against the positions that Append has returned",
		f.take(len(l.all)), l.all)
	for i := 0; contiguous && i < len(l.all); i += size {
		if l.all[i].Topics[0] != l.all[i+size-1].Topics[0] {
			k.found("the order", showEntries(l.all[i:]), "batches of 3 by the same appender")
			return
		}
	}
}

func bySeq(a, b sse.Entry) int {
	switch {
	case a.Position.Seq < b.Position.Seq:
		return -1
	case a.Position.Seq > b.Position.Seq:
		return 1
	}
	return 0
}

// appendConcurrent is append for goroutines other than the case's.
func (l *tested) appendConcurrent(entries ...sse.Entry) error {
	positions, err := l.log.Append(l.ctx, entries...)
	if err == nil && len(positions) != len(entries) {
		err = fmt.Errorf("%d positions for %d entries", len(positions), len(entries))
	}
	l.note(entries, positions[:min(len(positions), len(entries))])
	return err
}

// appendVisible reads each entry when Append has returned, and when Follow has
// shown it.
func appendVisible(k *kit) {
	const n = 50
	l := k.open()
	readable := func(when string, entry sse.Entry) {
		after := sse.Position{Seq: entry.Position.Seq - 1}
		page, err := l.log.Read(k.ctx, after, entry.Position, everything, plenty)
		if err != nil {
			k.found("Read "+when, err, "no error")
			return
		}
		k.same("Read "+when, page.Entries, []sse.Entry{entry})
	}
	f := l.follow(sse.Position{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			for _, entry := range f.take(1) {
				readable("of an entry that Follow has shown", entry)
			}
		}
	})
	defer wg.Wait() // also if append stops the case
	for i := range n {
		for _, entry := range l.append(k.entry(fmt.Sprint(i), "a")) {
			readable("of an entry, after Append", entry)
		}
	}
}

// appendCanceledMeanwhile cancels at any moment of an Append.
func appendCanceledMeanwhile(k *kit) {
	l := k.open()
	f := l.follow(sse.Position{})
	for range 20 {
		ctx, cancel := context.WithCancel(k.ctx)
		var wg sync.WaitGroup
		wg.Go(cancel)
		_ = l.appendSome(ctx, k.entries(10, "a")...)
		wg.Wait()
	}
	l.append(k.entry("the last", "a"))
	l.sawPrefix(f)
}

// sawPrefix checks that what the log has returned positions of is all there is.
func (l *tested) sawPrefix(f *follower) {
	k := l.kit
	k.same("what Read shows, against the positions that Append has returned",
		l.kept(everything), l.all)
	k.same("what Follow shows, against the positions that Append has returned",
		f.take(len(l.all)), l.all)
	if k.opts.Reopen != nil {
		l.reopen()
		k.same("what Read shows after the log was opened again", l.kept(everything), l.all)
	}
}
