package api

import (
	"errors"
	"net/http"
	"os"
	"time"
)

const (
	// bodyTime is how long a request may take to come. Lines that come one by one are
	// what PUT is for.
	bodyTime = time.Minute

	// restTime is how long what is left of a body may take that was refused. net/http
	// reads it, up to 256 KiB, before it answers.
	restTime = 5 * time.Second
)

// expectBody refuses bodies that nobody would read: what they say would be lost.
func (a *API) expectBody(r *http.Request) error {
	if r.ContentLength != 0 && !takesBody(r) {
		return problemf(http.StatusBadRequest,
			"%s of %s takes no body: what it is to do is in the path and the query",
			shorten(r.Method), shorten(pathOf(r.URL)))
	}
	return nil
}

// takesBody reports whether a request has a use for a body, or is answered with an
// error that says more.
func takesBody(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return false
	}
	path := pathOf(r.URL)
	return path != "/-/tickets" && path != "/-/logout"
}

// leaveBody does not wait for long for the rest of a body, nor at all when the hub
// shuts down.
func (a *API) leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	end := time.Now().Add(restTime)
	if a.Closing.Err() != nil {
		end = time.Unix(1, 0)
	}
	_ = http.NewResponseController(w).SetReadDeadline(end)
}

// bodyError says what has become of a body that has not come to its end.
func bodyError(w http.ResponseWriter, err error) error {
	hangUp(w)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problemf(http.StatusRequestTimeout, "the body has not come within %v; "+
			"PUT takes lines as they come", bodyTime)
	}
	return problemf(http.StatusBadRequest, "the body was cut off")
}

// hangUp makes the response the last on its connection, which can then be sent
// while the client still sends: what comes is no next request.
func hangUp(w http.ResponseWriter) { w.Header().Set("Connection", "close") }
