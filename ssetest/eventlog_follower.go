package ssetest

import (
	"context"
	"fmt"
	"time"

	"github.com/sse-go/sse"
)

// follower runs one Follow in a goroutine of its own.
type follower struct {
	*kit
	cancel  context.CancelFunc
	entries chan sse.Entry
	done    chan struct{} // closed when Follow has ended
	err     error         // with which it has; read it after done
}

// follow begins to follow. The case's end ends it.
func (l *tested) follow(after sse.Position) *follower {
	ctx, cancel := context.WithCancel(l.ctx)
	f := &follower{
		kit: l.kit, cancel: cancel,
		entries: make(chan sse.Entry), done: make(chan struct{}),
	}
	l.followers = append(l.followers, f)
	go func() {
		defer close(f.done)
		for entry, err := range l.log.Follow(ctx, after) {
			if f.err != nil {
				l.found("what Follow yields after an error", showEntry(entry), "nothing")
				return
			}
			if err != nil {
				f.err = err
				continue
			}
			select {
			case f.entries <- entry:
			case <-ctx.Done(): // nobody takes it; the loop goes on to the end
			}
		}
	}()
	return f
}

// take waits for n entries. It returns fewer if Follow ends, or too much time
// has passed.
func (f *follower) take(n int) []sse.Entry {
	var entries []sse.Entry
	for len(entries) < n {
		select {
		case entry := <-f.entries:
			entries = append(entries, entry)
		case <-f.done:
			f.found(fmt.Sprintf("Follow, of which %d entries are expected", n),
				fmt.Sprintf("its end, with error %v, after %s", f.err, showEntries(entries)),
				"that it goes on until its context is done")
			return entries
		case <-f.ctx.Done():
			f.found(fmt.Sprintf("Follow, of which %d entries are expected", n),
				"nothing more, for long, after "+showEntries(entries), "the rest")
			return entries
		}
	}
	return entries
}

// end cancels the context and waits for Follow to end. What comes meanwhile is
// thrown away.
func (f *follower) end() {
	f.cancel()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		f.found("Follow, after its context is done", "it goes on", "its end")
	}
}
