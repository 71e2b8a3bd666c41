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
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return true
	}
	return strings.HasPrefix(r.Header.Get("Accept"), "text/html")
}

// isSubresource reports whether a browser loads an image, a script or another
// part of a page. A request of a script has the destination "empty".
func isSubresource(r *http.Request) bool {
	destination := r.Header.Get("Sec-Fetch-Dest")
	return destination != "" && destination != "empty"
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

// notAPage returns the error for a person who opened a topic in a browser.
func notAPage(r *http.Request) error {
	return problemf(http.StatusNotAcceptable, "%s is a stream of events, not a page; "+
		"to read it, use curl -N, sse listen or new EventSource(…)", text.Quote(pathOf(r.URL)))
}
