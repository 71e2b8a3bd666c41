package ssetest

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse"
)

// follower runs one call of Follow in its own goroutine.
type follower struct {
	*kit
	cancel  context.CancelFunc
	entries chan sse.Entry
	done    chan struct{} // closed when Follow has ended
	err     error         // the last error of Follow; read it only after done is closed
}

// follow starts a follower. The case ends the follower when the case itself ends.
func (l *testLog) follow(after sse.Position) *follower {
	ctx, cancel := context.WithCancel(l.ctx)
	f := &follower{
		kit: l.kit, cancel: cancel,
		entries: make(chan sse.Entry), done: make(chan struct{}),
	}
	l.followers = append(l.followers, f)
	go func() {
		defer close(f.done)
		for entry, err := range l.log.Follow(ctx, sse.ReadRequest{After: after}) {
			if f.err != nil {
				l.fail("a value that Follow yields after an error", showEntry(entry), "none")
				return
			}
			if err != nil {
				f.err = err
				continue
			}
			select {
			case f.entries <- entry:
			case <-ctx.Done(): // discard the entry and wait for Follow to end
			}
		}
	}()
	return f
}

// take blocks until Follow has yielded n entries, and returns them. If Follow ends
// early or the case times out, take records a failure and returns the entries so far.
func (f *follower) take(n int) []sse.Entry {
	var entries []sse.Entry
	for len(entries) < n {
		select {
		case entry := <-f.entries:
			entries = append(entries, entry)
		case <-f.done:
			f.fail(fmt.Sprintf("waiting for %d entries from Follow", n),
				fmt.Sprintf("Follow ended with error %v after %s", f.err, showEntries(entries)),
				"Follow ends only when its context is done")
			return entries
		case <-f.ctx.Done():
			f.fail(fmt.Sprintf("waiting for %d entries from Follow", n),
				"a timeout after "+showEntries(entries), "all entries")
			return entries
		}
	}
	return entries
}

// end cancels the context of Follow and blocks until Follow has ended. It discards the
// entries that Follow still yields. If Follow does not end in time, end records a
// failure.
func (f *follower) end() {
	f.cancel()
	timer := time.NewTimer(caseTimeout)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		f.fail("Follow, after its context is done",
			fmt.Sprint("still running after ", caseTimeout), "Follow ends")
	}
}
