// Package api is the hub's HTTP interface, as specified in docs/PROTOCOL.md:
// the path of a request is a topic, and paths below /-/ belong to the hub.
//
// The package does not use http.ServeMux: a ServeMux redirects paths that are
// not in its canonical form. A publisher that follows such a redirect may send a
// GET instead of its POST, and then publishes nothing.
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
	// Publish publishes the entries, in order, and returns their positions. If
	// request is not nil and the same request was published before, Publish
	// publishes nothing and returns the earlier positions and true. If the key
	// of request was used for other entries, it returns ErrKeyUsed.
	Publish(ctx context.Context, request *IdempotentRequest, entries ...sse.Entry) (
		positions []sse.Position, replayed bool, err error)

	// PublishOne publishes one event, without an idempotency key.
	PublishOne(ctx context.Context, event sse.Event, topics ...string) (sse.Position, error)

	// Delete removes the stored events of a topic.
	Delete(ctx context.Context, topic string) error
}

// WriteResult is the result of a write to the disk of the event log. If Time is
// zero, there was none yet.
type WriteResult struct {
	Time time.Time
	Err  error
}

// LogHealth is the results of the last commit of events, and of the last test
// that wrote and synced a small file.
type LogHealth struct{ Commit, Test WriteResult }

// Options configures an API.
type Options struct {
	Broker    *sse.Broker // its Select must be API.Select
	Log       Log
	Authority *auth.Authority

	// CheckLog, if not nil, reports whether the event log can be written.
	CheckLog func(context.Context) LogHealth

	// Hosts are the host names that a request may use for the hub, in addition
	// to localhost and all IP addresses. If AnyHost is true, it may use any
	// name.
	Hosts   []string
	AnyHost bool

	// RefuseProxies makes the API refuse requests that a proxy has forwarded.
	RefuseProxies bool

	// Origins are the origins of the pages that may use the hub, in addition to
	// its own, for example https://example.com. "*" allows the pages of all
	// origins, but the API then ignores their cookies.
	Origins []string

	// MaxEvent is the largest size of an event on the wire, in bytes.
	MaxEvent int

	// MaxInflight is how many bytes all requests in flight may use together. If it
	// is less than 64 MiB, the API uses 64 MiB.
	MaxInflight int64

	// Closing is canceled when the hub shuts down.
	Closing context.Context

	// OnRefused, if not nil, is called when the API refuses a host name, an
	// origin or a request through a proxy: once for each name, once for each
	// origin, and once for proxies. subject is the name, the origin or "a
	// request through a proxy"; flag is the command-line flag that would allow
	// it.
	OnRefused func(subject, flag string)

	// OnError, if not nil, is called with each error that no client has caused.
	OnError func(error)
}

// API is a [http.Handler].
type API struct {
	Options
	hosts      map[string]bool
	origins    map[string]bool
	protection *http.CrossOriginProtection
	routes     map[string]route       // by path
	lastHost   atomic.Pointer[string] // the last Host that was allowed
	keys       keyLocks
	inflight   inflight

	mu       sync.Mutex // guards the following
	reported map[string]bool
}

// New returns an API. It fails if one of the origins is invalid.
func New(opts Options) (*API, error) {
	a := &API{
		Options: opts, hosts: map[string]bool{}, origins: map[string]bool{},
		protection: http.NewCrossOriginProtection(), reported: map[string]bool{},
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

// Configure sets the time limits of a server: a whole request must arrive
// within a minute. One deadline for the server is cheaper than a deadline that
// each request sets. A handler that needs more time removes the deadline. Once
// net/http has read the body of a request, it removes the deadline itself.
func Configure(server *http.Server) {
	server.ConnContext = sse.ConnContext
	server.ReadHeaderTimeout = headTimeout
	server.ReadTimeout = bodyTimeout
	server.IdleTimeout = idleTimeout
	server.MaxHeaderBytes = maxHeader
}
