// Package wire encodes and decodes the bytes of an event stream: fields, line
// ends and UTF-8. It also encodes chunks of HTTP/1.1. It works on byte slices and
// strings, not on readers or writers.
package wire

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// BOM is the byte order mark, which a decoder drops at the start of a stream.
const BOM = "\xEF\xBB\xBF"

// AppendField appends "name: value" and a line end. It always writes the space:
// a decoder drops one space after the colon, so a value that itself begins with
// a space is preserved. The value must not contain a line end.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// AppendRetry appends a retry field with d in milliseconds. It rounds d up, so
// that a delay of less than a millisecond does not become zero.
func AppendRetry(dst []byte, d time.Duration) []byte {
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, int64(ms), 10)
	return append(dst, '\n')
}

// AppendLines appends one field for each line of text. CR, LF and CRLF each end
// a line. If text ends with a line end, its last line is empty: "a\n" has the
// lines "a" and "". For a comment, name is empty.
func AppendLines(dst []byte, name, text string) []byte {
	if strings.IndexByte(text, '\r') >= 0 {
		return appendLinesCR(dst, name, text)
	}
	for {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			return AppendField(dst, name, text)
		}
		dst = AppendField(dst, name, text[:i])
		text = text[i+1:]
	}
}

// appendLinesCR is AppendLines for a text that contains CR.
func appendLinesCR(dst []byte, name, text string) []byte {
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\r':
			dst = AppendField(dst, name, text[start:i])
			if i+1 < len(text) && text[i+1] == '\n' {
				i++
			}
			start = i + 1
		case '\n':
			dst = AppendField(dst, name, text[start:i])
			start = i + 1
		}
	}
	return AppendField(dst, name, text[start:])
}

// MaxRetryDigits is the greatest number of digits that ParseRetry accepts. No
// useful delay has more digits, and a decoder need not buffer a longer line.
const MaxRetryDigits = 4096

// ParseRetry parses the value of a retry field: a number of milliseconds. It
// returns false unless the value consists of 1 to MaxRetryDigits ASCII digits.
// If the delay does not fit in a Duration, ParseRetry returns the greatest
// Duration of whole milliseconds.
//
// HTML 9.2.6: "If the field value consists of only ASCII digits …"
func ParseRetry(value []byte) (time.Duration, bool) {
	if len(value) == 0 || len(value) > MaxRetryDigits {
		return 0, false
	}
	const limit = (1<<63 - 1) / int64(time.Millisecond)
	ms := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		if ms = ms*10 + int64(c-'0'); ms > limit {
			ms = limit
		}
	}
	return time.Duration(ms) * time.Millisecond, true
}

// highBits masks the high bit of each of eight bytes. A byte is ASCII if its
// high bit is zero.
const highBits = 0x8080808080808080

// IndexNonASCII returns the index of the first byte of p that is not ASCII, or
// len(p) if there is none. Most text is ASCII, and ASCII is valid UTF-8, so
// [AppendValid] decodes UTF-8 only from that index onward.
func IndexNonASCII(p []byte) int {
	i := 0
	for ; i+64 <= len(p); i += 64 {
		q := p[i : i+64 : i+64]
		if (word(q[0:])|word(q[8:])|word(q[16:])|word(q[24:])|
			word(q[32:])|word(q[40:])|word(q[48:])|word(q[56:]))&highBits != 0 {
			break
		}
	}
	for ; i+8 <= len(p); i += 8 {
		if high := word(p[i:]) & highBits; high != 0 {
			return i + bits.TrailingZeros64(high)/8
		}
	}
	for ; i < len(p); i++ {
		if p[i] >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// word returns the first eight bytes of p as one integer.
func word(p []byte) uint64 { return binary.LittleEndian.Uint64(p) }

// AppendValid appends src as a browser decodes it: every maximal subpart of an
// ill-formed sequence becomes one U+FFFD. A maximal subpart is the longest start
// of a well-formed sequence or, if no such sequence begins there, a single byte. For
// example, "\xF0\x9F\x98A" becomes "\uFFFDA". strings.ToValidUTF8 differs: it
// replaces adjacent subparts with one U+FFFD. A range loop over a string differs
// too: it replaces every single byte. AppendValid appends at least len(src) bytes.
//
// Encoding 4.1: "UTF-8 decode"; Unicode 3.9, table 3-8.
func AppendValid(dst, src []byte) []byte {
	for {
		n := IndexNonASCII(src)
		dst, src = append(dst, src[:n]...), src[n:]
		if len(src) == 0 {
			return dst
		}
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size == 1 {
			size = illFormed(src)
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, src[:size]...)
		}
		src = src[size:]
	}
}

// illFormed returns the length of the maximal subpart at the start of p. A
// well-formed sequence must not start there.
func illFormed(p []byte) int {
	low, high, length := byte(0x80), byte(0xBF), 0
	switch c := p[0]; {
	case c >= 0xC2 && c <= 0xDF:
		length = 2
	case c >= 0xE0 && c <= 0xEF:
		length = 3
	case c >= 0xF0 && c <= 0xF4:
		length = 4
	}
	switch p[0] {
	case 0xE0:
		low = 0xA0
	case 0xED:
		high = 0x9F
	case 0xF0:
		low = 0x90
	case 0xF4:
		high = 0x8F
	}
	n := 1
	for n < length && n < len(p) && p[n] >= low && p[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}

// Field is the kind of a line in an event stream.
type Field int

// The kinds of lines.
const (
	Unknown Field = iota // a decoder ignores the line
	Comment
	Data
	Type
	ID
	Retry
	Topic // an extension of this library
)

// Split returns the kind of a line and the index at which its value starts. The
// line is passed without its line end. Its value starts after the colon and at
// most one space, or at the end of a line without a colon. If the kind is
// Unknown, the index is 0.
//
// HTML 9.2.6: "If the line contains a U+003A COLON character (:) …"
func Split(line []byte) (Field, int) {
	if len(line) == 0 {
		return Unknown, 0
	}
	field, n := Unknown, 0
	switch line[0] {
	case ':':
		field = Comment
	case 'd':
		if len(line) > 6 && string(line[:6]) == "data: " {
			return Data, 6 // the most frequent case
		}
		field, n = matchName(line, "data", Data)
	case 'e':
		field, n = matchName(line, "event", Type)
	case 'i':
		field, n = matchName(line, "id", ID)
	case 'r':
		field, n = matchName(line, "retry", Retry)
	case 't':
		field, n = matchName(line, "topic", Topic)
	}
	if field == Unknown || n == len(line) {
		return field, n
	}
	if n++; n < len(line) && line[n] == ' ' { // the colon, then the space
		n++
	}
	return field, n
}

// matchName returns field and the length of name if name is the field name of
// line. Otherwise it returns Unknown and 0.
func matchName(line []byte, name string, field Field) (Field, int) {
	n := len(name)
	if len(line) < n || string(line[:n]) != name || len(line) > n && line[n] != ':' {
		return Unknown, 0
	}
	return field, n
}
