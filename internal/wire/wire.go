// Package wire knows the bytes of an event stream: fields, line ends and
// the UTF-8 they are made of. It has no loops over readers or writers.
package wire

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// BOM is the byte order mark that a decoder drops once, at the start.
const BOM = "\xEF\xBB\xBF"

// AppendField appends "name: value" and a line end. The space is always
// written: a decoder drops one, so that a value's own leading space survives.
// The value must hold no line end.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// AppendRetry appends a retry field. It rounds up to the millisecond, the
// unit of the wire, so that a short delay never becomes none.
func AppendRetry(dst []byte, d time.Duration) []byte {
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, int64(ms), 10)
	return append(dst, '\n')
}

// AppendLines appends text as one field for each of its lines. CR, LF and CRLF
// each end a line; text that ends in one has an empty last line. For a comment
// the name is empty.
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

// MaxRetryDigits bounds what ParseRetry reads: no retry worth keeping is
// longer, and a decoder need not hold a line that is.
const MaxRetryDigits = 4096

// ParseRetry reads the value of a retry field: ASCII digits and nothing else.
// A delay that does not fit a Duration is the longest whole number of
// milliseconds that does.
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

// highBits are set in eight bytes of which one at least is not ASCII.
const highBits = 0x8080808080808080

// IndexNonASCII is the index of the first byte of p that is not ASCII, or
// len(p) if all are. ASCII is valid UTF-8, and this is the fastest way to know.
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

func word(p []byte) uint64 { return binary.LittleEndian.Uint64(p) }

// AppendValid appends src as a UTF-8 decoder would read it: every maximal part
// of an ill-formed sequence becomes one U+FFFD. The result is never shorter
// than src. (strings.ToValidUTF8 joins neighbours, and ranging over a string
// replaces each byte; browsers do neither.)
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

// illFormed is the length of the maximal subpart at the start of p, which
// does not start with a well-formed sequence.
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

// Field is one of the fields that mean something.
type Field int

// What a line is.
const (
	Unknown Field = iota // to be ignored
	Comment
	Data
	Type
	ID
	Retry
	Topic // ours, not the standard's
)

// Split tells what a line, without its end, is, and where its value starts:
// after the colon and at most one space, or at the line's end if it has no
// colon.
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
			return Data, 6 // nearly always
		}
		field, n = named(line, "data", Data)
	case 'e':
		field, n = named(line, "event", Type)
	case 'i':
		field, n = named(line, "id", ID)
	case 'r':
		field, n = named(line, "retry", Retry)
	case 't':
		field, n = named(line, "topic", Topic)
	}
	if field == Unknown || n == len(line) {
		return field, n
	}
	if n++; n < len(line) && line[n] == ' ' { // the colon, then the space
		n++
	}
	return field, n
}

func named(line []byte, name string, field Field) (Field, int) {
	n := len(name)
	if len(line) < n || string(line[:n]) != name || len(line) > n && line[n] != ':' {
		return Unknown, 0
	}
	return field, n
}
