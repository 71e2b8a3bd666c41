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

	// pageBytes limits the size of a page, because a page is built in memory. A
	// page ends with the first event that reaches this size, so it may be larger
	// by a part of one event.
	pageBytes = 4 << 20

	// usualBytes is about the size of an event. A page reads about this many
	// bytes for each event that it still needs. If the events are larger, it
	// reads again.
	usualBytes = 256

	// chunkTimeout is how long a client may take to read chunkBytes of a page.
	chunkTimeout = 30 * time.Second
	chunkBytes   = 64 << 10

	// To read a whole page, a client may take pageGrace, plus one second for each
	// pageRate bytes, but at most maxPageTimeout.
	pageRate       = 32 << 10
	pageGrace      = time.Minute
	maxPageTimeout = 10 * time.Minute
)

// serveHistory answers with a page of stored events. The header Link has the
// URL of the next page. The last page is empty.
func (a *API) serveHistory(
	w http.ResponseWriter, r *http.Request, query url.Values, sel *sse.Selection, start sse.Start,
) error {
	limit, err := parseLimit(query)
	if err != nil {
		return err
	}
	p := pageWriter{sel: sel, selects: matcher.New(sel), json: wantsJSON(r)}
	memory := a.newShare()
	defer memory.release()
	next, err := a.fillPage(r, &p, &memory, start, limit)
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
	memory.set(p.Cap())
	if r.Method != http.MethodHead {
		sendPage(w, &p.Buffer)
	}
	return nil
}

// sendPage writes a page in chunks. It stops if the client does not read a
// chunk within chunkTimeout, or the page within pageTimeout.
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
	if err == nil { // otherwise the connection is closed, or about to be closed
		_ = control.SetWriteDeadline(time.Time{}) // the next response may be a stream
	}
}

// pageTimeout returns how long a client may take to read a page of this size.
func pageTimeout(size int) time.Duration {
	seconds := time.Duration(size / pageRate)
	return min(pageGrace+seconds*time.Second, maxPageTimeout)
}

// entryCost is about the memory that an entry needs in addition to its data and
// its topics.
const entryCost = 256

// costOf returns about how much memory the entries of a page take, before they are
// written to the page.
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

// fillPage adds up to limit events to a page, and returns the position after
// which the next page begins.
func (a *API) fillPage(
	r *http.Request, p *pageWriter, memory *share, start sse.Start, limit int,
) (next sse.Position, err error) {
	// A start at the earliest event or at the last N events names no event, so no
	// event counts as lost.
	open := start.Earliest || start.Last > 0
	asked := start.After.String()
	for {
		size := min(pageBytes-p.Len(), (limit-p.count)*usualBytes)
		if err := memory.resize(r.Context(), p.Cap()+entryCost+2*size); err != nil {
			return next, err
		}
		page, err := a.Broker.Read(r.Context(), *p.sel, start, size)
		if err != nil {
			return next, err
		}
		// The encoded entries need about the same amount of memory in addition.
		if err := memory.resize(r.Context(), p.Cap()+2*costOf(&page)); err != nil {
			return next, err
		}
		if gap := page.Gap; gap != nil {
			at := page.Next
			if parsed, err := sse.ParsePosition(gap.Available); err == nil {
				at = parsed
			}
			p.writeGap(*gap, at)
		}
		if open {
			page.Lost = sse.Position{}
		}
		next = p.writePage(&page, limit-p.count, asked)
		if len(page.Entries) == 0 || p.count >= limit || p.Len() >= pageBytes {
			return next, nil
		}
		start = sse.Start{After: next}
	}
}

// parseLimit parses the parameter limit.
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

// parseStart returns where a page begins: after the id in the header
// Last-Event-ID or in the parameter lastEventId, or else at the parameter
// since, or else at the earliest event.
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

// lastEventID returns the ID after which a client asks to read, or "".
func lastEventID(r *http.Request, query url.Values) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return query.Get("lastEventId")
}

// nextPage returns the URL of the page after a position, relative to the URL of
// this page: a proxy may have changed the path. It does not repeat the ticket,
// which this request has used up.
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
