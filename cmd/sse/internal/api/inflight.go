package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

const (
	// minInflight is the smallest budget, in bytes. The budget is the memory that all
	// requests in flight may reserve together. The memory that one request has
	// reserved is its share.
	minInflight = 64 << 20

	// smallShare is the largest share, in bytes, that may use the last quarter of
	// the budget. Larger shares must fit into the other three quarters, so that a few
	// large requests cannot block all small requests.
	smallShare = 64 << 10

	// inflightTimeout is how long a request waits until its share fits into the
	// budget.
	inflightTimeout = 10 * time.Second

	// bodyCost is about how many bytes of memory a byte of a body takes until it is
	// published: one in the body, one in the encoded event, and one in the batch
	// that the log writes.
	bodyCost = 3
)

// inflight counts the memory that all requests in flight have reserved: for their
// bodies, for the lines that have arrived, and for pages until they are written. The
// budget limits this memory.
type inflight struct {
	max int64 // the budget, in bytes

	mu    sync.Mutex    // guards the following
	used  int64         // the sum of all shares
	freed chan struct{} // closed when a share becomes smaller; nil if no request waits
}

// share is the memory that one request has reserved.
type share struct {
	inflight *inflight
	closing  context.Context // canceled when the hub shuts down
	size     int64           // in bytes; inflight.mu guards it
}

// newShare returns an empty share. The caller must release it.
func (a *API) newShare() share { return share{inflight: &a.inflight, closing: a.Closing} }

// errNoMemory is the error of a request whose share did not fit into the budget
// within inflightTimeout.
var errNoMemory = &problem{
	status: http.StatusServiceUnavailable,
	text: "the hub has no memory for this request, because other requests are in flight; " +
		"try again later (the hub's flag --max-inflight sets the limit)",
	header: [2]string{"Retry-After", "1"},
}

// resize changes the size of a share. If the share does not fit into the budget,
// resize blocks until it fits. It fails after inflightTimeout, when ctx is done, or
// when the hub shuts down. A share always fits if it becomes smaller, or if no other
// request has reserved memory.
func (s *share) resize(ctx context.Context, size int) error {
	b := s.inflight
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fitsLocked(s, int64(size)) {
		if err := s.waitLocked(ctx, int64(size)); err != nil {
			return err
		}
	}
	b.setLocked(s, int64(size))
	return nil
}

// tryResize changes the size of a share if it fits into the budget now, and returns
// true. Otherwise it returns false.
func (s *share) tryResize(size int) bool {
	b := s.inflight
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fitsLocked(s, int64(size)) {
		return false
	}
	b.setLocked(s, int64(size))
	return true
}

// waitLocked blocks until the share fits into the budget with this size. While it
// waits, it does not hold the lock.
func (s *share) waitLocked(ctx context.Context, size int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, inflightTimeout, errNoMemory)
	defer cancel()
	b := s.inflight
	for !b.fitsLocked(s, size) {
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		var err error
		select {
		case <-freed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-s.closing.Done():
			err = sse.ErrShutdown
		}
		b.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// set changes the size of a share without waiting, even if the budget is exceeded,
// because the memory is already in use.
func (s *share) set(size int) {
	s.inflight.mu.Lock()
	defer s.inflight.mu.Unlock()
	s.inflight.setLocked(s, int64(size))
}

func (s *share) release() { s.set(0) }

func (b *inflight) fitsLocked(s *share, size int64) bool {
	limit, others := b.max, b.used-s.size
	if size > smallShare {
		limit -= b.max / 4
	}
	return size <= s.size || others == 0 || others+size <= limit
}

func (b *inflight) setLocked(s *share, size int64) {
	b.used += size - s.size
	if size < s.size && b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	s.size = size
}
