package api

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// selectionKey is where a request's context has its selection, for Select.
type selectionKey struct{}

// Select is for [sse.Broker.Select]: it returns what the API has found out already.
func (a *API) Select(r *http.Request) (sse.Selection, error) {
	sel, ok := r.Context().Value(selectionKey{}).(*sse.Selection)
	if !ok {
		return sse.Selection{}, &sse.ResponseError{
			StatusCode: http.StatusForbidden, Reason: "sse: not subscribed to by way of the hub",
		}
	}
	return *sel, nil
}

// events is GET and HEAD of /-/events.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	return a.read(w, r, target{})
}

// read subscribes, or answers with a page of what is kept. The target is empty if
// the query names it.
func (a *API) read(w http.ResponseWriter, r *http.Request, to target) error {
	switch {
	case isPrefetch(r):
		return problemf(http.StatusServiceUnavailable, "a stream is not for prefetching")
	case isNavigation(r) || isPart(r):
		return notAPage(r)
	}
	named := len(to.topics)+len(to.patterns) == 0
	query, err := parseQuery(r, named, readParameters...)
	if err != nil {
		return err
	}
	if named {
		if to, err = parseTarget(query); err != nil {
			return err
		}
	}
	sel, err := a.authorize(r, query, to)
	if err != nil {
		return err
	}
	page, err := wantsPage(query)
	if err != nil {
		return err
	}
	start, err := startOf(r, query)
	switch {
	case err != nil:
		return err
	case page:
		return a.history(w, r, query, sel, start)
	case query.Has("limit"):
		return problemf(http.StatusBadRequest, "limit is for a page of history: add follow=0")
	case r.Method == http.MethodHead:
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	case onlyJSON(r):
		return problemf(http.StatusNotAcceptable, "a stream is text/event-stream; "+
			"add follow=0 for what is kept, as lines of JSON")
	case a.Closing.Err() != nil:
		comeBack(w, r)
		return nil
	}
	ctx := context.WithValue(r.Context(), selectionKey{}, sel)
	a.Broker.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// comeBack answers who subscribes while the hub shuts down with a stream that ends:
// any other answer ends an EventSource for good.
func comeBack(w http.ResponseWriter, r *http.Request) {
	const soonest, latest = 500 * time.Millisecond, 2500 * time.Millisecond
	stream, err := sse.Accept(w, r, &sse.AcceptOptions{Retry: soonest + rand.N(latest-soonest)})
	if err == nil { // else Accept has answered
		stream.Close()
	}
}

// authorize returns the selection of a target, if it may be read. What is replayed is
// read like what is new.
func (a *API) authorize(r *http.Request, query url.Values, to target) (*sse.Selection, error) {
	who, err := a.Authority.Identify(r, query)
	if err != nil {
		return nil, err
	}
	if err := who.MayTopics(auth.Subscribe, to.topics); err != nil {
		return nil, err
	}
	if err := who.MayPatterns(auth.Subscribe, to.patterns); err != nil {
		return nil, err
	}
	return &sse.Selection{
		Topics: to.topics, Patterns: to.patterns, Key: who.Name, Expires: who.Expires,
		WithTopic: len(to.topics) > 1 || len(to.patterns) > 0,
	}, nil
}

// wantsPage reads the parameter follow.
func wantsPage(query url.Values) (bool, error) {
	switch query.Get("follow") {
	case "0":
		return true, nil
	case "", "1":
		return false, nil
	}
	return false, problemf(http.StatusBadRequest, "follow is 0, for a page of what is kept, or 1")
}

// onlyJSON reports whether the request takes JSON and no stream.
func onlyJSON(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		if accept != "" && !acceptsStream(accept) {
			return true
		}
	}
	return false
}

// notAPage tells a person who has opened a topic in a browser what it is.
func notAPage(r *http.Request) error {
	return problemf(http.StatusNotAcceptable, "%s is a stream of events, not a page: "+
		"curl -N, sse listen or new EventSource(…) show it", shorten(pathOf(r.URL)))
}
