package sse

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// followRetryDelay is how long the follower waits before it calls Follow again
// after an error.
const followRetryDelay = time.Second

// errNewEpoch ends all streams when the log begins a new epoch: their clients
// reconnect and receive a gap.
var errNewEpoch = fmt.Errorf("%w: the log has begun a new epoch", ErrClosed)

// follower copies new entries of the log into the window, the broker's memory of
// recent events. Subscribers see an entry when it is in the window.
type follower struct {
	st   *state
	stop context.CancelFunc // makes run return
	done sync.WaitGroup     // waits for the goroutine of run
}

// start begins to follow the log after a position.
func (f *follower) start(st *state, after Position) {
	f.st = st
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.done.Go(func() { f.run(ctx, after) })
}

// run follows the log until ctx is done. If Follow ends before that, for example
// after an error, run waits for followRetryDelay and calls Follow again.
func (f *follower) run(ctx context.Context, after Position) {
	for ctx.Err() == nil {
		for x, err := range f.st.log.Follow(ctx, ReadRequest{After: after}) {
			if err == nil {
				f.insert(&x)
				after = x.Position
			} else if ctx.Err() == nil {
				f.st.logger.Error("sse: Broker.Log cannot be followed; another attempt follows",
					"error", err)
			}
		}
		timer := time.NewTimer(followRetryDelay)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// insert appends an entry of the log to the window, wakes the subscribers that have
// selected it, and unblocks the publishers that wait for it.
func (f *follower) insert(x *Entry) {
	st := f.st
	e := entryFromLog(x)
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case x.Position.Epoch != st.window.epoch:
		f.restartWindow(x.Position)
	case x.Position.Seq <= st.window.last.Seq:
		return // the window already has the entry
	case x.Position.Seq > st.window.last.Seq+1:
		// The log has left out numbers, or has removed entries before the follower
		// received them. Only the log knows which of the two has happened.
		// Therefore the window now begins right before x, and subscribers read all
		// earlier entries from the log.
		st.window.base = Position{Epoch: st.window.epoch, Seq: x.Position.Seq - 1}
	}
	st.window.append(e, x.Topics)
	st.wakeSubscribers(e)
	st.appends.release(Position{Epoch: st.window.epoch, Seq: e.seq})
}

// restartWindow replaces the window by an empty window that begins right before p,
// a position of another epoch. It ends all streams, because their cursors belong to
// the old epoch.
func (f *follower) restartWindow(p Position) {
	st := f.st
	for _, s := range st.subscribers {
		st.endLocked(s, errNewEpoch)
	}
	st.dirtyChains = nil
	st.window = newWindow(st.broker.Retention, nil)
	st.window.mu, st.window.lossless = &st.mu, true
	st.window.begin(Position{Epoch: p.Epoch, Seq: p.Seq - 1})
	st.appends.lastReleased = p.Seq // so that release looks at every waiter
}
