package disklog

import (
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
)

const (
	// queued bounds the requests that wait for the committer; whoever comes
	// later waits in Append.
	queued = 1024

	// maxGroup is how many bytes share a sync, but that one request may have more.
	maxGroup = 1 << 20

	// timeEvery is how many entries lie between two time keys, at most.
	timeEvery = 1024
)

// commit is the goroutine that writes what is appended: group by group, each of
// all that came while the one before was synced.
func (l *Log) commit() {
	defer close(l.stopped)
	var group []*request
	for {
		select {
		case r := <-l.requests:
			group = l.gather(group[:0], r)
		case <-l.closing:
			return
		}
		if len(group) == 0 {
			continue
		}
		if err := l.admit(group); err != nil {
			refuse(group, err)
			continue
		}
		l.commitGroup(group)
		clear(group)
	}
}

// gather takes r and the requests that are waiting, up to a limit.
func (l *Log) gather(group []*request, r *request) []*request {
	bytes := 0
	for {
		if r.state.CompareAndSwap(waiting, taken) {
			group = append(group, r)
			bytes += r.bytes
		}
		if bytes >= maxGroup || len(group) >= queued {
			return group
		}
		select {
		case r = <-l.requests:
		default:
			return group
		}
	}
}

func refuse(group []*request, err error) {
	for _, r := range group {
		r.answer(nil, err)
	}
}

// admit says why nothing can be kept now, or nothing. It waits for trim, if that
// has fallen behind, and for the store.
func (l *Log) admit(group []*request) error {
	for {
		if err := l.failed.cause(); err != nil {
			return err
		}
		filled, moved := l.space.filled.wait(), l.lag.moved.wait()
		if err := l.space.admit(l.dir, bytesOf(group)); err != nil {
			return err
		}
		if l.lag.get() <= l.lag.limit {
			return l.waitForRoom(bytesOf(group))
		}
		select {
		case <-moved:
		case <-filled:
		case <-l.closing:
			return ErrClosed
		case <-l.failed.ch:
		}
	}
}

func bytesOf(group []*request) int64 {
	bytes := int64(0)
	for _, r := range group {
		bytes += int64(r.bytes)
	}
	return bytes
}

func noSpace(dir string) error {
	return fmt.Errorf("sse: no space for events in %s: %w", dir, syscall.ENOSPC)
}

// commitGroup keeps the entries of all requests, or of none, and answers.
func (l *Log) commitGroup(group []*request) {
	batch := l.db.NewBatch()
	defer batch.Close()
	l.mu.Lock()
	next, err := l.build(batch, group)
	if err == nil && l.noSync {
		err = l.db.Apply(batch, pebble.NoSync)
	} else if err == nil {
		err = l.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err != nil {
		l.topics.forget()
		l.mu.Unlock()
		refuse(group, fmt.Errorf("sse: the log in %s: %w", l.dir, err))
		return
	}
	l.state = next
	l.mu.Unlock()

	if !l.noSync {
		err = batch.SyncWait()
	}
	if failed := l.failed.cause(); failed != nil {
		err = failed
	}
	if err == nil {
		err = l.failed.presence.Load().check()
	}
	if err != nil {
		// The store has called Fatalf, or is about to: nobody knows what is kept.
		refuse(group, l.failed.set(fmt.Errorf("sse: the log in %s: %w", l.dir, err)))
		return
	}
	l.publish(next)
	seq := next.last.seq
	for i := len(group) - 1; i >= 0; i-- {
		seq -= uint64(len(group[i].entries))
		group[i].answer(l.positions(group[i], seq), nil)
	}
	l.wakeTrim(&next, bytesOf(group))
}

// positions returns the positions of the entries, the first of which comes after
// seq.
func (l *Log) positions(r *request, seq uint64) []sse.Position {
	positions := make([]sse.Position, len(r.entries))
	for i := range r.entries {
		positions[i] = l.position(place{seq + 1 + uint64(i), r.entries[i].sum})
	}
	return positions
}

// build puts the group into a batch, and returns the state after it.
// l.mu is held.
func (l *Log) build(batch *pebble.Batch, group []*request) (logState, error) {
	next := l.state
	for _, r := range group {
		first := next.last.seq + 1
		for i := range r.entries {
			if err := l.buildEntry(batch, &next, &r.entries[i]); err != nil {
				return next, err
			}
		}
		if r.once != nil {
			positions := l.positions(r, first-1)
			if err := l.keys.remember(batch, &next, r.once, positions); err != nil {
				return next, err
			}
		}
	}
	if err := l.topics.write(batch); err != nil {
		return next, err
	}
	return next, batch.Set([]byte{logKey}, next.encode(nil), nil)
}

func (l *Log) buildEntry(batch *pebble.Batch, next *logState, e *pending) error {
	seq := next.last.seq + 1
	next.last = place{seq, e.sum}
	next.count++
	next.bytes += uint64(e.cost)
	next.newest = max(next.newest, e.nano)
	var buf [128]byte
	if err := batch.Set(numberKey(buf[:], entryKey, seq), e.value, nil); err != nil {
		return err
	}
	for _, topic := range e.topics {
		s, err := l.topics.get(topic)
		if err != nil {
			return err
		}
		s.kept++
		s.count++
		s.bytes += uint64(e.cost)
		s.last = seq
		if s.exceeds() {
			l.due.add(topic)
		}
		if err := batch.Set(memberKey(buf[:], topic, seq), nil, nil); err != nil {
			return err
		}
	}
	if e.id != "" {
		if err := batch.Set(namedKey(buf[:], hashOf(e.id), seq), nil, nil); err != nil {
			return err
		}
	}
	if seq == 1 || seq-next.timed >= timeEvery {
		next.timed = seq
		value := binaryTime(next.newest)
		return batch.Set(numberKey(buf[:], timeKey, seq), value[:], nil)
	}
	return nil
}
