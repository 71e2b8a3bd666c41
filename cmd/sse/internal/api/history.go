package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

const (
	defaultLimit = 1000
	maxLimit     = 10_000

	// pageBytes is how much of the events a page has, about: pages are made in
	// memory.
	pageBytes = 4 << 20

	// stallTime is how long a client may take for a piece of a page.
	stallTime = 30 * time.Second
	pagePiece = 64 << 10
)

// record is an event as a line of JSON.
type record struct {
	Topics []string `json:"topics,omitempty"`
	ID     string   `json:"id"`
	Type   string   `json:"type"`
	Data   string   `json:"data"`
	Retry  int64    `json:"retry,omitempty"` // milliseconds
	Time   string   `json:"time,omitempty"`
}

// history answers with a page of what is kept. The header Link says where the next
// one is; the last page is empty.
func (a *API) history(
	w http.ResponseWriter, r *http.Request, query url.Values, sel *sse.Selection, start sse.Start,
) error {
	limit, err := limitOf(query)
	if err != nil {
		return err
	}
	p := pageWriter{sel: sel, json: wantsJSON(r)}
	next, err := a.fill(r, &p, start, limit)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Link", "<"+nextPage(r, query, next)+`>; rel="next"`)
	header.Set("Content-Type", "text/event-stream")
	if p.json {
		header.Set("Content-Type", "application/x-ndjson")
	} else {
		p.event(sse.Event{ID: next.String(), Type: "sse.cursor"})
	}
	header.Set("Content-Length", strconv.Itoa(p.Len()))
	if r.Method != http.MethodHead {
		send(w, &p.Buffer)
	}
	return nil
}

// send writes a page, unless the client takes nothing of it for too long.
func send(w http.ResponseWriter, page *bytes.Buffer) {
	control := http.NewResponseController(w)
	var err error
	for err == nil && page.Len() > 0 {
		_ = control.SetWriteDeadline(time.Now().Add(stallTime))
		if _, err = w.Write(page.Next(pagePiece)); err == nil {
			err = control.Flush()
		}
	}
	if err == nil { // else whoever asked has gone, or is to
		_ = control.SetWriteDeadline(time.Time{}) // the next response may be a stream
	}
}

// fill reads what the page is to have, and returns where the next one begins.
func (a *API) fill(
	r *http.Request, p *pageWriter, start sse.Start, limit int,
) (next sse.Position, err error) {
	for {
		page, err := a.Broker.Read(r.Context(), *p.sel, start, pageBytes-p.Len())
		var gap *sse.Gap
		if err != nil && !errors.As(err, &gap) {
			return next, err
		}
		if gap != nil {
			at := page.Next
			if parsed, err := sse.ParsePosition(gap.Available); err == nil {
				at = parsed
			}
			p.gap(*gap, at)
		}
		next = p.page(&page, limit-p.count, start.After.String())
		if len(page.Entries) == 0 || p.count >= limit || p.Len() >= pageBytes {
			return next, nil
		}
		start = sse.Start{After: next}
	}
}

// limitOf reads the parameter limit.
func limitOf(query url.Values) (int, error) {
	if !query.Has("limit") {
		return defaultLimit, nil
	}
	n, err := strconv.ParseUint(query.Get("limit"), 10, 32)
	if err != nil || n == 0 || n > maxLimit {
		return 0, problemf(http.StatusBadRequest, "limit is a number of events, 1 to %d", maxLimit)
	}
	return int(n), nil
}

// startOf is where a page begins: after the id in the header Last-Event-ID, or in
// lastEventId, or where since says; else with the earliest event.
func startOf(r *http.Request, query url.Values) (sse.Start, error) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = query.Get("lastEventId")
	}
	if id != "" {
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
		return start, problemf(http.StatusBadRequest, "%s", strings.TrimPrefix(err.Error(), "sse: "))
	}
	return start, nil
}

// nextPage is the URL of the page after a position. A ticket is used up, and not
// repeated.
func nextPage(r *http.Request, query url.Values, next sse.Position) string {
	more := url.Values{"follow": {"0"}, "lastEventId": {next.String()}}
	for _, name := range []string{"topic", "pattern", "limit"} {
		if values := query[name]; len(values) > 0 {
			more[name] = values
		}
	}
	return pathOf(r.URL) + "?" + more.Encode()
}

// pageWriter collects events in the form of the page.
type pageWriter struct {
	bytes.Buffer
	sel   *sse.Selection
	json  bool
	count int
}

// page adds up to limit entries of a page, and the gap where something is missing.
// It returns the position after which to go on.
func (p *pageWriter) page(page *sse.Page, limit int, asked string) sse.Position {
	lost := page.Lost
	told := lost == sse.Position{}
	tell := func() {
		if !told {
			p.gap(sse.Gap{Asked: asked, Available: lost.String(), Why: "trimmed"}, lost)
			told = true
		}
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		if e.Position.Seq > lost.Seq {
			tell()
		}
		p.entry(e)
		if i+1 == limit && i+1 < len(page.Entries) {
			return e.Position
		}
	}
	if page.Next.Seq >= lost.Seq {
		tell()
	}
	return page.Next
}

func (p *pageWriter) gap(gap sse.Gap, at sse.Position) {
	data, err := json.Marshal(gap)
	if err != nil {
		panic(err) // it has only strings
	}
	event := sse.Event{ID: at.String(), Type: "sse.gap", Data: string(data)}
	if p.json {
		p.record(record{ID: event.ID, Type: event.Type, Data: event.Data})
		return
	}
	p.event(event)
}

// entry adds an entry, with those of its topics that were asked for: who may read
// one topic may not know the others.
func (p *pageWriter) entry(e *sse.Entry) {
	p.count++
	event := e.Event
	if event.ID == "" {
		event.ID = e.Position.String()
	}
	var topics []string
	for _, topic := range e.Topics {
		if p.sel.Match([]string{topic}) {
			topics = append(topics, topic)
		}
	}
	if p.json {
		kind := event.Type
		if kind == "" {
			kind = "message"
		}
		p.record(record{
			Topics: topics, ID: event.ID, Type: kind, Data: event.Data,
			Retry: event.Retry.Milliseconds(), Time: e.Time.UTC().Format(time.RFC3339Nano),
		})
		return
	}
	if p.sel.WithTopic && len(topics) > 0 {
		event.Topic = topics[0]
	}
	p.event(event)
}

func (p *pageWriter) event(event sse.Event) {
	buf, err := sse.AppendEvent(p.AvailableBuffer(), event)
	if err != nil {
		return // what is kept was checked when it was published
	}
	p.Write(buf)
}

func (p *pageWriter) record(rec record) {
	encoder := json.NewEncoder(p)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(rec); err != nil {
		panic(err) // it has only strings and a number
	}
}

// acceptsStream reports whether an Accept header takes an event stream.
func acceptsStream(accept string) bool {
	for _, kind := range strings.Split(accept, ",") {
		kind, _, _ = strings.Cut(kind, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/event-stream", "text/*", "*/*":
			return true
		}
	}
	return false
}
