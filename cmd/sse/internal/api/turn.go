package api

import (
	"context"
	"net/http"
	"runtime"

	"github.com/sse-go/sse"
)

// heavyTarget is the length in bytes of a request target (path and query) from which a
// request is heavy. Such a target can have about a hundred topics.
const heavyTarget = 2 << 10

// turns limits how many requests use much CPU time at the same time: half of the
// processors, but at least one. The other processors are free for small requests, such
// as publishing one event. A request has a turn while the API parses a heavy target or a
// batch, or builds a page. It has no turn while it waits for a body, for the broker, or
// for a client that reads slowly.
type turns chan struct{}

func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// turn is the turn of one request. The methods of a nil turn do nothing.
type turn struct {
	api  *API
	held bool
}

// errNoTurn is the error of a request that has waited for its turn for inflightTimeout.
var errNoTurn = &problem{
	status: http.StatusServiceUnavailable,
	text:   "the hub is busy with other large requests; try again later",
	header: [2]string{"Retry-After", "1"},
}

// turnKey is the key of the *turn in the context of a heavy request.
type turnKey struct{}

// beginHeavy waits for the turn of a request with a heavy target, and returns the
// request with the turn in its context. For any other request, it returns r and nil.
func (a *API) beginHeavy(r *http.Request) (*http.Request, *turn, error) {
	if len(r.RequestURI) < heavyTarget {
		return r, nil, nil
	}
	t := &turn{api: a}
	r = r.WithContext(context.WithValue(r.Context(), turnKey{}, t))
	err := t.acquire(r.Context())
	return r, t, err
}

// turnOf returns the turn of a request with a heavy target, or nil.
func turnOf(r *http.Request) *turn {
	if len(r.RequestURI) < heavyTarget {
		return nil
	}
	t, _ := r.Context().Value(turnKey{}).(*turn)
	return t
}

// acquire waits for the turn, unless the request has it already. It fails after
// inflightTimeout, when ctx is done, or when the hub shuts down.
func (t *turn) acquire(ctx context.Context) error {
	if t == nil || t.held {
		return nil
	}
	select {
	case t.api.turns <- struct{}{}:
		t.held = true
		return nil
	default:
	}
	ctx, cancel := context.WithTimeoutCause(ctx, inflightTimeout, errNoTurn)
	defer cancel()
	select {
	case t.api.turns <- struct{}{}:
		t.held = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.api.Closing.Done():
		return sse.ErrShutdown
	}
}

// release ends the turn, if the request has it.
func (t *turn) release() {
	if t != nil && t.held {
		t.held = false
		<-t.api.turns
	}
}
