package api

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/sse-go/sse"
)

const (
	maxBatchBytes  = 16 << 20
	maxBatchEvents = 64 << 10
)

// publishBatch is POST of /-/batch. It publishes all events of the body, or
// none of them if one is invalid.
func (a *API) publishBatch(w http.ResponseWriter, r *http.Request) error {
	p, err := a.prepareBatch(r)
	if err != nil {
		return err
	}
	body, err := a.readBody(w, r, max(maxBatchBytes, a.MaxEvent), batchTooLarge)
	if err != nil {
		return err
	}
	entries, err := a.parseBatch(p, body)
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
		return progress.wrap(err)
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

// parseBatch returns the entries in lines of JSON. It skips empty lines.
func (a *API) parseBatch(p *publishRequest, body string) ([]sse.Entry, error) {
	lines := min(strings.Count(body, "\n"), len(body)/len(`{"data":""}`))
	entries := make([]sse.Entry, 0, min(lines, maxBatchEvents))
	n := 0
	for line := range bytes.Lines([]byte(body)) {
		n++
		content := bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(content)) == 0 {
			continue
		}
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

// publishJSONLines is PUT of /-/batch. It publishes each event as its line
// arrives.
func (a *API) publishJSONLines(w http.ResponseWriter, r *http.Request) error {
	p, err := a.prepareBatch(r)
	if err != nil {
		return err
	}
	return a.publishStream(w, r, p.identity, func(line []byte) (sse.Entry, error) {
		return a.parseBatchLine(p, bytes.TrimSuffix(line, []byte("\r")))
	})
}

// prepareBatch identifies the client, and parses the topics for events that
// have none of their own.
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
