package segmentlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/sse-go/sse"
)

// request is the entries of one append on their way to the disk.
type request struct {
	entries []sse.Entry
	bodies  []byte // of all entries
	ends    []int  // where each body ends
	key     *keyRecord

	// state is waiting until either the committer takes the request, or the goroutine
	// that made it withdraws it.
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

// maxRequest is the number of bytes of entries that are stored as a whole or not at all.
const maxRequest = 64 << 20

// Append implements [sse.EventLog]. It blocks until the entries are on the disk. Entries
// that are appended meanwhile share the next sync. If ctx is done before it is the turn
// of the entries, Append stores nothing. From then on, Append waits for the disk.
//
// The entries of one Append are adjacent. All or none of them are stored, unless there
// are more than 64 MiB. If the disk is full, the error wraps [syscall.ENOSPC].
func (l *Log) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	if r.Key != "" {
		return l.appendOnce(ctx, &r)
	}
	var result sse.AppendResult
	for entries := r.Entries; len(entries) > 0; {
		n, size := 0, 0
		for n < len(entries) && (n == 0 || size < maxRequest) {
			size += sizeOf(&entries[n])
			n++
		}
		request, err := newRequest(entries[:n])
		if err != nil {
			return result, err
		}
		kept, err := l.submit(ctx, request)
		result.Positions = append(result.Positions, kept...)
		if err != nil {
			return result, err
		}
		entries = entries[n:]
	}
	return result, nil
}

// appendOnce is Append for a request with a key.
func (l *Log) appendOnce(ctx context.Context, r *sse.AppendRequest) (sse.AppendResult, error) {
	hash := hashKey(r.Owner, r.Key)
	if err := l.keys.acquire(ctx, hash); err != nil {
		return sse.AppendResult{}, err
	}
	defer l.keys.release(hash)
	if err := l.enter(); err != nil {
		return sse.AppendResult{}, err
	}
	record, err := l.keys.find(hash, l.reportKeys)
	l.exit()
	if err != nil {
		return sse.AppendResult{}, fmt.Errorf("sse: the idempotency key %q: %w", r.Key, err)
	}
	if record != nil {
		if record.digest != r.Digest {
			return sse.AppendResult{}, &sse.FieldError{
				Field: "key", Value: r.Key, Reason: "was used for another request before",
			}
		}
		return sse.AppendResult{Positions: record.positions(), Replayed: true}, nil
	}
	request, err := newRequest(r.Entries)
	if err != nil {
		return sse.AppendResult{}, err
	}
	if len(request.bodies) > maxRequest {
		return sse.AppendResult{}, errors.New("sse: more than 64 MiB with one idempotency key")
	}
	request.key = &keyRecord{
		hash: hash, owner: r.Owner, digest: r.Digest, time: l.now().UnixNano(),
	}
	positions, err := l.submit(ctx, request)
	return sse.AppendResult{Positions: positions}, err
}

// newRequest copies the entries, because the log still needs them when Append has
// returned.
func newRequest(entries []sse.Entry) (*request, error) {
	size, topics := 0, 0
	for i := range entries {
		size += sizeOf(&entries[i]) + 32 + 4*len(entries[i].Topics)
		topics += len(entries[i].Topics)
	}
	r := &request{
		entries: slices.Clone(entries), bodies: make([]byte, 0, size),
		ends: make([]int, len(entries)), done: make(chan struct{}),
	}
	names := make([]string, 0, topics)
	for i := range r.entries {
		e := &r.entries[i]
		if len(e.Topics) == 0 {
			return nil, errors.New("sse: an entry without a topic")
		}
		begin := len(names)
		names = append(names, e.Topics...)
		e.Topics = names[begin:len(names):len(names)]
		r.bodies = appendBody(r.bodies, e)
		r.ends[i] = len(r.bodies)
	}
	return r, nil
}

// body returns the body of an entry.
func (r *request) body(i int) []byte {
	begin := 0
	if i > 0 {
		begin = r.ends[i-1]
	}
	return r.bodies[begin:r.ends[i]]
}

// submit queues the request and waits for the result.
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
	case <-l.failed:
		return nil, l.failure
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
	case <-l.failed:
	}
	select {
	case <-r.done:
		return r.kept, r.err
	case <-l.failed:
		return nil, l.failure
	}
}

// answer ends a request.
func (r *request) answer(kept []sse.Position, err error) {
	r.kept, r.err = kept, err
	close(r.done)
}
