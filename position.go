package sse

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in an [EventLog]: right after the event it names. Its
// text is the id that a broker gives to events.
//
// The zero Position is no place. With an Epoch and a Seq of zero it is the
// place before the first event of that epoch.
type Position struct {
	// Epoch is which life of the log: a log that begins anew, or whose end was
	// lost, draws another at random. It is not zero.
	Epoch uint64

	// Seq is the event's number. It grows in the order of the log, from 1.
	Seq uint64

	// Check is [Entry.Check] of the event. It recognises a number that was used
	// twice, as after a backup was restored.
	Check uint32
}

// The text of a position:
//
//	~ sequence . 16 characters of base64url: 8 bytes of epoch, 4 of check
//
// It has one form only, and nothing that a header or a query changes. (zsh does
// not like an unquoted word that begins with ~.)
const (
	positionMark = '~'
	lifeSize     = 12
	lifeLen      = 16 // lifeSize in base64
	// maxPositionLen is the length of the longest text.
	maxPositionLen = len("~18446744073709551615.") + lifeLen
)

// String is the position's text, such as "~42.3q2-7wAAAAHK_rq-". That of the
// zero Position is empty.
func (p Position) String() string {
	if p == (Position{}) {
		return ""
	}
	return string(p.appendTo(make([]byte, 0, maxPositionLen)))
}

func (p Position) appendTo(dst []byte) []byte {
	var text [maxPositionLen]byte
	return append(dst, text[p.prepend(text[:]):]...)
}

// prepend writes the text at the end of dst, and returns where it begins.
func (p Position) prepend(dst []byte) int {
	var life [lifeSize]byte
	binary.BigEndian.PutUint64(life[:], p.Epoch)
	binary.BigEndian.PutUint32(life[8:], p.Check)
	i := len(dst) - lifeLen
	base64.RawURLEncoding.Encode(dst[i:], life[:])
	i--
	dst[i] = '.'
	for n := p.Seq; ; n /= 10 {
		i--
		if dst[i] = '0' + byte(n%10); n < 10 {
			break
		}
	}
	i--
	dst[i] = positionMark
	return i
}

// ParsePosition is the inverse of [Position.String]: it reads what that writes,
// and nothing else. It asks no log whether there is such an event.
func ParsePosition(text string) (Position, error) {
	p, ok := parsePosition(text)
	if !ok {
		return Position{}, fmt.Errorf("sse: %q is not a position, which looks like %q",
			shorten(text), Position{Epoch: 1 << 63, Seq: 42})
	}
	return p, nil
}

func parsePosition(text string) (Position, bool) {
	if !isGenerated(text) || len(text) > maxPositionLen {
		return Position{}, false
	}
	number, life, ok := strings.Cut(text[1:], ".")
	if !ok || len(life) != lifeLen {
		return Position{}, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return Position{}, false
	}
	var raw [lifeSize]byte
	// Decode would pass over line ends; with them, life has too few others.
	if n, err := base64.RawURLEncoding.Decode(raw[:], []byte(life)); err != nil || n != lifeSize {
		return Position{}, false
	}
	p := Position{
		Epoch: binary.BigEndian.Uint64(raw[:]),
		Seq:   seq,
		Check: binary.BigEndian.Uint32(raw[8:]),
	}
	// One form only: no sign, no leading zeros, and an epoch.
	return p, p.Epoch != 0 && p.String() == text
}

// isGenerated reports whether an id is of the kind that brokers give to events,
// so that applications must not use it.
func isGenerated(id string) bool { return len(id) > 0 && id[0] == positionMark }
