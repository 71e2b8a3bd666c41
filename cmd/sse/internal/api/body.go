package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

const (
	// bodyTimeout is how long a request may take to arrive. Requests whose lines are
	// published as they arrive (PUT, or split=lines) have no such limit.
	bodyTimeout = time.Minute

	// discardTimeout is how long the rest of a refused body may take to arrive.
	// net/http reads up to 256 KiB of this rest before it sends the response.
	discardTimeout = 5 * time.Second
)

// checkNoBody refuses a request with a body that no handler would read. Otherwise
// the client would not notice that the content of the body has no effect.
func (a *API) checkNoBody(r *http.Request) error {
	if r.ContentLength != 0 && !acceptsBody(r) {
		return problemf(http.StatusBadRequest,
			"%s of %s must have no body; its parameters are in the path and the query",
			text.Quote(r.Method), text.Quote(pathOf(r.URL)))
	}
	return nil
}

// acceptsBody reports whether a request may have a body. It also returns true for a
// request that serve will refuse for a more specific reason, for example a PATCH.
func acceptsBody(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return false
	}
	path := pathOf(r.URL)
	return path != "/-/tickets" && path != "/-/logout"
}

// checkBodyForm refuses a body that is multipart or compressed.
func checkBodyForm(r *http.Request) error {
	contentType := firstHeader(r, "Content-Type")
	if len(contentType) > 9 && strings.EqualFold(contentType[:10], "multipart/") {
		return problemf(http.StatusUnsupportedMediaType, "the body must be the data itself, "+
			"not multipart; with curl, use -d, or --data-binary @FILE for a file, but not -F")
	}
	for coding := range listElements(r, "Content-Encoding") {
		if coding != "identity" && coding != "none" { // both words mean that there is no coding
			return problemf(http.StatusUnsupportedMediaType, "the body must be the data itself, "+
				"not compressed: Content-Encoding is %s", text.Quote(coding))
		}
	}
	return nil
}

// The buffers of readBody. readBody begins with a small buffer, and continues with
// a large buffer if a read fills the small one. A small buffer does not count as
// memory in flight, because net/http has similar buffers for each connection.
var (
	smallBodyBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}
	bodyBuffers      = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}
)

// readBody returns the body of a request. It reserves memory for the body in the
// given share. The caller must not release the share as long as it uses the body.
// readBody blocks until the body has arrived. If the body has more than limit
// bytes, it returns the error of tooLong. It also fails if the body does not arrive
// within bodyTimeout, or if there is no memory for it.
func (a *API) readBody(w http.ResponseWriter, r *http.Request, memory *share, limit int,
	tooLong func(limit int) error) (string, error) {
	if r.ContentLength > int64(limit) {
		return "", tooLong(limit)
	}
	if r.ContentLength == 0 {
		return "", nil
	}
	turnOf(r).release()
	var body strings.Builder
	pool, extra := &smallBodyBuffers, 0
	buf := pool.Get().(*[]byte)
	defer func() { pool.Put(buf) }()
	for {
		n, err := r.Body.Read(*buf)
		if n == len(*buf) && pool == &smallBodyBuffers {
			extra = 64 << 10
		}
		if n > 0 {
			if err := memory.resize(r.Context(), bodyCost*(body.Len()+n)+extra); err != nil {
				closeAfterResponse(w)
				return "", err
			}
		}
		body.Write((*buf)[:n])
		if extra > 0 && pool == &smallBodyBuffers {
			pool.Put(buf)
			pool = &bodyBuffers
			buf = pool.Get().(*[]byte)
		}
		switch {
		case body.Len() > limit:
			return "", tooLong(limit)
		case err == io.EOF:
			return body.String(), nil
		case err != nil:
			return "", bodyError(w, err)
		}
	}
}

// limitRestOfBody limits the time that net/http waits for the unread rest of a body
// to discardTimeout. While the hub shuts down, net/http does not wait at all.
func (a *API) limitRestOfBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	deadline := time.Now().Add(discardTimeout)
	if a.Closing.Err() != nil {
		deadline = time.Unix(1, 0)
	}
	_ = http.NewResponseController(w).SetReadDeadline(deadline)
}

// bodyError returns the error for a body that could not be read to its end, and
// makes the response the last on its connection.
func bodyError(w http.ResponseWriter, err error) error {
	closeAfterResponse(w)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problemf(http.StatusRequestTimeout, "the body must arrive within %v; "+
			"PUT accepts lines over a longer time", bodyTimeout)
	}
	return problemf(http.StatusBadRequest, "the body is incomplete or malformed")
}

// closeAfterResponse makes the response the last on its connection. net/http then
// sends the response without reading the rest of the body. It would otherwise read
// the rest in order to find the next request.
func closeAfterResponse(w http.ResponseWriter) { w.Header().Set("Connection", "close") }
