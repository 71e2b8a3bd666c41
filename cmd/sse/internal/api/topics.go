package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// target is the topics and patterns of a request.
type target struct {
	topics   []string
	patterns []sse.Pattern
}

func (t target) isEmpty() bool { return len(t.topics)+len(t.patterns) == 0 }

// checkTopicsOnly refuses a target with patterns. action and path are for the error.
// action is for example "publishing", and path accepts every topic in its query.
func (t target) checkTopicsOnly(action, path string) error {
	if len(t.patterns) > 0 {
		return problemf(http.StatusBadRequest, "%s needs topics, and %s is a pattern; "+
			"for a topic with * in its name, use %s?topic=NAME",
			action, text.Quote(t.patterns[0].String()), path)
	}
	return nil
}

// pathOf returns the path of a URL with the escapes that the client has sent. It also
// escapes characters that the client should have escaped, such as letters outside
// ASCII. If the path has such characters, [url.URL.EscapedPath] returns the same text
// for escaped and unescaped commas and slashes, so pathOf does not use it.
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

// parsePath parses the topics and patterns in an escaped path:
//
//	/news        /room/1        /news,sport        /room/*
//
// An escape is equal to its character: /%61 is the topic a. The path must not have
// escaped slashes or commas, empty segments, or the segments "." and "..", because
// proxies may change such a path to the path of another topic.
func parsePath(path, method string) (target, error) {
	if topic := path[1:]; isSimpleTopic(topic) {
		return target{topics: []string{topic}}, nil
	}
	var to target
	for _, escaped := range strings.Split(path[1:], ",") {
		name, reason := parseTopic(escaped)
		if reason == "" && isReserved(name) {
			reason = reservedPaths
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

// isSimpleTopic reports whether a path without its first slash is one valid topic. It
// is a fast check for most topics: parsePath checks all other paths completely.
func isSimpleTopic(name string) bool {
	if name == "" || name[0] == '/' || name[0] == '.' || name[0] == '-' || name[len(name)-1] == '/' ||
		name == "favicon.ico" || name == "robots.txt" || len(name) > 1024 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '_', c == '-', c == ':', c == '@', c == '~':
		case c == '.' && name[i-1] != '/':
		case c == '/' && name[i-1] != '/':
		default:
			return false
		}
	}
	return true
}

// parseTopic returns the name of one topic or pattern, without escapes. If escaped is
// not valid, it returns the reason. Otherwise reason is empty.
func parseTopic(escaped string) (name, reason string) {
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		lower := strings.ToLower(segment)
		if strings.Contains(lower, "%2f") || strings.Contains(lower, "%2c") {
			return "", "an escaped slash or comma could be mistaken for an unescaped one"
		}
		unescaped, err := url.PathUnescape(segment)
		if err != nil {
			return "", "an escape must be % and two hexadecimal digits"
		}
		if reason := checkSegment(unescaped, i == len(segments)-1); reason != "" {
			return "", reason
		}
		segments[i] = unescaped
	}
	return strings.Join(segments, "/"), ""
}

// checkSegment returns the reason why a segment of a topic is not valid, or "". last is
// true for the last segment.
func checkSegment(segment string, last bool) string {
	switch {
	case segment == "" && last:
		return "a name is empty, or ends with a slash"
	case segment == "":
		return "a segment is empty, as between // or before a slash"
	case segment == "." || segment == "..":
		return "clients and proxies remove the segments . and .."
	case !utf8.ValidString(segment):
		return "it is not UTF-8"
	}
	for _, r := range segment {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:@~*", r) {
			return fmt.Sprintf("%q is not a letter, a digit or one of _ - . : @ ~", r)
		}
	}
	return ""
}

// notATopic returns the error for a path that is not a topic. The error contains the
// reason, and a path that accepts every topic in its query.
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
		"the path %s is not a topic: %s; for a topic that cannot be a path, use %s",
		text.Quote(path), reason, instead)
}

// parseTarget parses the topics and patterns in a query.
func parseTarget(query url.Values) (target, error) {
	to := target{topics: query["topic"]}
	for _, value := range query["pattern"] {
		pattern, err := sse.ParsePattern(value)
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
	if to.isEmpty() {
		return target{}, problemf(http.StatusBadRequest,
			"the query must name a topic: add ?topic=NAME")
	}
	return to, nil
}

// checkTopic returns an error if the broker would refuse a topic. It is called before
// anything is published. It uses ParsePattern, because topics and patterns have the
// same rules, except that a topic may have asterisks anywhere.
func checkTopic(topic string) error {
	_, err := sse.ParsePattern(strings.ReplaceAll(topic, "*", "-"))
	if field := (*sse.FieldError)(nil); errors.As(err, &field) {
		return &sse.FieldError{Field: "topic", Value: topic, Reason: field.Reason}
	}
	return err
}
