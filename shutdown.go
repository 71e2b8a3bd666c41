package sse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// reconnectRate is the number of clients per second that should reconnect to the new
// process after all streams have ended at once.
const reconnectRate = 2000

// shutdown is Broker.Shutdown. The streams end during the time over.
func (st *state) shutdown(ctx context.Context, over time.Duration) error {
	st.mu.Lock()
	st.draining = true
	rest := append([]*subscriber(nil), st.subscribers...)
	over = max(over, 0)
	if st.retrySpread = time.Second; over == 0 {
		st.retrySpread = spreadFor(len(rest))
	}
	if st.allLeft == nil && st.streams() > 0 {
		st.allLeft = make(chan struct{})
	}
	allLeft := st.allLeft
	st.mu.Unlock()

	if allLeft != nil {
		st.endSpread(ctx, rest, over, allLeft)
	}

	st.mu.Lock()
	st.closed = true
	for _, s := range st.subscribers {
		st.endLocked(s, ErrShutdown) // streams that began at the last moment
	}
	st.appends.releaseAll() // before awaitAllLeft, which waits for hooks that may publish
	st.mu.Unlock()
	err := st.awaitAllLeft(ctx, allLeft)
	if loopsErr := st.loops.stop(ctx, &st.mu); err == nil {
		err = loopsErr
	}
	if st.follower.stop != nil {
		st.follower.stop()
	}
	if logErr := st.awaitLogIdle(ctx); err == nil {
		err = logErr
	}
	return err
}

// spreadFor returns the time over which the clients of the given number of streams
// should reconnect, if all these streams end at once.
func spreadFor(streams int) time.Duration {
	return time.Duration(max(1, streams/reconnectRate)) * time.Second
}

// awaitLogIdle blocks until no call of EventLog.Append or EventLog.Follow is running, or
// until ctx is done. If ctx is done first, it returns an error.
func (st *state) awaitLogIdle(ctx context.Context) error {
	if st.log == nil {
		return nil
	}
	idle := make(chan struct{})
	go func() { // ends when the running calls of Follow and Append return
		st.follower.done.Wait()
		st.appends.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sse: Broker.Log is still running at shutdown: %w", context.Cause(ctx))
	}
}

// endSpread ends the streams in rest: at equal intervals and in random order during the
// time over, or all at once if over is zero. It returns early if ctx is done, or if
// allLeft is closed because no stream is left.
func (st *state) endSpread(ctx context.Context, rest []*subscriber, over time.Duration,
	allLeft <-chan struct{}) {
	due := func(i int) time.Duration {
		return time.Duration(float64(over) * float64(i+1) / float64(len(rest)))
	}
	if over > 0 {
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	startedAt := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, n := 0, len(rest); i < n; {
		timer.Reset(time.Until(startedAt.Add(due(i))))
		select {
		case <-timer.C:
		case <-allLeft:
			return
		case <-ctx.Done():
			return
		}
		// End every stream that is due by now, so that a late timer does not delay
		// the others.
		elapsed := time.Since(startedAt)
		st.mu.Lock()
		for ; i < n && due(i) <= elapsed; i++ {
			if rest[i].links() != nil { // the stream has not ended on its own
				st.endLocked(rest[i], ErrShutdown)
			}
		}
		st.mu.Unlock()
	}
}

// awaitAllLeft blocks until allLeft is closed because no stream is left. If ctx is done
// first, it aborts the remaining streams and returns an error. It also returns an error
// if a stream is still beginning, or if OnDisconnect is still running. A stream that is
// still beginning cannot be aborted. Such a stream ends on its own, because state.enter
// refuses it. A nil allLeft means that there was no stream when Shutdown was called.
func (st *state) awaitAllLeft(ctx context.Context, allLeft <-chan struct{}) error {
	if allLeft == nil {
		return nil
	}
	select {
	case <-allLeft:
		return nil
	case <-ctx.Done():
	}
	st.mu.Lock()
	left, hooks, starting := len(st.subscribers), st.disconnecting, st.starting
	for _, s := range st.subscribers {
		s.transport.abort()
	}
	st.mu.Unlock()
	switch {
	case left == 0 && hooks > 0:
		return fmt.Errorf("sse: OnDisconnect is still running at shutdown: %w", context.Cause(ctx))
	case left == 0 && starting > 0:
		return fmt.Errorf("sse: %d streams were still beginning at shutdown: %w",
			starting, context.Cause(ctx))
	case left == 0:
		return nil
	}
	return fmt.Errorf("sse: %d streams were cut off at shutdown: %w", left, context.Cause(ctx))
}
