package api

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/sse-go/sse"
)

const (
	maxBatchBytes  = 16 << 20
	maxBatchEvents = 64 << 10
)

// publishBatch handles POST /-/batch. It publishes all events of the body. If one of
// them is invalid, it publishes none. If the log fails after it has stored some events,
// only these events are published.
func (a *API) publishBatch(w http.ResponseWriter, r *http.Request) error {
	p, err := a.prepareBatch(r)
	if err != nil {
		return err
	}
	memory := a.newShare()
	defer memory.release()
	body, err := a.readBody(w, r, &memory, max(maxBatchBytes, a.MaxEvent), batchTooLarge)
	if err != nil {
		return err
	}
	entries, err := a.parseBatch(r.Context(), p, body)
	if err != nil {
		return err
	}
	request, err := idempotentRequest(r, p.identity, entries...)
	if err != nil {
		return err
	}
	positions, replayed, err := a.Log.Publish(r.Context(), request, entries...)
	var progress publishProgress
	progress.add(entries, positions)
	if err != nil {
		if i := refusedEntry(err, entries); i >= 0 {
			err = &lineError{err, lineOfEntry(body, i)}
		}
		if progress.published == 0 {
			return err // nothing was published, so the response needs no number
		}
		return progress.wrap(err) // the log failed after the first events
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	return progress.respond(w, r)
}

func batchTooLarge(limit int) error {
	return problemf(http.StatusRequestEntityTooLarge,
		"a batch must have at most %d bytes; PUT has no such limit", limit)
}

// parseBatch parses the lines of a batch. Each line that is not empty is an event
// as JSON. parseBatch waits for a turn unless the body is small.
func (a *API) parseBatch(ctx context.Context, p *publishRequest, body string) (
	[]sse.Entry, error) {
	if len(body) > smallShare {
		t := &turn{api: a}
		if err := t.acquire(ctx); err != nil {
			return nil, err
		}
		defer t.release()
	}
	lines := min(strings.Count(body, "\n"), len(body)/len(`{"data":""}`))
	entries := make([]sse.Entry, 0, min(lines, maxBatchEvents))
	for n, content := range batchLines(body) {
		entry, err := a.parseBatchLine(p, content)
		if err != nil {
			return nil, &lineError{err, n}
		}
		if entries = append(entries, entry); len(entries) > maxBatchEvents {
			return nil, problemf(http.StatusRequestEntityTooLarge,
				"a batch must have at most %d events; PUT has no such limit", maxBatchEvents)
		}
	}
	return entries, nil
}

// batchLines returns an iterator over the lines of a batch that are not empty, with
// their numbers. The first line has the number 1. Empty lines are counted, too, so
// that a number in an error is the number in the client's file.
func batchLines(body string) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		n := 0
		for line := range bytes.Lines([]byte(body)) {
			n++
			content := bytes.TrimRight(line, "\r\n")
			if len(bytes.TrimSpace(content)) > 0 && !yield(n, content) {
				return
			}
		}
	}
}

// lineOfEntry returns the number of the line from which entries[i] was parsed.
func lineOfEntry(body string, i int) (line int) {
	for n := range batchLines(body) {
		if line = n; i == 0 {
			break
		}
		i--
	}
	return line
}

// refusedEntry returns the index of the entry that the broker has refused, or -1 if
// err has another cause. The error contains the value that breaks a rule, but not the
// index. The broker checks the entries in order, so the refused entry is the first
// entry with this value.
func refusedEntry(err error, entries []sse.Entry) int {
	field := &sse.FieldError{}
	errors.As(err, &field)
	return slices.IndexFunc(entries, func(e sse.Entry) bool {
		switch field.Field {
		case "id":
			return e.Event.ID == field.Value
		case "event":
			return e.Event.Type == field.Value
		case "topic": // too many topics; checkTopic has checked the other rules
			return slices.Index(e.Topics, field.Value) >= maxEventTopics
		}
		return false
	})
}

// maxEventTopics is the largest number of topics of an event.
const maxEventTopics = 1024

// publishJSONLines handles PUT /-/batch. It publishes each event when its line has
// arrived.
func (a *API) publishJSONLines(w http.ResponseWriter, r *http.Request) error {
	p, err := a.prepareBatch(r)
	if err != nil {
		return err
	}
	return a.publishStream(w, r, p.identity, func(line []byte) (sse.Entry, error) {
		return a.parseBatchLine(p, bytes.TrimSuffix(line, []byte("\r")))
	})
}

// prepareBatch identifies the client, and parses the query. The topics in the query
// apply to the events whose lines name no topics.
func (a *API) prepareBatch(r *http.Request) (*publishRequest, error) {
	p := &publishRequest{}
	query, err := parseQuery(r, true, "eol")
	if err != nil {
		return nil, err
	}
	if p.identity, err = a.Authority.Identify(r, query); err != nil {
		return nil, err
	}
	var to target
	if query.Has("topic") || query.Has("pattern") {
		if to, err = parseTarget(query); err != nil {
			return nil, err
		}
	}
	err = p.parse(r, query, to)
	return p, err
}
