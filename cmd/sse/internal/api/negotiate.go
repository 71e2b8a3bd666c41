package api

import (
	"iter"
	"net/http"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// wantsJSON reports whether a header Accept contains a media type of JSON, for example
// application/json or application/x-ndjson.
func wantsJSON(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "json") {
			return true
		}
	}
	return false
}

// refusesStream reports whether the request has a header Accept that does not include
// the type of an event stream. A request without Accept accepts a stream.
func refusesStream(r *http.Request) bool {
	for mediaType := range acceptedTypes(r) {
		switch mediaType {
		case "text/event-stream", "text/*", "*/*":
			return false
		}
	}
	for range listElements(r, "Accept") {
		return true
	}
	return false
}

// acceptedTypes returns an iterator over the media types of the header Accept, in
// lower case and without their parameters. It leaves out types that the client refuses
// with a weight of zero (RFC 9110 12.4.2).
func acceptedTypes(r *http.Request) iter.Seq[string] {
	return func(yield func(string) bool) {
		for element := range listElements(r, "Accept") {
			mediaType, parameters, _ := strings.Cut(element, ";")
			if !isWeightZero(parameters) && !yield(strings.TrimRight(mediaType, " \t")) {
				return
			}
		}
	}
}

// isWeightZero reports whether the parameters of an element of Accept include the weight
// q=0.
func isWeightZero(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.Trim(parameter, " \t"), "=")
		if name == "q" && value != "" && strings.Trim(value, "0.") == "" {
			return true
		}
	}
	return false
}

// listElements returns an iterator over the elements of a header whose value is a
// list, in lower case. It leaves out empty elements. The name must be canonical.
//
// RFC 9110 5.3: several lines of such a header are one list.
func listElements(r *http.Request, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range r.Header[name] {
			for element := range strings.SplitSeq(line, ",") {
				element = strings.ToLower(strings.Trim(element, " \t"))
				if element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// continuedAt returns "313" if the request has the header Range: bytes=313-. A client
// sends this header to continue a download. For bytes=0- and for any other range,
// continuedAt returns "".
//
// RFC 9110 13.1.5: a server ignores Range if the value of If-Range does not match the
// content. A stream has no ETag and no date, so If-Range never matches.
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

// isNavigation reports whether a person opened the path in a browser. It returns false
// for a request that a page sends, for example with an EventSource.
func isNavigation(r *http.Request) bool {
	if firstHeader(r, "Sec-Fetch-Mode") == "navigate" ||
		firstHeader(r, "Sec-Fetch-Dest") == "document" {
		return true
	}
	for mediaType := range acceptedTypes(r) {
		return mediaType == "text/html" // the first type is the one that a browser prefers
	}
	return false
}

// isSubresource reports whether a browser loads an image, a script, a frame or another
// part of a page. It returns false for a request that JavaScript sends, such as a
// fetch or an EventSource: the destination of such a request is "empty".
func isSubresource(r *http.Request) bool {
	switch firstHeader(r, "Sec-Fetch-Dest") {
	case "", "empty", "document":
		return false
	}
	return true
}

// isPrefetch reports whether a browser sends the request in advance, because a person
// may open the page later.
func isPrefetch(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.HasPrefix(r.Header.Get(name), "prefetch") {
			return true
		}
	}
	return false
}

// notAPage returns the error for a person who opened a stream in a browser. It names
// programs that can read the stream.
func (a *API) notAPage(r *http.Request) error {
	how := "curl -N, sse listen or new EventSource(…)"
	if !a.Authority.Open() {
		how = "curl -N or sse listen with " + secretFlag + ", or new EventSource(…) with a ticket"
	}
	return problemf(http.StatusNotAcceptable, "%s is a stream of events, not a page; "+
		"to read it, use %s; for a page of stored events, "+
		"add follow=0 to the query", text.Quote(pathOf(r.URL)), how)
}
