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

// maxLines is the largest number of lines that one call of Log.Publish publishes.
const maxLines = 1024

// publishLinesByQuery handles PUT /-/publish.
func (a *API) publishLinesByQuery(w http.ResponseWriter, r *http.Request) error {
	return a.publishLines(w, r, target{})
}

// publishLines publishes each line of the body as an event when the line has
// arrived. The last line of a body needs no LF. If the body is cut off, its last,
// incomplete line is not published. If the target is empty, publishLines takes the
// target from the query.
func (a *API) publishLines(w http.ResponseWriter, r *http.Request, to target) error {
	p := &publishRequest{}
	if err := a.prepare(p, r, to); err != nil {
		return err
	}
	return a.publishPrepared(w, r, p)
}

// publishPrepared publishes the lines of a request that prepare has checked.
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

// publishStream publishes the entry that parse returns for each line of the body.
// The response contains the number of published events, even if an error ends the
// request. With an idempotency key, the client can send the request again:
// publishStream then publishes only the lines that are missing, but also counts the
// other lines. If another request with the same key is in progress, publishStream
// waits until it ends.
func (a *API) publishStream(
	w http.ResponseWriter, r *http.Request, identity *auth.Identity,
	parse func(line []byte) (sse.Entry, error),
) error {
	turnOf(r).release()
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	// Remove the deadline bodyTimeout, because hours may pass between two lines. When
	// the hub shuts down, a deadline in the past ends the read of the body.
	_ = control.SetReadDeadline(time.Time{})
	defer context.AfterFunc(a.Closing, func() { _ = control.SetReadDeadline(time.Unix(1, 0)) })()
	p := &linePublisher{
		ctx: r.Context(), log: a.Log, key: ownedKey{identity.Name, key}, parse: parse,
	}
	if key != "" {
		if err := a.locks.acquire(r.Context(), a.Closing, p.key); err != nil {
			closeAfterResponse(w)
			return p.wrap(err)
		}
		defer a.locks.release(p.key)
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
	// Without this call, net/http would read up to 256 KiB more of the body before it
	// sends the response. A client that sends one line an hour would wait very long.
	closeAfterResponse(w)
	return p.wrap(err)
}

// publishFrom publishes the lines of a body. It returns nil at the end of the body.
// It fails if a line is invalid, if the body is cut off, or if the hub shuts down.
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
	key   ownedKey // key.key is empty if the request has no idempotency key
	parse func(line []byte) (sse.Entry, error)

	parsed   int // number of parsed lines
	replayed int // number of lines that an earlier request had published
	publishProgress
}

// publish publishes lines, at most maxLines at once. If a line is invalid, publish
// publishes the lines before it and returns the error.
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

// publishValid publishes entries whose lines are valid. before is the number of lines
// of the body before these lines; errors contain the number of a line. Without an
// idempotency key, publishValid publishes all entries in one call. If the broker
// refuses this call because of one entry, publishValid publishes them one by one. It
// then stops at the entry that the broker refuses, and returns the error.
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

// atLine adds the number of a line to an error, if the line has caused the error. An
// error of the disk, for example, remains unchanged.
func atLine(err error, line int) error {
	var field *sse.FieldError
	if errors.As(err, &field) || errors.Is(err, ErrKeyUsed) {
		return &lineError{err, line}
	}
	return err
}

// publishWithKeys publishes each entry in a call of its own, with the idempotency key
// of its line. If it fails, a later attempt of the request publishes only the lines
// that are missing.
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
	published int    // number of published events
	lastID    string // the ID of the last published event
}

// add counts the published entries. positions has one item for each published entry. If
// the log failed before the last entry, positions is shorter than entries.
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
