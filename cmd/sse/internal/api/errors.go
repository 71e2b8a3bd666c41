package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// ErrKeyUsed is what a [Log] returns for an idempotency key that was used for
// something else.
var ErrKeyUsed = errors.New("sse: the Idempotency-Key was used for another event before: " +
	"a key is of one event, and of all attempts to publish it")

// problem is an error as a response.
type problem struct {
	status int
	text   string
	header [2]string // one more, or empty
}

func (p *problem) Error() string { return "sse: " + p.text }

func problemf(status int, format string, args ...any) error {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

func notAllowed(r *http.Request, handlers route) error {
	methods := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
	return &problem{
		status: http.StatusMethodNotAllowed,
		text:   fmt.Sprintf("%s is not for this path, which takes %s", shorten(r.Method), methods),
		header: [2]string{"Allow", methods},
	}
}

// partly is an error after a part of what was asked for was done.
type partly struct {
	error
	kept int
	last string // the id of the last event that was kept
}

func (p *partly) Unwrap() error { return p.error }

// statusOf is the status of the response for an error.
func statusOf(err error) (status int, header [2]string) {
	var (
		known   *problem
		refused *auth.Error
		field   *sse.FieldError
	)
	switch {
	case errors.As(err, &known):
		return known.status, known.header
	case errors.As(err, &refused):
		if refused.Status == http.StatusUnauthorized {
			header = [2]string{"WWW-Authenticate", `Bearer realm="sse"`}
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

// fail writes the response for an error: a line, or JSON where that was asked for.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	a.leaveBody(w, r)
	status, header := statusOf(err)
	w.Header()["X-Content-Type-Options"] = noSniff // it may repeat what was sent
	if header[0] != "" {
		w.Header().Set(header[0], header[1])
	}
	text := oneLine(bare(err))
	switch status { // of which the text is about this machine
	case http.StatusInsufficientStorage:
		text = "the disk is full, and subscribers are served; to publish again make space on it, " +
			"or DELETE a topic: the hub goes on by itself"
	case http.StatusInternalServerError:
		text = "the hub has failed to do this, and has told its operator why"
		if a.Failed != nil {
			a.Failed(err)
		}
	}
	var part *partly
	if errors.As(err, &part) {
		text += fmt.Sprintf("; kept before that: %d", part.kept)
		if part.last != "" {
			text += ", last id " + part.last
		}
	}
	if !wantsJSON(r) {
		w.Header()["Content-Type"] = plainText
		w.WriteHeader(status)
		_, _ = w.Write([]byte("sse: " + text + "\n"))
		return
	}
	body := map[string]any{"error": text, "status": status}
	if part != nil {
		body["kept"], body["id"] = part.kept, part.last
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // whoever asked may have gone
}

// answer writes a text, or the fields where JSON was asked for and there are any.
func answer(w http.ResponseWriter, r *http.Request, text string, fields map[string]any) error {
	if fields != nil && wantsJSON(r) {
		writeJSON(w, http.StatusOK, fields)
		return nil
	}
	w.Header()["Content-Type"] = plainText
	_, _ = w.Write([]byte(text)) // whoever asked may have gone
	return nil
}

// wantsJSON reports whether the request asks for JSON, in one of its forms.
func wantsJSON(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "json") {
			return true
		}
	}
	return false
}

// oneLine makes control characters visible, so that a text has one line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return '\ufffd'
		}
		return r
	}, text)
}

// shorten quotes what a client has sent, as far as it fits into a line.
func shorten(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return fmt.Sprintf("%q", text)
}

// bare is the text of an error without the prefix that all have.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "sse: ") }
