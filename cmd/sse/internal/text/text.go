// Package text contains string functions that the command and the hub share.
package text

import (
	"strconv"
	"strings"
)

// WithoutPrefix returns the message of err. If the message begins with "sse: ", as the
// messages of the library and of the hub do, WithoutPrefix removes this prefix.
func WithoutPrefix(err error) string { return strings.TrimPrefix(err.Error(), "sse: ") }

// FirstLine returns the first line of s that is not blank, without the spaces around
// it. It returns at most limit characters of that line. If the line is longer, or if
// further lines with text follow, the result ends with " …".
func FirstLine(s string, limit int) string {
	line, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	line, truncated := truncate(strings.TrimSpace(line), limit)
	if more || truncated {
		return line + " …"
	}
	return line
}

// Quote returns s as a quoted Go string, for an error message of one line. It
// quotes at most 80 characters; if s is longer, "…" follows the closing quote.
func Quote(s string) string {
	const limit = 80
	head, truncated := truncate(s, limit)
	if truncated {
		return strconv.Quote(head) + "…"
	}
	return strconv.Quote(s)
}

// truncate returns the first limit characters of s, and whether s has more. A
// byte that is not part of valid UTF-8 counts as one character.
func truncate(s string, limit int) (head string, truncated bool) {
	n := 0
	for i := range s {
		if n == limit {
			return s[:i], true
		}
		n++
	}
	return s, false
}
