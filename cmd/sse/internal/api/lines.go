package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// maxLines is how many lines are published in one call.
const maxLines = 1024

// publishLinesByQuery is PUT of /-/publish.
func (a *API) publishLinesByQuery(w http.ResponseWriter, r *http.Request) error {
	return a.publishLines(w, r, target{})
}

// publishLines publishes each line of the body as an event when it arrives. The
// last line needs no LF, but the incomplete line of a body that was cut off is
// not published.
func (a *API) publishLines(w http.ResponseWriter, r *http.Request, to target) error {
	p := &publishRequest{}
	if err := a.prepare(p, r, to); err != nil {
		return err
	}
	return a.publishPrepared(w, r, p)
}

// publishPrepared is publishLines for a request without its body.
func (a *API) publishPrepared(w http.ResponseWriter, r *http.Request, p *publishRequest) error {
	if p.event.ID != "" {
		return problemf(http.StatusBadRequest, "id must not be set, because each line is an event")
	}
	return a.publishStream(w, r, p.identity, func(line []byte) (sse.Entry, error) {
		entry := sse.Entry{Topics: p.topics, Event: p.event}
		entry.Event.Data = string(bytes.TrimSuffix(line, []byte("\r")))
		err := p.check(&entry, a.MaxEvent)
		return entry, err
	})
}

// publishStream publishes the entry that parse returns for each line of the
// body. The response contains the number of published events, even if an error
// ends the request. With an idempotency key, a line that an earlier request has
// published counts as published; if such a request is in progress, publishStream
// waits for its end.
func (a *API) publishStream(
	w http.ResponseWriter, r *http.Request, identity *auth.Identity,
	parse func(line []byte) (sse.Entry, error),
) error {
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	// bodyTimeout is for other requests: hours may pass between two lines.
	_ = control.SetReadDeadline(time.Time{})
	defer context.AfterFunc(a.Closing, func() { _ = control.SetReadDeadline(time.Unix(1, 0)) })()
	p := &linePublisher{
		ctx: r.Context(), log: a.Log, key: ownedKey{identity.Name, key}, parse: parse,
	}
	if key != "" {
		if err := a.keys.acquire(r.Context(), a.Closing, p.key); err != nil {
			closeAfterResponse(w)
			return p.wrap(err)
		}
		defer a.keys.release(p.key)
	}
	memory := a.newShare()
	defer memory.release()
	in := &lineSplitter{r: r.Body, limit: a.MaxEvent, resize: func(size int) error {
		return memory.resize(r.Context(), bodyCost*size)
	}}
	if err = a.publishFrom(in, p); err == nil {
		if p.published > 0 && p.replayed == p.published {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		return p.respond(w, r)
	}
	// Without this call, net/http would first read up to 256 KiB more of the body. A
	// client that sends one line an hour would wait for the response until then.
	closeAfterResponse(w)
	return p.wrap(err)
}

// publishFrom publishes the lines of a body until the body ends or the hub
// shuts down.
func (a *API) publishFrom(in *lineSplitter, p *linePublisher) error {
	for {
		lines, err := in.next()
		if err := p.publish(lines); err != nil {
			return err
		}
		switch {
		case err == io.EOF:
			return nil
		case a.Closing.Err() != nil:
			return sse.ErrShutdown
		case err != nil:
			return err
		}
	}
}

// linePublisher parses and publishes lines.
type linePublisher struct {
	ctx   context.Context
	log   Log
	key   ownedKey // of the request; it has no idempotency key if key.key is empty
	parse func(line []byte) (sse.Entry, error)

	parsed   int // lines
	replayed int // lines that an earlier request has published
	publishProgress
}

// publish publishes lines. If a line is invalid, publish publishes the lines
// before it and returns the error.
func (p *linePublisher) publish(lines [][]byte) error {
	for len(lines) > 0 {
		n := min(len(lines), maxLines)
		entries, before := make([]sse.Entry, 0, n), p.parsed
		var invalid error
		for _, line := range lines[:n] {
			entry, err := p.parse(line)
			if p.parsed++; err != nil {
				invalid = &lineError{err, p.parsed}
				break
			}
			entries = append(entries, entry)
		}
		if err := p.publishValid(entries, before); err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		lines = lines[n:]
	}
	return nil
}

// publishValid publishes the entries of the lines after the first ones, whose
// number is before. If the broker refuses an entry, publishValid publishes the
// entries before it and returns the error. Without an idempotency key, it
// publishes them in one call.
func (p *linePublisher) publishValid(entries []sse.Entry, before int) error {
	if p.key.key != "" {
		return p.publishWithKeys(entries, before)
	}
	err := p.publishAll(entries)
	var field *sse.FieldError
	switch {
	case !errors.As(err, &field):
		return err
	case len(entries) == 1:
		return atLine(err, before+1)
	}
	for i := range entries {
		if err := p.publishAll(entries[i : i+1]); err != nil {
			return atLine(err, before+i+1)
		}
	}
	return nil
}

// atLine adds the number of a line to an error, if the error is about the line.
func atLine(err error, line int) error {
	var field *sse.FieldError
	if errors.As(err, &field) || errors.Is(err, ErrKeyUsed) {
		return &lineError{err, line}
	}
	return err
}

// publishWithKeys publishes each entry with a key of its own, so that a later
// attempt continues after the last line that was published.
func (p *linePublisher) publishWithKeys(entries []sse.Entry, before int) error {
	for i := range entries {
		entry, line := entries[i:i+1], before+i+1
		positions, replayed, err := p.log.Publish(
			p.ctx, idempotentLine(p.key, line, entry), entry...)
		if err != nil {
			return atLine(err, line)
		}
		p.add(entry, positions)
		if replayed {
			p.replayed++
		}
	}
	return nil
}

func (p *linePublisher) publishAll(entries []sse.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	positions, _, err := p.log.Publish(p.ctx, nil, entries...)
	p.add(entries, positions)
	return err
}

// publishProgress counts the published events of a request.
type publishProgress struct {
	published int
	lastID    string // of the last published event
}

// add counts the entries that have a position.
func (p *publishProgress) add(entries []sse.Entry, positions []sse.Position) {
	if n := len(positions); n > 0 {
		p.published += n
		p.lastID = idOf(&entries[n-1], positions[n-1])
	}
}

func (p *publishProgress) wrap(err error) error {
	return &partialError{err, p.published, p.lastID}
}

func (p *publishProgress) respond(w http.ResponseWriter, r *http.Request) error {
	message := fmt.Sprintf("kept %d, last id %s\n", p.published, p.lastID)
	if p.published == 0 {
		message = "kept 0\n"
	}
	return respond(w, r, message, map[string]any{"kept": p.published, "id": p.lastID})
}
