package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sse-go/sse"
)

// target is what a request is about.
type target struct {
	topics   []string
	patterns []sse.Pattern
}

// onlyTopics refuses patterns.
func (t target) onlyTopics(doing string) error {
	if len(t.patterns) > 0 {
		return problemf(http.StatusBadRequest, "%s needs topics, and %s is a pattern; "+
			"a topic whose name has a * is spelled /-/publish?topic=…",
			doing, shorten(t.patterns[0].String()))
	}
	return nil
}

// pathOf is the path with the escapes that the client has sent, and others for what it
// has sent without, such as letters that are not of ASCII. Of such a path
// [url.URL.EscapedPath] forgets which commas and slashes were escaped.
func pathOf(u *url.URL) string {
	if u.RawPath == "" {
		return u.EscapedPath()
	}
	var b strings.Builder
	for i := range len(u.RawPath) {
		if c := u.RawPath[i]; c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isReserved reports whether a path, without its first slash, is never a topic.
func isReserved(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first == "-" || first == ".well-known" || path == "favicon.ico" || path == "robots.txt"
}

// parsePath reads the topics and patterns that an escaped path is:
//
//	/news        /room/1        /news,sport        /room/*
//
// What it accepts is one spelling for each topic, but for escapes of characters
// that need none (RFC 3986 2.3), which are those characters.
func parsePath(path, method string) (target, error) {
	if topic := path[1:]; isPlain(topic) {
		return target{topics: []string{topic}}, nil
	}
	var to target
	for _, text := range strings.Split(path[1:], ",") {
		name, reason := parseTopic(text)
		if reason == "" && isReserved(name) {
			reason = "what begins with -/ or .well-known/ is the hub's own"
		}
		if reason != "" {
			return target{}, notATopic(path, method, reason)
		}
		if !strings.Contains(name, "*") {
			to.topics = append(to.topics, name)
			continue
		}
		pattern, err := sse.ParsePattern(name)
		if err != nil {
			return target{}, err
		}
		to.patterns = append(to.patterns, pattern)
	}
	return to, nil
}

// isPlain reports whether text is one topic that needs no second look: most are.
func isPlain(text string) bool {
	if text == "" || text[0] == '/' || text[0] == '.' || text[0] == '-' || text[len(text)-1] == '/' ||
		text == "favicon.ico" || text == "robots.txt" || len(text) > 1024 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '_', c == '-', c == ':', c == '@', c == '~':
		case c == '.' && text[i-1] != '/':
		case c == '/' && text[i-1] != '/':
		default:
			return false
		}
	}
	return true
}

// parseTopic reads one topic or pattern, or says why it is none.
func parseTopic(escaped string) (name, reason string) {
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		lower := strings.ToLower(segment)
		if strings.Contains(lower, "%2f") || strings.Contains(lower, "%2c") {
			return "", "an escaped slash or comma would be taken for one that is not"
		}
		text, err := url.PathUnescape(segment)
		if err != nil {
			return "", "an escape is % and two hexadecimal digits"
		}
		if reason := checkSegment(text, i == len(segments)-1); reason != "" {
			return "", reason
		}
		segments[i] = text
	}
	return strings.Join(segments, "/"), ""
}

// checkSegment says what is wrong with a segment.
func checkSegment(text string, last bool) string {
	switch {
	case text == "" && last:
		return "it ends with a slash, or nothing follows a comma"
	case text == "":
		return "a segment is empty, as between // or before a slash"
	case text == "." || text == "..":
		return "clients and proxies take . and .. away"
	case !utf8.ValidString(text):
		return "it is not UTF-8"
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:@~*", r) {
			return fmt.Sprintf("%q is not a letter, a digit or one of _ - . : @ ~", r)
		}
	}
	return ""
}

// notATopic names the rule, and the way around it.
func notATopic(path, method, reason string) error {
	instead := "/-/publish"
	if method == http.MethodGet || method == http.MethodHead || method == http.MethodDelete {
		instead = "/-/events"
	}
	instead += "?topic="
	if topic, err := url.PathUnescape(path[1:]); err == nil && topic != "" && len(topic) <= 80 {
		instead += url.QueryEscape(topic)
	} else {
		instead += "NAME"
	}
	return problemf(http.StatusBadRequest,
		"the path %s is not a topic: %s; topics that a path cannot spell: %s",
		shorten(path), reason, instead)
}

// parseTarget reads the topics and patterns of a query.
func parseTarget(query url.Values) (target, error) {
	to := target{topics: query["topic"]}
	for _, text := range query["pattern"] {
		pattern, err := sse.ParsePattern(text)
		if err != nil {
			return target{}, err
		}
		to.patterns = append(to.patterns, pattern)
	}
	for _, topic := range to.topics {
		if err := checkTopic(topic); err != nil {
			return target{}, err
		}
	}
	if len(to.topics)+len(to.patterns) == 0 {
		return target{}, problemf(http.StatusBadRequest, "a topic is missing: say ?topic=NAME")
	}
	return to, nil
}

// checkTopic refuses what the broker would refuse, before anything else is done.
func checkTopic(topic string) error {
	switch {
	case topic == "":
		return &sse.FieldError{Field: "topic", Reason: "is empty"}
	case len(topic) > 1024:
		return &sse.FieldError{Field: "topic", Value: topic, Reason: "has more than 1024 bytes"}
	case !utf8.ValidString(topic):
		return &sse.FieldError{Field: "topic", Value: topic, Reason: "is not UTF-8"}
	case strings.ContainsFunc(topic, unicode.IsControl):
		return &sse.FieldError{Field: "topic", Value: topic, Reason: "contains a control character"}
	}
	return nil
}
