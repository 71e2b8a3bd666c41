package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

const (
	// minInflight is the least budget of all requests in flight.
	minInflight = 64 << 20

	// smallShare is the largest share that may use the last quarter of the budget.
	// So a few large requests cannot keep out all small ones.
	smallShare = 64 << 10

	// inflightTimeout is how long a request waits for its share.
	inflightTimeout = 10 * time.Second

	// bodyCost is about how much memory a byte of a body takes until it is
	// published: in the body, in the encoded event, and in the batch of the log.
	bodyCost = 3
)

// inflight is the memory of all requests in flight: their bodies, the lines that
// are being gathered, and pages until they are written.
type inflight struct {
	max int64

	mu    sync.Mutex // guards the following
	used  int64
	freed chan struct{} // closed when used falls; nil if no request waits
}

// share is the memory of one request.
type share struct {
	inflight *inflight
	closing  context.Context // canceled when the hub shuts down
	size     int64
}

// newShare returns an empty share. The caller must release it.
func (a *API) newShare() share { return share{inflight: &a.inflight, closing: a.Closing} }

// errNoMemory is the error of a request that does not get its share.
var errNoMemory = &problem{
	status: http.StatusServiceUnavailable,
	text: "the hub has no memory for this request, because other requests are in flight; " +
		"try again later (the hub's flag --max-inflight sets the limit)",
	header: [2]string{"Retry-After", "1"},
}

// resize changes the size of a share. It blocks until there is memory for it, and
// fails after inflightTimeout. A share always fits if no other request has one.
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

// waitLocked blocks until a size fits. It releases the lock in the meantime.
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

// set changes the size of a share at once, even if the budget is exceeded: the
// memory is already in use.
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
