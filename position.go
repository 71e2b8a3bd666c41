package sse

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in an [EventLog], directly after one event. Its text is
// the ID that a broker gives to that event.
//
// The zero Position is not a place. A Position with a nonzero Epoch and a zero Seq is
// the place before the first event of that epoch.
type Position struct {
	// Epoch identifies one lifetime of the log. A log draws a new epoch at
	// random when it is created, and when it detects that it has lost stored
	// entries. An epoch is not zero.
	Epoch uint64

	// Seq is the event's sequence number. Numbers increase in the order of the
	// log, and the first is 1 or greater.
	Seq uint64

	// Check is a hash that only the log can compute, because it depends on a secret of
	// the log: see [Entry.Check]. A client may send a position that has the Epoch and
	// Seq of an event, but a different Check. Then the log has used Seq twice, for
	// example because a backup was restored. Check reveals nothing about the event to a
	// client. If zero, the hash is not known.
	Check uint32
}

// The text of a position:
//
//	~ sequence . 16 characters of base64url: 8 bytes of epoch, 4 of check
//
// Each position has exactly one text. HTTP headers and URL queries can carry the text
// without escapes. In zsh, the text must be quoted, because zsh expands a word that
// begins with ~.
const (
	positionPrefix = '~'
	suffixSize     = 12
	suffixLen      = 16 // suffixSize bytes in base64
	// maxPositionLen is the length of the longest text, in bytes.
	maxPositionLen = len("~18446744073709551615.") + suffixLen
)

// String returns the position's text, for example "~42.3q2-7wAAAAHK_rq-". For
// the zero Position it returns an empty string.
func (p Position) String() string {
	if p == (Position{}) {
		return ""
	}
	return string(p.appendTo(make([]byte, 0, maxPositionLen)))
}

// appendTo appends the text to dst.
func (p Position) appendTo(dst []byte) []byte {
	var text [maxPositionLen]byte
	return append(dst, text[p.formatRight(text[:]):]...)
}

// formatRight writes the text into dst, so that the text ends where dst ends. It
// returns the index of the first byte of the text.
func (p Position) formatRight(dst []byte) int {
	var suffix [suffixSize]byte
	binary.BigEndian.PutUint64(suffix[:], p.Epoch)
	binary.BigEndian.PutUint32(suffix[8:], p.Check)
	i := len(dst) - suffixLen
	base64.RawURLEncoding.Encode(dst[i:], suffix[:])
	i--
	dst[i] = '.'
	for n := p.Seq; ; n /= 10 {
		i--
		if dst[i] = '0' + byte(n%10); n < 10 {
			break
		}
	}
	i--
	dst[i] = positionPrefix
	return i
}

// ParsePosition returns the position with the given text. It accepts exactly the
// texts that [Position.String] returns for positions with a nonzero Epoch.
// ParsePosition does not check whether a log has an event at that position.
func ParsePosition(text string) (Position, error) {
	p, ok := parsePosition(text)
	if !ok {
		return Position{}, fmt.Errorf("sse: %q is not a position: it must look like %q",
			shorten(text), Position{Epoch: 1 << 63, Seq: 42})
	}
	return p, nil
}

// parsePosition is [ParsePosition] without an error value.
func parsePosition(text string) (Position, bool) {
	if !isGenerated(text) || len(text) > maxPositionLen {
		return Position{}, false
	}
	number, suffix, ok := strings.Cut(text[1:], ".")
	if !ok || len(suffix) != suffixLen {
		return Position{}, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return Position{}, false
	}
	var raw [suffixSize]byte
	// Decode ignores line ends. A suffix that contains a line end is rejected,
	// because it decodes to fewer than suffixSize bytes.
	if n, err := base64.RawURLEncoding.Decode(raw[:], []byte(suffix)); err != nil || n != suffixSize {
		return Position{}, false
	}
	p := Position{
		Epoch: binary.BigEndian.Uint64(raw[:]),
		Seq:   seq,
		Check: binary.BigEndian.Uint32(raw[8:]),
	}
	// The number must have no leading zeros, and an epoch is never zero.
	return p, p.Epoch != 0 && p.String() == text
}

// isGenerated reports whether an ID begins with "~". Brokers reject such an ID from
// an application, unless the ID is the text of a position.
func isGenerated(id string) bool { return len(id) > 0 && id[0] == positionPrefix }
