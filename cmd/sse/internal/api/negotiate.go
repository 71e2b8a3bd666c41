package api

import (
	"net/http"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// wantsJSON reports whether the request asks for JSON, under any of its media
// types.
func wantsJSON(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "json") {
			return true
		}
	}
	return false
}

// refusesStream reports whether the request has a header Accept without the
// type of an event stream.
func refusesStream(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		if accept != "" && !acceptsStream(accept) {
			return true
		}
	}
	return false
}

// acceptsStream reports whether an Accept header includes the type of an event
// stream.
func acceptsStream(accept string) bool {
	for _, mediaType := range strings.Split(accept, ",") {
		mediaType, _, _ = strings.Cut(mediaType, ";")
		switch strings.ToLower(strings.TrimSpace(mediaType)) {
		case "text/event-stream", "text/*", "*/*":
			return true
		}
	}
	return false
}

// continuedAt returns the number of the first byte that a request asks for, if it
// asks for all bytes from a later byte than the first. Otherwise it returns "".
//
// RFC 9110 13.1.5: an If-Range that does not match makes the server ignore
// Range. A stream has nothing that it could match.
func continuedAt(r *http.Request) string {
	values := r.Header["Range"]
	if len(values) != 1 || r.Method != http.MethodGet || r.Header["If-Range"] != nil {
		return ""
	}
	unit, text, _ := strings.Cut(values[0], "=")
	first, isOpen := strings.CutSuffix(text, "-")
	if !strings.EqualFold(unit, "bytes") || !isOpen || strings.Trim(first, "0123456789") != "" {
		return ""
	}
	return strings.TrimLeft(first, "0")
}

// isNavigation reports whether a person opened the path in a browser. It is
// false for the requests of a page.
func isNavigation(r *http.Request) bool {
	return firstHeader(r, "Sec-Fetch-Mode") == "navigate" ||
		firstHeader(r, "Sec-Fetch-Dest") == "document" ||
		strings.HasPrefix(firstHeader(r, "Accept"), "text/html")
}

// isSubresource reports whether a browser loads an image, a script, a frame or
// another part of a page. A request of a script has the destination "empty".
func isSubresource(r *http.Request) bool {
	switch firstHeader(r, "Sec-Fetch-Dest") {
	case "", "empty", "document":
		return false
	}
	return true
}

// isPrefetch reports whether a browser sends the request before a person asks
// for the page.
func isPrefetch(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.HasPrefix(r.Header.Get(name), "prefetch") {
			return true
		}
	}
	return false
}

// notAPage returns the error for a person who opened a stream in a browser.
func (a *API) notAPage(r *http.Request) error {
	how := "curl -N, sse listen or new EventSource(…)"
	if !a.Authority.Open() {
		how = "curl -N or sse listen with " + secretFlag + ", or new EventSource(…) with a ticket"
	}
	return problemf(http.StatusNotAcceptable, "%s is a stream of events, not a page; "+
		"to read it, use %s; for a page of stored events, "+
		"add follow=0 to the query", text.Quote(pathOf(r.URL)), how)
}
