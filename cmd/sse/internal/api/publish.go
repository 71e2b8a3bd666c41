package api

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// publishByQuery handles POST /-/publish.
func (a *API) publishByQuery(w http.ResponseWriter, r *http.Request) error {
	return a.publish(w, r, target{})
}

// publish publishes the body as one event or, with split=lines, each of its
// lines. If the target is empty, publish takes the target from the query.
func (a *API) publish(w http.ResponseWriter, r *http.Request, to target) error {
	var p publishRequest
	if err := a.prepare(&p, r, to); err != nil {
		return err
	}
	if p.split {
		lines := p // a copy for the heap, so that p stays on the stack
		return a.publishPrepared(w, r, &lines)
	}
	memory := a.newShare()
	defer memory.release()
	data, err := a.readBody(w, r, &memory, a.MaxEvent, eventTooLarge)
	if err != nil {
		return err
	}
	entry := sse.Entry{Topics: p.topics, Event: p.event}
	entry.Event.Data = data
	if err := p.check(&entry, a.MaxEvent); err != nil {
		return err
	}
	turnOf(r).release()
	at, replayed, err := a.publishEntry(r, p.identity, entry)
	if err != nil {
		return err
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	id := idOf(&entry, at)
	switch {
	case wantsJSON(r):
		return respond(w, r, "", map[string]any{"id": id})
	case entry.Event.ID != "":
		return respond(w, r, id+"\n", nil)
	}
	// A position needs no header Content-Type, because net/http detects that the
	// response is text/plain; charset=utf-8.
	_, _ = io.WriteString(w, id)
	_, _ = io.WriteString(w, "\n") // the client may have disconnected
	return nil
}

// publishEntry publishes one event, and returns its position. replayed is true if an
// earlier request with the same idempotency key has published the event.
func (a *API) publishEntry(r *http.Request, identity *auth.Identity, entry sse.Entry) (
	at sse.Position, replayed bool, err error) {
	request, err := idempotentRequest(r, identity, entry)
	if err != nil {
		return at, false, err
	}
	if request == nil {
		at, err = a.Log.PublishOne(r.Context(), entry.Event, entry.Topics...)
		return at, false, err
	}
	positions, replayed, err := a.Log.Publish(r.Context(), request, entry)
	if err != nil {
		return at, false, err
	}
	return positions[0], replayed, nil
}

// idOf returns the ID that subscribers receive with an entry: the ID that the
// publisher has set, or the text of its position.
func idOf(entry *sse.Entry, at sse.Position) string {
	if entry.Event.ID != "" {
		return entry.Event.ID
	}
	return at.String()
}

// publishRequest holds the parts of a request to publish, except its body.
type publishRequest struct {
	identity *auth.Identity
	topics   []string
	event    sse.Event // without data
	toLF     bool      // convert line ends to LF
	split    bool      // publish each line of the body as an event
}

// prepare sets p to the parts of a request, except its body. If the target is empty,
// prepare takes the target from the query. It fails unless the client may publish to
// all topics of the target.
func (a *API) prepare(p *publishRequest, r *http.Request, to target) error {
	targetInQuery := to.isEmpty()
	query, err := parseQuery(r, targetInQuery, publishParameters...)
	if err != nil {
		return err
	}
	if p.identity, err = a.Authority.Identify(r, query); err != nil {
		return err
	}
	if targetInQuery {
		if to, err = parseTarget(query); err != nil {
			return err
		}
	}
	return p.parse(r, query, to)
}

// parse sets the fields of p from the target and the query. p.identity must be set.
// It fails if the target has patterns, if p.identity may not publish to a topic, or
// if the body is multipart or compressed.
func (p *publishRequest) parse(r *http.Request, query url.Values, to target) (err error) {
	if err := to.checkTopicsOnly("publishing", "/-/publish"); err != nil {
		return err
	}
	if err := p.identity.CheckTopics(auth.Publish, to.topics); err != nil {
		return err
	}
	p.topics = to.topics
	if err := checkBodyForm(r); err != nil || len(query) == 0 {
		return err
	}
	p.event.Type, p.event.ID = query.Get("type"), query.Get("id")
	if query.Has("retry") {
		if p.event.Retry, err = parseRetry(query.Get("retry")); err != nil {
			return err
		}
	}
	switch eol := query.Get("eol"); {
	case eol == "lf":
		p.toLF = true
	case query.Has("eol"):
		return problemf(http.StatusBadRequest, "eol must be lf, to convert line ends to LF")
	}
	switch split := query.Get("split"); {
	case split == "lines":
		p.split = true
	case query.Has("split"):
		return problemf(http.StatusBadRequest,
			"split must be lines, to publish each line of the body as an event")
	}
	return nil
}

// parseRetry parses a retry time, a number of milliseconds.
func parseRetry(value string) (time.Duration, error) {
	const longest = 24 * 60 * 60 * 1000
	ms, err := strconv.ParseUint(value, 10, 32)
	if err != nil || ms == 0 || ms > longest {
		return 0, problemf(http.StatusBadRequest,
			"retry must be a number of milliseconds from 1 to %d", longest)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// check refuses an event with an ID that only the hub may assign, with data that a
// stream cannot carry unchanged, or with data of more than limit bytes on the wire. If
// p.toLF is true, check converts the line ends of the data to LF. The broker checks the
// other fields.
func (p *publishRequest) check(entry *sse.Entry, limit int) error {
	if id := entry.Event.ID; strings.HasPrefix(id, "~") {
		// If the ID were a position, the broker would ignore it and assign another.
		return &sse.FieldError{Field: "id", Value: id,
			Reason: `must not begin with "~": the hub assigns such IDs`}
	}
	data := entry.Event.Data
	if at := strings.IndexByte(data, '\r'); at >= 0 {
		if !p.toLF {
			return problemf(http.StatusBadRequest, "the data has a CR at byte %d, and "+
				"an event stream cannot carry a CR; add ?eol=lf to convert line ends to LF", at)
		}
		data = strings.ReplaceAll(strings.ReplaceAll(data, "\r\n", "\n"), "\r", "\n")
		entry.Event.Data = data
	}
	if !utf8.ValidString(data) {
		return problemf(http.StatusBadRequest, "the data must be UTF-8, because an event stream "+
			"carries nothing else; encode other data, for example as base64")
	}
	const perLine = len("data: \n")
	if n := len(data) + (strings.Count(data, "\n")+1)*perLine; n > limit {
		return eventTooLarge(limit)
	}
	return nil
}

func eventTooLarge(limit int) error {
	return problemf(http.StatusRequestEntityTooLarge,
		"an event must have at most %d bytes on the wire, including 7 for each line of its data; "+
			"the hub's flag --max-event-size sets this limit", limit)
}
