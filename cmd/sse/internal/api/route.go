package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// route holds the handlers of one path below /-/, by method. A handler that returns an
// error has not written a response.
type route map[string]func(http.ResponseWriter, *http.Request) error

// newRoutes returns the routes of the paths that belong to the hub.
func (a *API) newRoutes() map[string]route {
	return map[string]route{
		"/-/events": {
			"GET": a.serveEvents, "HEAD": a.serveEvents, "DELETE": a.deleteByQuery,
		},
		"/-/publish": {"POST": a.publishByQuery, "PUT": a.publishLinesByQuery},
		"/-/batch":   {"POST": a.publishBatch, "PUT": a.publishJSONLines},
		"/-/login":   {"POST": a.login},
		"/-/logout":  {"POST": a.logout},
		"/-/tickets": {"POST": a.issueTicket},
		healthPath:   {"GET": a.reportHealth, "HEAD": a.reportHealth},
		readyPath:    {"GET": a.reportReadiness, "HEAD": a.reportReadiness},
	}
}

// reservedPaths is the text of an error: it names the paths for which isReserved
// returns true.
const reservedPaths = "paths below /-/ and /.well-known/, /favicon.ico and /robots.txt are reserved"

// isReserved reports whether a path can never be a topic. The path is given without
// its first slash.
func isReserved(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first == "-" || first == ".well-known" || path == "favicon.ico" || path == "robots.txt"
}

// ServeHTTP handles a request. It sets no headers for a POST, because publishing one
// event must be cheap: if a handler calls Header, net/http later copies the headers.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost { // caches do not store a response to a POST
		header := w.Header()
		header["Cache-Control"], header["X-Content-Type-Options"] = noStore, noSniff
		header["Vary"] = vary // otherwise a cache could share one stream between equal GETs
	}
	err := a.checkProxy(r)
	if err == nil {
		err = a.checkHost(r)
	}
	if err == nil {
		r, err = a.checkOrigin(w, r)
	}
	if err == nil {
		err = a.checkNoBody(r)
	}
	var t *turn
	if err == nil {
		r, t, err = a.beginHeavy(r)
		defer t.release()
	}
	if err == nil {
		err = a.serve(w, r)
	}
	if err != nil {
		a.respondError(w, r, err)
	}
}

// serve finds the handler of a request and runs it. If serve returns an error, no part
// of a response has been written.
func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	path := pathOf(r.URL)
	switch {
	case r.Method == http.MethodOptions:
		return a.preflight(w, r)
	case path == "/" || path == "":
		return a.serveRoot(w, r)
	case path == "/robots.txt" && isRead(r):
		return respond(w, r, "User-agent: *\nDisallow: /\n", nil)
	case isReserved(path[1:]):
		handlers, ok := a.routes[path]
		if !ok {
			return problemf(http.StatusNotFound, "the hub has no path %s; %s",
				text.Quote(path), reservedPaths)
		}
		if handle := handlers[r.Method]; handle != nil {
			return handle(w, r)
		}
		return methodNotAllowed(r, handlers)
	}
	return a.serveTopic(w, r, path)
}

// serveTopic handles a request whose path names topics or patterns.
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
		return a.deleteByPath(w, r, to)
	}
	return methodNotAllowed(r, route{
		"GET": nil, "HEAD": nil, "POST": nil, "PUT": nil, "DELETE": nil,
	})
}

func methodNotAllowed(r *http.Request, handlers route) error {
	methods := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
	return &problem{
		status: http.StatusMethodNotAllowed,
		text: fmt.Sprintf("this path does not accept the method %s; it accepts %s",
			text.Quote(r.Method), methods),
		header: [2]string{"Allow", methods},
	}
}

// isRead reports whether the method of a request is GET or HEAD.
func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// firstHeader is a faster Header.Get for a name in its canonical form.
func firstHeader(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
