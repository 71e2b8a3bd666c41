package ssetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sse-go/sse"
)

const (
	whyPrefix = "if Append fails, an application publishes the events again that have no " +
		"position: if the log had stored such an event, subscribers would receive it twice; if " +
		"the log returned a position for an event that it has not stored, the event would be lost"
	whyOrder = "a resuming subscriber first reads the log and then follows it: if Read and " +
		"Follow differ, the subscriber loses events or receives them twice"
)

var appendCases = []eventLogCase{
	{
		name: "append/positions",
		promise: "Append returns the positions of the entries: their numbers grow from 1, and " +
			"their epoch is the log's epoch, which is not zero; Append ignores the Position that " +
			"an entry has before",
		why: "positions are the event ids with which clients reconnect",
		run: appendPositions,
	},
	{
		name:    "append/gapless",
		promise: "the options declare Gapless: the log leaves out no number",
		why:     "code that relies on Gapless takes a missing number for a lost event",
		needs:   needGapless,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entry("one"))
			l.append(k.entries(4, "a", "b")...)
			l.append(k.entry("six"))
			for i, entry := range l.appended {
				if entry.Position.Seq != uint64(i)+1 {
					k.fail(fmt.Sprintf("the number of entry %d", i+1), entry.Position.Seq, i+1)
				}
			}
		},
	},
	{
		name:    "append/same-positions",
		promise: "Read and Follow return an entry with the position that Append returned",
		why:     whyOrder,
		run: func(k *kit) {
			l := k.open()
			l.append(k.entries(3, "a")...)
			l.append(k.entry("four", "b", "c"))
			k.equalEntries("the entries from Read", l.readAll(everything), l.appended)
			k.equalEntries("the entries from Follow", l.follow(sse.Position{}).take(len(l.appended)),
				l.appended)
		},
	},
	{
		name:    "append/concurrent",
		promise: "Append is safe for concurrent use, and all readers see the same order",
		why:     whyOrder,
		run:     func(k *kit) { appendConcurrentBatches(k, false) },
	},
	{
		name:    "append/contiguous",
		promise: "the options declare Contiguous: the entries of one Append are adjacent",
		why:     "code that relies on Contiguous would find foreign events inside a request",
		needs:   needContiguous,
		run:     func(k *kit) { appendConcurrentBatches(k, true) },
	},
	{
		name: "append/visible-when-stored",
		promise: "Read and Follow return an entry only after it is stored, and Read returns it " +
			"as soon as Append has returned",
		why: "a subscriber might receive an event that is then lost: another event would get " +
			"the same number, and the subscriber would never receive the other event",
		run: appendVisible,
	},
	{
		name: "append/canceled",
		promise: "on error, Append returns the positions of the entries that it has stored: the " +
			"first entries of the request, or none",
		why: whyPrefix,
		run: func(k *kit) {
			l := k.open()
			f := l.follow(sse.Position{})
			l.append(k.entries(2, "a")...)
			ctx, cancel := context.WithCancel(k.ctx)
			cancel()
			// The log may store the entries despite the canceled context.
			_ = l.tryAppend(ctx, k.entries(3, "a")...)
			l.append(k.entries(2, "a")...)
			l.checkAppended(f)
		},
	},
	{
		name: "append/canceled-during",
		promise: "on error, Append returns the positions of the entries that it has stored: the " +
			"first entries of the request, or none",
		why: whyPrefix,
		run: appendCanceledDuring,
	},
	{
		name: "append/failed",
		promise: "on error, Append returns the positions of the entries that it has stored: the " +
			"first entries of the request, or none",
		why:   whyPrefix,
		needs: needFail,
		run: func(k *kit) {
			l := k.open()
			f := l.follow(sse.Position{})
			for n := range 4 {
				k.opts.Fail(l.log, n)
				before := len(l.appended)
				err := l.tryAppend(k.ctx, k.entries(4, "a")...)
				if stored := len(l.appended) - before; err == nil || stored > n {
					k.fail(fmt.Sprintf("Append of 4 entries after Fail(log, %d)", n),
						fmt.Sprintf("%d positions, error %v", stored, err),
						fmt.Sprintf("at most %d positions, and an error", n))
				}
				l.append(k.entry("after a failure", "a"))
			}
			l.checkAppended(f)
		},
	},
}

