package sse

import (
	"strings"
	"unicode/utf8"
)

// maxTopicLen is how long a topic or a pattern may be, in bytes.
const maxTopicLen = 1 << 10

// defaultTopic is that of an event which is published without one. It has no
// name: nobody can spell it, and nothing but a pattern of one segment, or the
// lack of a topic, selects it.
const defaultTopic = ""

// checkTopic refuses what is not a topic.
func checkTopic(topic string) error {
	if topic == defaultTopic {
		return &FieldError{Field: "topic", Value: topic, Reason: "is empty"}
	}
	if reason := unfit(topic); reason != "" {
		return &FieldError{Field: "topic", Value: topic, Reason: reason}
	}
	return nil
}

// unfit says why text is neither a topic nor a pattern, or nothing.
func unfit(text string) string {
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

// isPrintable reports whether text is of ASCII's printable characters, as most is.
func isPrintable(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// isControl reports whether r is of Unicode's category Cc.
func isControl(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 }

// Pattern selects topics. It is a type of its own, so that a topic may contain
// any character, and no topic is ever taken for a pattern.
//
// A pattern has segments, separated by "/". The segment "*" matches any one
// segment of a topic; "**", which may only be the last, matches one or more;
// any other matches itself, and has no "*" in it. So "room/*" matches "room/1"
// but neither "room" nor "room/1/2", which "room/**" does match; "**" matches
// every topic, and the events that have none.
//
// The zero Pattern matches nothing. Patterns can be compared with ==.
type Pattern struct{ text string }

const (
	oneSegment   = "*"
	manySegments = "**"
)

// ParsePattern returns the pattern with the given text. If that is not one, the
// error is a [*FieldError] that says why.
//
// A text that is put together from names that users choose is checked first: a
// user called "*" would otherwise select the topics of all.
func ParsePattern(text string) (Pattern, error) {
	reason := unfit(text)
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

func checkSegments(text string) string {
	for {
		segment, rest, more := strings.Cut(text, "/")
		switch {
		case segment == manySegments && more:
			return `has "**" before its last segment`
		case segment != oneSegment && segment != manySegments && strings.Contains(segment, "*"):
			return `has a "*" within a segment; it can only be all of it`
		case !more:
			return ""
		}
		text = rest
	}
}

// String is the pattern's text.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern selects the topic. The empty topic is that
// of events without one.
func (p Pattern) Match(topic string) bool {
	if p.text == "" {
		return false
	}
	pattern := p.text
	for {
		want, morePattern, inPattern := strings.Cut(pattern, "/")
		if want == manySegments {
			return true
		}
		got, moreTopic, inTopic := strings.Cut(topic, "/")
		if want != oneSegment && want != got || inPattern != inTopic {
			return false
		}
		if !inPattern {
			return true
		}
		pattern, topic = morePattern, moreTopic
	}
}
