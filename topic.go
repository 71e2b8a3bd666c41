package sse

import (
	"strings"
	"unicode/utf8"

	"github.com/sse-go/sse/internal/trie"
)

// maxTopicLen limits the length of a topic or a pattern, in bytes.
const maxTopicLen = 1 << 10

// maxTopics limits the topics of an event, and the topics and patterns of a
// selection together.
const maxTopics = 1 << 10

// manyTopics is a number of topics from which the broker takes special care that it does
// not hold its lock for long.
const manyTopics = 64

// defaultTopic is the topic of an event that is published without a topic. No request
// can name this topic, because checkTopic rejects it. A broker's subscriber selects it
// with the pattern * or **, or with a Selection that has neither Topics nor Patterns.
const defaultTopic = ""

// checkTopic returns a *FieldError unless topic is valid.
func checkTopic(topic string) error {
	if topic == defaultTopic {
		return &FieldError{Field: "topic", Value: topic, Reason: "is empty"}
	}
	if reason := invalidReason(topic); reason != "" {
		return &FieldError{Field: "topic", Value: topic, Reason: reason}
	}
	return nil
}

// invalidReason returns the reason why text is neither a topic nor a pattern, or an
// empty string.
func invalidReason(text string) string {
	switch {
	case len(text) > maxTopicLen:
		return "has more than 1024 bytes"
	case isPrintable(text):
		return ""
	case !utf8.ValidString(text):
		return "is not UTF-8"
	case strings.ContainsFunc(text, isControl):
		return "contains a control character"
	}
	return ""
}

// isPrintable reports whether text is printable ASCII. Most topics are, and need no
// further checks.
func isPrintable(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// isControl reports whether r is in Unicode's category Cc.
func isControl(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 }

// Pattern selects topics. A topic is a string, and a Pattern is a type of its own, so
// the two cannot be confused: a topic may even contain "*".
//
// A pattern consists of segments separated by "/":
//
//   - "*" matches exactly one segment of a topic.
//   - "**" matches one or more segments. It must be the last segment.
//   - Any other segment matches itself. It must not contain "*".
//
// For example, "room/*" matches "room/1" but neither "room" nor "room/1/2". The pattern
// "room/**" matches "room/1" and "room/1/2", but not "room". The pattern "**" matches
// every topic. The patterns "*" and "**" also match the events without a topic.
//
// The zero Pattern matches nothing. Patterns can be compared with ==.
type Pattern struct{ text string }

// ParsePattern returns the pattern with the given text. If the text is not a
// valid pattern, the error is a [*FieldError] whose Reason says which rule the
// text breaks.
//
// Before you build a pattern from a name that a user chose, check the name: a
// user named "*" would otherwise select the topics of all users.
func ParsePattern(text string) (Pattern, error) {
	reason := invalidReason(text)
	switch {
	case reason != "":
	case text == "":
		reason = "is empty"
	default:
		reason = checkSegments(text)
	}
	if reason != "" {
		return Pattern{}, &FieldError{Field: "pattern", Value: text, Reason: reason}
	}
	return Pattern{text}, nil
}

// checkSegments returns the reason why a "*" in text is in a wrong place, or an empty
// string.
func checkSegments(text string) string {
	for {
		segment, rest, more := strings.Cut(text, "/")
		switch {
		case segment == trie.Many && more:
			return `has "**" before its last segment`
		case segment != trie.One && segment != trie.Many && strings.Contains(segment, "*"):
			return `has a "*" within a segment; it must be the whole segment`
		case !more:
			return ""
		}
		text = rest
	}
}

// String returns the pattern's text.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern selects the topic. The empty string stands
// for the topic of events that were published without a topic.
func (p Pattern) Match(topic string) bool {
	if p.text == "" {
		return false
	}
	pattern := p.text
	for {
		want, patternRest, patternMore := strings.Cut(pattern, "/")
		if want == trie.Many {
			return true
		}
		got, topicRest, topicMore := strings.Cut(topic, "/")
		if want != trie.One && want != got || patternMore != topicMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, topic = patternRest, topicRest
	}
}