func appendPositions(k *kit) {
	l := k.open()
	empty := l.locate(sse.Start{}, everything)
	if empty.Epoch == 0 || empty.Seq != 0 || empty.Check != 0 {
		k.fail("the end of an empty log", showPosition(empty),
			"number 0, check 0, an epoch other than 0")
	}
	positioned := k.entry("with a position", "a")
	positioned.Position = sse.Position{Epoch: 7, Seq: 70, Check: 700}
	l.append(k.entry("one", "a"))
	l.append(positioned)
	l.append(k.entries(3, "a", "b")...)
	last := empty
	for i, entry := range l.appended {
		if entry.Position.Epoch != empty.Epoch {
			k.fail(fmt.Sprintf("the epoch of entry %d", i+1), entry.Position.Epoch, empty.Epoch)
		}
		if entry.Position.Seq <= last.Seq || entry.Position.Seq > 1_000_000 {
			k.fail(fmt.Sprintf("the number of entry %d", i+1), entry.Position.Seq,
				fmt.Sprintf("more than %d, and at most 1000000", last.Seq))
		}
		last = entry.Position
	}
	k.equalPositions("the end of the log", l.locate(sse.Start{}, everything), last)
}

// appendConcurrentBatches appends batches of 3 entries from several goroutines. It
// checks that all readers see the entries in the order of their positions. If
// contiguous is true, it also checks that the entries of each batch are adjacent.
func appendConcurrentBatches(k *kit, contiguous bool) {
	const appenders, batches, size = 8, 12, 3
	l := k.open()
	f := l.follow(sse.Position{})
	var (
		wg  sync.WaitGroup
		own [appenders]testLog
	)
	for i := range own {
		own[i] = testLog{kit: k, log: l.log}
		wg.Go(func() {
			for range batches {
				err := own[i].appendInGoroutine(k.entries(size, fmt.Sprint("appender ", i))...)
				if err != nil {
					k.fail("Append, with concurrent Appends", err, "no error")
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range own {
		l.appended = append(l.appended, own[i].appended...)
		if !slices.IsSortedFunc(own[i].appended, bySeq) {
			k.fail("the positions that one goroutine received from successive Appends",
				showEntries(own[i].appended), "growing numbers")
		}
	}
	slices.SortStableFunc(l.appended, bySeq)
	k.equalEntries("the entries from Read, against the positions from Append",
		l.readAll(everything), l.appended)
	k.equalEntries("the entries from Follow, against the positions from Append",
		f.take(len(l.appended)), l.appended)
	for i := 0; contiguous && i < len(l.appended); i += size {
		if l.appended[i].Topics[0] != l.appended[i+size-1].Topics[0] {
			k.fail("the order of the entries", showEntries(l.appended[i:]),
				"groups of 3 adjacent entries by the same appender")
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

// appendInGoroutine appends entries as append does, but returns the error instead of
// ending the case, because only the goroutine of the case may end it.
func (l *testLog) appendInGoroutine(entries ...sse.Entry) error {
	result, err := l.log.Append(l.ctx, sse.AppendRequest{Entries: entries})
	positions := result.Positions
	if err == nil && len(positions) != len(entries) {
		err = fmt.Errorf("%d positions for %d entries", len(positions), len(entries))
	}
	l.record(entries, positions[:min(len(positions), len(entries))])
	return err
}

// appendVisible checks that Read returns each entry after Append has returned, and
// also after Follow has yielded the entry.
func appendVisible(k *kit) {
	const n = 50
	l := k.open()
	readable := func(when string, entry sse.Entry) {
		after := sse.Position{Seq: entry.Position.Seq - 1}
		page, err := l.log.Read(k.ctx, sse.ReadRequest{
			After: after, Through: entry.Position, Selection: everything, Limit: unlimited,
		})
		if err != nil {
			k.fail("Read of an entry "+when, err, "no error")
			return
		}
		k.equalEntries("Read of an entry "+when, page.Entries, []sse.Entry{entry})
	}
	f := l.follow(sse.Position{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			for _, entry := range f.take(1) {
				readable("that Follow has yielded", entry)
			}
		}
	})
	defer wg.Wait() // even if l.append panics to end the case
	for i := range n {
		for _, entry := range l.append(k.entry(fmt.Sprint(i), "a")) {
			readable("after Append has returned", entry)
		}
	}
}

// appendCanceledDuring cancels the context of an Append at a random moment, 20 times.
func appendCanceledDuring(k *kit) {
	l := k.open()
	f := l.follow(sse.Position{})
	for range 20 {
		ctx, cancel := context.WithCancel(k.ctx)
		var wg sync.WaitGroup
		wg.Go(cancel)
		_ = l.tryAppend(ctx, k.entries(10, "a")...)
		wg.Wait()
	}
	l.append(k.entry("the last", "a"))
	l.checkAppended(f)
}

// checkAppended checks that Read and Follow return exactly the entries for which Append
// has returned positions. If Reopen is set, it also checks Read after Reopen.
func (l *testLog) checkAppended(f *follower) {
	k := l.kit
	k.equalEntries("the entries from Read, against the positions from Append",
		l.readAll(everything), l.appended)
	k.equalEntries("the entries from Follow, against the positions from Append",
		f.take(len(l.appended)), l.appended)
	if k.opts.Reopen != nil {
		l.reopen()
		k.equalEntries("the entries from Read after Reopen", l.readAll(everything), l.appended)
	}
}
