package api

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

const (
	defaultLimit = 1000
	maxLimit     = 10_000

	// pageBytes limits the size of a page in bytes, because a page is built in
	// memory. The event with which a page reaches this size is the last event of the
	// page. This event may make the page larger than pageBytes.
	pageBytes = 4 << 20

	// usualBytes is about the size of a usual event. pageFiller asks the broker for
	// this many bytes for each event that is still missing from the page. If the
	// events are larger, pageFiller asks again.
	usualBytes = 256

	// chunkTimeout is how long a client may take to read chunkBytes of a page.
	chunkTimeout = 30 * time.Second
	chunkBytes   = 64 << 10

	// To read a whole page, a client may take pageGrace, and in addition one second
	// for each pageRate bytes, but at most maxPageTimeout.
	pageRate       = 32 << 10
	pageGrace      = time.Minute
	maxPageTimeout = 10 * time.Minute
)

// serveHistory responds with a page: a limited number of stored events. The header
// Link contains the URL of the next page, and also exists if there are no more
// events. A client has read all events when it receives a page without events.
func (a *API) serveHistory(
	w http.ResponseWriter, r *http.Request, query url.Values, sel *sse.Selection, start sse.Start,
) error {
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	p := pageWriter{
		sel: sel, selects: matcher.New(sel), json: wantsJSON(r), asked: textOfStart(query, start),
	}
	f := pageFiller{a: a, r: r, page: &p, memory: a.newShare(), turn: turnOf(r), limit: limit}
	if f.turn == nil {
		f.turn = &turn{api: a}
	}
	defer f.memory.release()
	next, err := f.fill(start)
	f.turn.release()
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Link", "<"+nextPage(query, next)+`>; rel="next"`)
	contentType := "text/event-stream"
	if p.json {
		contentType = "application/x-ndjson"
	} else {
		p.writeCursor(next)
	}
	if isNavigation(r) { // a browser does not display other types
		contentType = plainText[0]
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(p.Len()))
	f.memory.set(p.Cap())
	if r.Method != http.MethodHead {
		sendPage(w, &p.Buffer)
	}
	return nil
}

// sendPage writes a page in chunks of chunkBytes. It stops, and the connection is
// closed, if the client does not read a chunk within chunkTimeout, or the whole page
// within pageTimeout.
func sendPage(w http.ResponseWriter, page *bytes.Buffer) {
	control := http.NewResponseController(w)
	end := time.Now().Add(pageTimeout(page.Len()))
	var err error
	for err == nil && page.Len() > 0 {
		deadline := time.Now().Add(chunkTimeout)
		if deadline.After(end) {
			deadline = end
		}
		_ = control.SetWriteDeadline(deadline)
		if _, err = w.Write(page.Next(chunkBytes)); err == nil {
			err = control.Flush()
		}
	}
	if err == nil { // otherwise the connection is closed, or net/http closes it
		_ = control.SetWriteDeadline(time.Time{}) // the next response may take hours
	}
}

// pageTimeout returns how long a client may take to read a page of this size.
func pageTimeout(size int) time.Duration {
	seconds := time.Duration(size / pageRate)
	return min(pageGrace+seconds*time.Second, maxPageTimeout)
}

// entryCost is about how many bytes of memory an entry needs in addition to its data
// and its topics.
const entryCost = 256

// costOf returns about how many bytes of memory the entries from the broker take
// before pageWriter encodes them.
func costOf(page *sse.Page) int {
	cost := 0
	for i := range page.Entries {
		e := &page.Entries[i]
		cost += entryCost + len(e.Event.Data)
		for _, topic := range e.Topics {
			cost += len(topic) + 16
		}
	}
	return cost
}

// pageFiller reads stored events, and adds up to limit of them to a page.
type pageFiller struct {
	a      *API
	r      *http.Request
	page   *pageWriter
	memory share // of the page, and of the entries from the broker
	turn   *turn // held while events are read and encoded
	limit  int
}

