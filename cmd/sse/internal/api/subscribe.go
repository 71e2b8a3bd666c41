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

// selectionKey is the key in the context of a request under which read passes the
// selection to Select.
type selectionKey struct{}

// Select is for [sse.Broker.Select]. It returns the selection for which the API has
// already authorized the request.
func (a *API) Select(r *http.Request) (sse.Selection, error) {
	sel, ok := r.Context().Value(selectionKey{}).(*sse.Selection)
	if !ok {
		return sse.Selection{}, &sse.ResponseError{
			StatusCode: http.StatusForbidden, Reason: "sse: the request did not pass the hub's API",
		}
	}
	return *sel, nil
}

// serveEvents handles GET and HEAD of /-/events.
func (a *API) serveEvents(w http.ResponseWriter, r *http.Request) error {
	return a.read(w, r, target{})
}

// read serves a stream, or responds with a page of stored events if the query has
// follow=0. If the target is empty, read takes the target from the query.
func (a *API) read(w http.ResponseWriter, r *http.Request, to target) error {
	switch {
	case isPrefetch(r):
		return problemf(http.StatusServiceUnavailable, "a stream must not be prefetched")
	case isSubresource(r):
		return problemf(http.StatusNotAcceptable,
			"events must not be a part of a page, such as an image, a script or a frame")
	}
	targetInQuery := to.isEmpty()
	query, err := parseQuery(r, targetInQuery, readParameters...)
	if err != nil {
		return err
	}
	if isNavigation(r) && query.Get("follow") != "0" {
		return a.notAPage(r)
	}
	if targetInQuery {
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
	if sel.Cursor, err = parseCursor(query); err != nil {
		return err
	}
	start, err := parseStart(r, query)
	switch {
	case err != nil:
		return err
	case page:
		return a.serveHistory(w, r, query, sel, start)
	case query.Has("limit"):
		return problemf(http.StatusBadRequest,
			"limit must only be set for a page of history; add follow=0")
	case refusesStream(r):
		return problemf(http.StatusNotAcceptable, "Accept must include text/event-stream "+
			"for a stream; for stored events as lines of JSON, add follow=0")
	case continuedAt(r) != "":
		// The response has no Content-Range, because a stream has no length.
		return problemf(http.StatusRequestedRangeNotSatisfiable, "a stream cannot be continued at "+
			"byte %.20s, because each stream begins anew; to continue after an event, "+
			"send its ID in the header Last-Event-ID", continuedAt(r))
	case r.Method == http.MethodHead:
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no") // the Broker sets these headers for a GET
		w.Header().Set("Incremental", "?1")
		return nil
	case a.Closing.Err() != nil:
		a.endWithRetry(w, r, query, sel)
		return nil
	}
	turnOf(r).release()
	ctx := context.WithValue(r.Context(), selectionKey{}, sel)
	a.Broker.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// endWithRetry responds to a subscriber that connects while the hub shuts down. The
// response is a stream that sets a random retry time and ends: after any other
// response, an EventSource would not reconnect. If resumeID returns an ID, the stream
// also contains a cursor with this ID, because some clients lose their position after a
// stream without an ID. With cursor=off, the stream contains no cursor.
func (a *API) endWithRetry(
	w http.ResponseWriter, r *http.Request, query url.Values, sel *sse.Selection,
) {
	const shortest, longest = 500 * time.Millisecond, 2500 * time.Millisecond
	stream, err := sse.Accept(w, r, &sse.AcceptOptions{
		Retry: shortest + rand.N(longest-shortest),
	})
	if err != nil {
		return // Accept has written a response
	}
	defer stream.Close()
	id := a.resumeID(r, query)
	switch { // the client may have disconnected
	case id == "" || sel.Cursor == sse.CursorOff:
	case sel.Cursor == sse.CursorComment:
		_ = stream.Comment("cursor " + id)
	default:
		_ = stream.Send(sse.Event{ID: id, Type: cursorType})
	}
}

// resumeID returns the ID with which the client should reconnect after a stream that
// ends at once, or "" if the client should repeat its request:
//
//   - If the client has sent an ID, it is this ID. With a later ID, the client would
//     miss events. An ID that no event can have becomes "".
//   - If the client asks for stored events with since, it is "", because no ID has
//     the same meaning.
//   - If the client asks only for new events, it is the current position, or "" if
//     the broker has already shut down.
func (a *API) resumeID(r *http.Request, query url.Values) string {
	id := lastEventID(r, query)
	if id == "" {
		if since := query.Get("since"); since != "" && since != "latest" {
			return ""
		}
		at, err := a.Broker.Position(r.Context())
		if err != nil {
			return ""
		}
		return at.String()
	}
	if _, err := sse.AppendEvent(nil, sse.Event{ID: id}); err != nil {
		return "" // no event can have this ID, so a stream cannot contain it
	}
	return id
}

// parseCursor parses the parameter cursor: the form in which the client receives its
// position. Its value is "block" for an event, "comment", or "off".
func parseCursor(query url.Values) (sse.CursorForm, error) {
	switch query.Get("cursor") {
	case "", "block":
		return sse.CursorEvent, nil
	case "comment":
		return sse.CursorComment, nil
	case "off":
		return sse.CursorOff, nil
	}
	return "", problemf(http.StatusBadRequest, "cursor must be block, comment or off")
}

// authorize returns the selection for a target. It fails unless the client may
// subscribe to every topic and every pattern of the target. A client needs the same
// right for stored events as for new events.
func (a *API) authorize(r *http.Request, query url.Values, to target) (*sse.Selection, error) {
	identity, err := a.Authority.Identify(r, query)
	if err != nil {
		return nil, err
	}
	if err := identity.CheckTopics(auth.Subscribe, to.topics); err != nil {
		return nil, err
	}
	if err := identity.CheckPatterns(auth.Subscribe, to.patterns); err != nil {
		return nil, err
	}
	return &sse.Selection{
		Topics: to.topics, Patterns: to.patterns, Key: identity.Name, Expires: identity.Expires,
		WithTopic: len(to.topics) > 1 || len(to.patterns) > 0,
	}, nil
}

// wantsPage parses the parameter follow. It returns true for a page of stored events,
// and false for a stream.
func wantsPage(query url.Values) (bool, error) {
	switch query.Get("follow") {
	case "0":
		return true, nil
	case "", "1":
		return false, nil
	}
	return false, problemf(http.StatusBadRequest,
		"follow must be 0 for a page of stored events, or 1 for a stream")
}
