package sse

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// writeRefusal writes the response for err. It logs err if the response has a general
// text instead of the reason, unless the client has disconnected.
func writeRefusal(w http.ResponseWriter, r *http.Request, logger *slog.Logger, err error) {
	var response *ResponseError
	hasResponse := errors.As(err, &response)
	if (!hasResponse || response.Reason == errUnreachable.Error()) &&
		logger != nil && r.Context().Err() == nil {
		logger.Error("sse: a subscriber was refused", "path", r.URL.Path, "error", err)
	}
	if !hasResponse {
		response = newRefusal(http.StatusInternalServerError,
			"sse: the subscription could not be checked")
	}
	response.write(w)
}

// write sends the response, as the documentation of ResponseError describes it.
func (e *ResponseError) write(w http.ResponseWriter) {
	status := e.StatusCode
	if (status < 300 || status > 599) && status != http.StatusNoContent {
		status = http.StatusForbidden
	}
	own := canonicalHeader(e.Header)
	own.Del("Content-Length") // the server sets it; another value would damage the response
	body := e.Body
	if len(body) == 0 && e.Reason != "" {
		body = []byte(e.Reason + "\n")
		own.Del("Content-Encoding")
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		body = nil // RFC 9110 6.4.1
	}
	setDefault(own, "Cache-Control", "no-store")
	if len(body) > 0 {
		setDefault(own, "Content-Type", "text/plain; charset=utf-8")
		setDefault(own, "X-Content-Type-Options", "nosniff")
	}
	header := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding"} {
		header.Del(name) // middleware may have set it for another body
	}
	maps.Copy(header, own)
	w.WriteHeader(status)
	if len(body) > 0 {
		_, _ = w.Write(body) // an error means that the client has disconnected
	}
}

// newRefusal returns the response that refuses a request with a status, and with text
// as its body. The elements of header are names and values in turn.
func newRefusal(status int, text string, header ...string) *ResponseError {
	e := &ResponseError{
		StatusCode: status,
		Status:     fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Reason:     text,
		Header:     make(http.Header),
	}
	for i := 0; i < len(header); i += 2 {
		e.Header.Set(header[i], header[i+1])
	}
	return e
}

// refusedError is the error of a subscription that is refused. Broker.Subscribe yields
// it as an error; ServeHTTP sends its response.
type refusedError struct {
	error
	response *ResponseError
}

func (e *refusedError) Unwrap() []error { return []error{e.error, e.response} }

// refuseWith returns a refusedError that wraps err. The text of err is the body of the
// response.
func refuseWith(status int, err error, header ...string) error {
	return &refusedError{err, newRefusal(status, err.Error(), header...)}
}

// unavailable returns a refusedError for a request that may succeed a little later. Its
// response has the status 503 and a random delay in Retry-After, so that clients do not
// all retry at once.
func unavailable(err error) error {
	return &refusedError{err, newUnavailable(err)}
}

func newUnavailable(err error) *ResponseError {
	return newRefusal(http.StatusServiceUnavailable, err.Error(),
		"Retry-After", strconv.Itoa(1+rand.N(10)))
}

// unreachable returns a refusedError, as unavailable does, for an error that may come
// from the log. The response has the text of errUnreachable instead of the text of err,
// because err may contain secrets. Only the Logger or the caller of Broker.Subscribe
// receives err. The text of ErrShutdown has no secrets, so the response contains it.
func unreachable(err error) error {
	if errors.Is(err, ErrShutdown) {
		return unavailable(err)
	}
	return &refusedError{err, newUnavailable(errUnreachable)}
}

var errUnreachable = errors.New("sse: the events cannot be reached now")