// fill fills the page with the events from start onward. It returns the position after
// which the next page begins. It may wait for memory and for the turn of the request. It
// fails if it gets none, or if the broker fails.
func (f *pageFiller) fill(start sse.Start) (next sse.Position, err error) {
	// A client that asks for the earliest event or for the last N events does not
	// name an event. For such a client, no removed event counts as lost.
	namesNoEvent := start.Earliest || start.Last > 0
	p := f.page
	for {
		entries, err := f.read(start)
		if err != nil || entries == nil {
			return next, err
		}
		if gap := entries.Gap; gap != nil {
			at := entries.Next
			if parsed, err := sse.ParsePosition(gap.Available); err == nil {
				at = parsed
			}
			p.writeGap(*gap, at)
		}
		if namesNoEvent {
			entries.Lost = sse.Position{}
		}
		next = p.writePage(entries, f.limit-p.count)
		if len(entries.Entries) == 0 || p.count >= f.limit || p.Len() >= pageBytes {
			return next, nil
		}
		start = sse.Start{After: next}
	}
}

// read returns the next entries for the page, and reserves memory for them. If there is
// no memory, and the page already has events, read returns nil: the page then ends early
// and is written, because a request that waits for memory must not hold memory for which
// other requests wait. For the same reason, the first call releases what it has read and
// reserved, waits, and reads again.
func (f *pageFiller) read(start sse.Start) (*sse.Page, error) {
	p, ctx := f.page, f.r.Context()
	size := min(pageBytes-p.Len(), (f.limit-p.count)*usualBytes)
	// Twice, because the entries and their encoded form are in memory at the same time.
	for need := entryCost + 2*size; ; {
		if !f.memory.tryResize(p.Cap() + need) {
			if p.count > 0 {
				return nil, nil
			}
			f.turn.release()
			f.memory.release()
			if err := f.memory.resize(ctx, need); err != nil {
				return nil, err
			}
		}
		if err := f.turn.acquire(ctx); err != nil {
			return nil, err
		}
		page, err := f.a.Broker.Read(ctx, *p.sel, start, size)
		if err != nil {
			return nil, err
		}
		cost := 2 * costOf(&page)
		if f.memory.tryResize(p.Cap() + cost) {
			return &page, nil
		}
		need = cost
	}
}

// parseLimit parses the parameter limit, a number of events.
func parseLimit(query url.Values) (int, error) {
	if !query.Has("limit") {
		return defaultLimit, nil
	}
	n, err := strconv.ParseUint(query.Get("limit"), 10, 32)
	if err != nil || n == 0 || n > maxLimit {
		return 0, problemf(http.StatusBadRequest,
			"limit must be a number of events from 1 to %d", maxLimit)
	}
	return int(n), nil
}

// parseStart returns the start of a page. It uses the header Last-Event-ID, or else the
// parameter lastEventId, or else the parameter since. If the request has none of them,
// the page begins with the earliest event. An ID in the form of a position was assigned
// by the hub, and any other ID was chosen by a publisher.
func parseStart(r *http.Request, query url.Values) (sse.Start, error) {
	if id := lastEventID(r, query); id != "" {
		if at, err := sse.ParsePosition(id); err == nil {
			return sse.Start{After: at}, nil
		}
		return sse.Start{ID: id}, nil
	}
	if !query.Has("since") {
		return sse.Start{Earliest: true}, nil
	}
	start, err := sse.ParseStart(query.Get("since"))
	if err != nil {
		return start, problemf(http.StatusBadRequest, "%s", text.WithoutPrefix(err))
	}
	return start, nil
}

// textOfStart returns the start of a page as the request names it: an ID, or the text
// of the parameter since. Start is the result of parseStart for the same request.
func textOfStart(query url.Values, start sse.Start) string {
	switch {
	case start.ID != "":
		return start.ID
	case start.After != (sse.Position{}):
		return start.After.String()
	}
	return query.Get("since")
}

// lastEventID returns the ID of the last event that the client has received, or "".
// The header has precedence over the parameter.
func lastEventID(r *http.Request, query url.Values) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return query.Get("lastEventId")
}

// nextPage returns the URL of the page after a position, for example
// "?follow=0&lastEventId=~42.…". The URL has no path, because a proxy may have
// changed the path of this request: the client adds the path that it knows. The URL
// does not repeat the ticket, because a ticket is valid only once.
//
// RFC 3986 5.2.2: a reference that begins with its query keeps the whole path.
func nextPage(query url.Values, next sse.Position) string {
	parameters := url.Values{"follow": {"0"}, "lastEventId": {next.String()}}
	for _, name := range []string{"topic", "pattern", "limit", "cursor"} {
		if values := query[name]; len(values) > 0 {
			parameters[name] = values
		}
	}
	return "?" + parameters.Encode()
}
