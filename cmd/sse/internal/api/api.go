// Package api is the hub's HTTP interface, as docs/PROTOCOL.md specifies it: topics
// are paths, and what the hub itself owns is below /-/.
//
// It has no ServeMux for topics: that would redirect what is not spelled as it
// likes, and a publisher that follows a redirect publishes nothing.
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

// Log is where events are published, and kept.
type Log interface {
	// Publish publishes the entries, in order. If once is not nil and the same was
	// published before, it returns the positions from then, and true; if something
	// else was, ErrKeyUsed.
	Publish(ctx context.Context, once *Once, entries ...sse.Entry) (
		at []sse.Position, before bool, err error)

	// PublishOne publishes one event, with no key.
	PublishOne(ctx context.Context, event sse.Event, topics ...string) (sse.Position, error)

	// Delete removes what is kept of a topic.
	Delete(ctx context.Context, topic string) error
}

// Once makes a publish that is tried again one publish.
type Once struct {
	Owner  string // whose key it is
	Key    string
	Digest [32]byte // of all that is published
}

// Options are what the interface needs.
type Options struct {
	Broker    *sse.Broker // whose Select must be API.Select
	Log       Log
	Authority *auth.Authority

	// Hosts are the names under which the hub may be asked for, besides localhost
	// and all IP addresses. AnyHost allows all.
	Hosts   []string
	AnyHost bool

	// Origins are those of the pages that may use the hub, besides its own, such as
	// https://example.com. "*" is all of them, without their cookies.
	Origins []string

	// MaxEvent is how many bytes an event may have on the wire.
	MaxEvent int

	// Closing is done when the hub shuts down.
	Closing context.Context

	// Refused is told once of each origin that was refused, and of each host.
	Refused func(what, flag string)

	// Failed is told what went wrong that is no client's fault.
	Failed func(error)
}

// API is a [http.Handler].
type API struct {
	Options
	hosts      map[string]bool
	origins    map[string]bool
	protection *http.CrossOriginProtection
	own        map[string]route
	host       atomic.Pointer[string] // the last Host that was found good

	mu   sync.Mutex // guards the following
	told map[string]bool
}

// New returns the interface, or what is wrong with an origin.
func New(opts Options) (*API, error) {
	a := &API{
		Options: opts, hosts: map[string]bool{}, origins: map[string]bool{},
		protection: http.NewCrossOriginProtection(), told: map[string]bool{},
	}
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
	a.own = a.routes()
	return a, nil
}

// Configure sets how long clients may take: a request a minute. One deadline of the
// server is cheaper than one that each request sets. Who takes longer lifts it, and
// net/http does once it has read a request's body.
func Configure(server *http.Server) {
	server.ConnContext = sse.ConnContext
	server.ReadHeaderTimeout = 10 * time.Second
	server.ReadTimeout = bodyTime
	server.IdleTimeout = 2 * time.Minute
	server.MaxHeaderBytes = 64 << 10
}

// route is a path below /-/, by method.
type route map[string]func(http.ResponseWriter, *http.Request) error

// The values of headers that many responses have. They are shared, and never
// appended to in place: their capacity is their length.
var (
	noStore   = []string{"no-store, no-transform"}
	noSniff   = []string{"nosniff"}
	vary      = []string{"Accept, Origin, Authorization, Cookie"}
	plainText = []string{"text/plain; charset=utf-8"}
)

// ServeHTTP answers a request. What has one event to publish is as cheap as can be:
// even to ask for the response's headers makes net/http copy them.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost { // whose answer nobody keeps, or shows
		header := w.Header()
		header["Cache-Control"], header["X-Content-Type-Options"] = noStore, noSniff
		header["Vary"] = vary // caches put equal GETs together, which no two streams are
	}
	err := a.checkHost(r)
	if err == nil {
		err = a.checkOrigin(w, r)
	}
	if err == nil {
		err = a.expectBody(r)
	}
	if err == nil {
		err = a.serve(w, r)
	}
	if err != nil {
		a.fail(w, r, err)
	}
}

// serve returns an error if nothing was answered yet.
func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	path := pathOf(r.URL)
	switch {
	case r.Method == http.MethodOptions:
		return a.preflight(w, r)
	case path == "/" || path == "":
		return a.root(w, r)
	case path == "/robots.txt" && isRead(r):
		return answer(w, r, "User-agent: *\nDisallow: /\n", nil)
	case isReserved(path[1:]):
		handlers, ok := a.own[path]
		if !ok {
			return problemf(http.StatusNotFound, "%s is not a path of this hub: %s", shorten(path),
				"what begins with /-/ or /.well-known/ is the hub's own, as are favicon.ico and robots.txt")
		}
		if handle := handlers[r.Method]; handle != nil {
			return handle(w, r)
		}
		return notAllowed(r, handlers)
	}
	return a.serveTopic(w, r, path)
}

// serveTopic answers a request for a path that is one topic or several.
func (a *API) serveTopic(w http.ResponseWriter, r *http.Request, path string) error {
	to, err := parsePath(path, r.Method)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return a.read(w, r, to)
	case http.MethodPost:
		return a.publish(w, r, to)
	case http.MethodPut:
		return a.publishLines(w, r, to)
	case http.MethodDelete:
		return a.delete(w, r, to)
	}
	return notAllowed(r, route{"GET": nil, "HEAD": nil, "POST": nil, "PUT": nil, "DELETE": nil})
}

// headerOf is Header.Get for a name in its canonical form.
func headerOf(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// root says what there is.
func (a *API) root(w http.ResponseWriter, r *http.Request) error {
	if !isRead(r) {
		return problemf(http.StatusBadRequest, "a topic is missing: its name is the path, as in /news")
	}
	base := "http://" + r.Host
	return answer(w, r, "This is a hub for Server-Sent Events. Its topics are paths:\n\n"+
		"  curl -N "+base+"/news\n  curl -d hello "+base+"/news\n", nil)
}

// delete removes what is kept of the topics of a path.
func (a *API) delete(w http.ResponseWriter, r *http.Request, to target) error {
	if _, err := parseQuery(r, false); err != nil {
		return err
	}
	return a.deleteTarget(w, r, to)
}

func (a *API) deleteTarget(w http.ResponseWriter, r *http.Request, to target) error {
	who, err := a.Authority.Identify(r, nil)
	if err != nil {
		return err
	}
	if err := to.onlyTopics("deleting"); err != nil {
		return err
	}
	if err := who.MayTopics(auth.Delete, to.topics); err != nil {
		return err
	}
	for _, topic := range to.topics {
		if err := a.Log.Delete(r.Context(), topic); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
