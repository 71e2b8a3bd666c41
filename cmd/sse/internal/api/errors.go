package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// problem is an error with the status and the text of its response.
type problem struct {
	status int
	text   string
	header [2]string // name and value of an additional header; empty if there is none
}

func (p *problem) Error() string { return "sse: " + p.text }

func problemf(status int, format string, args ...any) error {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

// partialError is the error of a request to publish several events. The events
// before the error were published.
type partialError struct {
	error
	published int    // number of published events, possibly zero
	lastID    string // the ID of the last published event
}

func (e *partialError) Unwrap() error { return e.error }

// lineError is an error in one line of a body.
type lineError struct {
	error
	line int // the first line has the number 1
}

func (e *lineError) Error() string {
	return fmt.Sprintf("sse: line %d: %s", e.line, text.WithoutPrefix(e.error))
}

func (e *lineError) Unwrap() error { return e.error }

// statusOf returns the status of the response for an error, and the name and value
// of an additional header. They are empty if there is none.
func statusOf(err error) (status int, header [2]string) {
	var (
		own     *problem
		refused *auth.Error
		field   *sse.FieldError
	)
	switch {
	case errors.As(err, &own):
		return own.status, own.header
	case errors.As(err, &refused):
		if refused.Status == http.StatusUnauthorized {
			header = [2]string{"WWW-Authenticate", `Bearer realm="sse"`}
		}
		if refused.Status == http.StatusServiceUnavailable { // until other tickets expire
			header = [2]string{"Retry-After", "10"}
		}
		return refused.Status, header
	case errors.As(err, &field):
		return http.StatusBadRequest, header
	case errors.Is(err, ErrKeyUsed):
		return http.StatusUnprocessableEntity, header
	case errors.Is(err, syscall.ENOSPC):
		return http.StatusInsufficientStorage, header
	case errors.Is(err, sse.ErrShutdown), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, [2]string{"Retry-After", "1"}
	}
	return http.StatusInternalServerError, header
}

// respondError writes the response for an error: one line of text, or JSON if
// the request asks for it.
func (a *API) respondError(w http.ResponseWriter, r *http.Request, err error) {
	a.limitRestOfBody(w, r)
	status, header := statusOf(err)
	w.Header()["X-Content-Type-Options"] = noSniff // the text may quote the request
	if header[0] != "" {
		w.Header().Set(header[0], header[1])
	}
	message := replaceControls(text.WithoutPrefix(err))
	switch status { // the client must not read these errors: they describe this machine
	case http.StatusInsufficientStorage:
		message = "the disk is full; the hub still serves subscribers, and publishes again " +
			"once there is space: remove files from the disk, or DELETE a topic"
	case http.StatusInternalServerError:
		message = "the hub failed to handle this request; its operator finds the reason in its log"
		if a.OnError != nil {
			a.OnError(err)
		}
	}
	var partial *partialError
	if errors.As(err, &partial) {
		message += fmt.Sprintf("; before the error: kept %d", partial.published)
		if partial.lastID != "" {
			message += ", last id " + partial.lastID
		}
	}
	if !wantsJSON(r) {
		w.Header()["Content-Type"] = plainText
		w.WriteHeader(status)
		_, _ = w.Write([]byte("sse: " + message + "\n"))
		return
	}
	body := map[string]any{"error": message, "status": status}
	if partial != nil {
		body["kept"], body["id"] = partial.published, partial.lastID
	}
	if line := (*lineError)(nil); errors.As(err, &line) {
		body["line"] = line.line
	}
	writeJSON(w, status, body)
}

// replaceControls replaces control characters by U+FFFD, so that a message is
// one line.
func replaceControls(message string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return '\ufffd'
		}
		return r
	}, message)
}
