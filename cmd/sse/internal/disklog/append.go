package disklog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sse-go/sse"
)

// request is the entries of one Append on their way to the disk.
type request struct {
	entries []pending
	bytes   int
	once    *onceRecord // to be kept with them, or nil

	// state is waiting until either the committer takes the request, or the one
	// that made it gives it up.
	state atomic.Int32
	done  chan struct{} // closed when the following are set
	kept  []sse.Position
	err   error
}

const (
	waiting int32 = iota
	taken
	withdrawn
)

// pending is an entry that has no position yet.
type pending struct {
	value  []byte
	sum    uint32
	nano   int64
	topics []string // distinct
	id     string
	cost   int64
}

// Append implements [sse.EventLog]. It returns when the entries are on stable
// storage; those that are appended meanwhile share the next sync. An Append
// whose ctx is done before its turn has come keeps nothing; once it has, Append
// waits for the disk.
//
// The entries of one Append follow each other, and all or none of them are kept,
// but if there are more than 64 MiB. If the disk is full, the error wraps
// [syscall.ENOSPC].
func (l *Log) Append(ctx context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	var positions []sse.Position
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && (n == 0 || size < maxRequest) {
			size += sizeOf(&entries[n])
			n++
		}
		request, err := newRequest(entries[:n])
		if err != nil {
			return positions, err
		}
		kept, err := l.submit(ctx, request)
		positions = append(positions, kept...)
		if err != nil {
			return positions, err
		}
		entries = entries[n:]
	}
	return positions, nil
}

// maxRequest is how many bytes of events are kept or not as one. A batch of the
// store can have 4 GiB.
const maxRequest = 64 << 20

func newRequest(entries []sse.Entry) (*request, error) {
	r := &request{entries: make([]pending, len(entries)), done: make(chan struct{})}
	for i := range entries {
		e := &entries[i]
		if len(e.Topics) == 0 {
			return nil, errors.New("sse: an entry without a topic")
		}
		for _, topic := range e.Topics {
			if strings.IndexByte(topic, topicEnd) >= 0 {
				return nil, fmt.Errorf("sse: topic %q contains NUL", topic)
			}
		}
		sum := sumOf(e)
		value := encodeEntry(e, sum)
		r.entries[i] = pending{
			value: value, sum: sum, nano: e.Time.UnixNano(), topics: distinct(e.Topics),
			id: e.Event.ID, cost: costOf(len(value), e.Topics, e.Event.ID),
		}
		r.bytes += int(r.entries[i].cost)
	}
	return r, nil
}

// submit queues the request and waits for what becomes of it.
func (l *Log) submit(ctx context.Context, r *request) ([]sse.Position, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.closing:
		return nil, ErrClosed
	case <-l.failed.ch:
		return nil, l.failed.cause()
	}
	select {
	case <-r.done:
		return r.kept, r.err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return nil, context.Cause(ctx)
		}
	case <-l.stopped:
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return nil, ErrClosed
		}
	case <-l.failed.ch:
	}
	select {
	case <-r.done:
	case <-l.failed.ch:
		return nil, l.failed.cause()
	}
	return r.kept, r.err
}

// answer ends a request.
func (r *request) answer(kept []sse.Position, err error) {
	r.kept, r.err = kept, err
	close(r.done)
}
