// Package api is the hub's HTTP interface, as specified in docs/PROTOCOL.md:
// the path of a request is a topic, and paths below /-/ belong to the hub.
//
// The package does not use http.ServeMux, because a ServeMux redirects paths that
// are not in its canonical form, for example /a//b. A publisher that follows such a
// redirect may send a GET instead of its POST, and then publishes nothing.
package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// Log stores events and publishes them.
type Log interface {
	// Publish publishes the entries, in order, and returns their positions. If it
	// fails after the first entries were published, it returns their positions and
	// the error. If request is not nil and the same request was published before,
	// Publish publishes nothing and returns the earlier positions and true. If the
	// key of request was used for other entries, it returns ErrKeyUsed.
	Publish(ctx context.Context, request *IdempotentRequest, entries ...sse.Entry) (
		positions []sse.Position, replayed bool, err error)

	// PublishOne publishes one event, without an idempotency key.
	PublishOne(ctx context.Context, event sse.Event, topics ...string) (sse.Position, error)

	// Delete removes the stored events of a topic.
	Delete(ctx context.Context, topic string) error
}

// WriteResult is the result of the last write of a kind to the disk of the event
// log. If Time is zero, there was no such write yet.
type WriteResult struct {
	Time time.Time
	Err  error
}

// LogHealth has the result of the last commit of events, and of the last test of
// the disk. A test writes and syncs a small file.
type LogHealth struct{ Commit, Test WriteResult }

// Options configures an API.
type Options struct {
	Broker    *sse.Broker // its Select must be API.Select
	Log       Log
	Authority *auth.Authority

	// CheckLog, if not nil, returns the results of the last writes to the disk of
	// the event log. If nil, /-/readyz does not report the state of a disk.
	CheckLog func(context.Context) LogHealth

	// Hosts are the host names that a request may have in its header Host, in
	// addition to localhost, its subdomains and all IP addresses. If AnyHost is
	// true, a request may have any host name.
	Hosts   []string
	AnyHost bool

	// RefuseProxies makes the API refuse requests that a proxy has forwarded. It is
	// for a hub that needs no keys because only this machine can reach it: a proxy
	// would let other machines use the hub.
	RefuseProxies bool

	// Origins are the origins of the pages that may use the hub, in addition to
	// its own, for example https://example.com. "*" allows the pages of all
	// origins, but the API ignores the cookies of a page that only "*" allows.
	Origins []string

	// MaxEvent is the largest size of the data of an event on the wire, in bytes. It
	// includes 7 bytes for each line of the data.
	MaxEvent int

	// MaxInflight is how many bytes of memory the bodies and pages of all requests
	// in flight may use together. If it is less than 64 MiB, the limit is 64 MiB.
	MaxInflight int64

	// Closing is canceled when the hub shuts down.
	Closing context.Context

	// OnRefused, if not nil, is called when the API refuses a host name, an
	// origin or a request through a proxy: once for each name, once for each
	// origin, and once for proxies, but at most 100 times. subject names the
	// cause, for example `the host "evil.example"` or `a request through a proxy`.
	// flag is the command-line flag that would allow the request, for example
	// `--host evil.example`.
	OnRefused func(subject, flag string)

	// OnError, if not nil, is called with each error to which the API responds with
	// status 500. The response does not contain the error.
	OnError func(error)
}

// API is the [http.Handler] of a hub.
type API struct {
	Options
	hosts      map[string]bool
	origins    map[string]bool
	protection *http.CrossOriginProtection
	routes     map[string]route       // by path
	lastHost   atomic.Pointer[string] // the last Host that was allowed
	locks      idempotencyLocks
	inflight   inflight
	turns      turns

	mu       sync.Mutex // guards the following
	reported map[string]bool
}

// New returns an API. It fails if one of the origins is invalid.
func New(opts Options) (*API, error) {
	a := &API{
		Options: opts, hosts: map[string]bool{}, origins: map[string]bool{},
		protection: http.NewCrossOriginProtection(), reported: map[string]bool{},
		turns: newTurns(),
	}
	a.inflight.max = max(minInflight, opts.MaxInflight)
	for _, host := range opts.Hosts {
		a.hosts[strings.ToLower(host)] = true
	}
	for _, origin := range opts.Origins {
		a.origins[origin] = true
		if origin == anyOrigin {
			continue
		}
		if err := a.protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	a.routes = a.newRoutes()
	return a, nil
}

// Configure prepares a server for an API: it sets ConnContext, which the broker
// needs, the time limits, and the size limit of the headers. A whole request must
// arrive within a minute. The server sets this deadline, because it would cost more
// if the handler of each request set one. A handler that needs more time removes
// the deadline. For other requests, net/http removes it after it has read the body.
func Configure(server *http.Server) {
	server.ConnContext = sse.ConnContext
	server.ReadHeaderTimeout = headTimeout
	server.ReadTimeout = bodyTimeout
	server.IdleTimeout = idleTimeout
	server.MaxHeaderBytes = maxHeader
}
