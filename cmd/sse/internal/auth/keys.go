package auth

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// minSecret is the smallest length of a secret in bytes. A shorter secret could be
// guessed.
const minSecret = 16

// Key is an access key of a program or a person.
type Key struct {
	Name   string // not secret; errors and logs contain it
	Grants Grants // the actions that the key allows

	sum [32]byte // the SHA-256 of the secret
}

// ParseKey parses a key in the form of the command line and of a file:
//
//	NAME SECRET [publish PATTERN…] [subscribe PATTERN…] [delete PATTERN…]
//
// At least one of the three actions is needed. The error contains no word of the line:
// if the operator forgets a word, any word may be the secret.
func ParseKey(line string) (Key, error) {
	const form = "a key must be NAME SECRET publish PATTERN… subscribe PATTERN…"
	words := strings.Fields(line)
	if len(words) < 2 {
		return Key{}, errors.New(form)
	}
	name, secret := words[0], words[1]
	switch {
	case isVerb(secret):
		return Key{}, errors.New(form + ": NAME or SECRET is missing")
	case !isName(name):
		return Key{}, errors.New("the name of a key must be at most 64 letters, digits, - and _")
	case len(secret) < minSecret:
		return Key{}, fmt.Errorf("the secret of a key must have at least %d characters", minSecret)
	case !isToken68(secret):
		return Key{}, errors.New("the secret of a key must have only letters, digits and " +
			"- . _ ~ + /, and = only at its end, because the header Authorization allows nothing else")
	}
	grants, err := parseGrants(words[2:])
	if err != nil {
		return Key{}, err
	}
	return Key{Name: name, Grants: grants, sum: sha256.Sum256([]byte(secret))}, nil
}

// ReadKeys reads a file of keys, one per line. It skips empty lines, lines that begin
// with "#", and a byte order mark, which some editors write at the beginning.
func ReadKeys(r io.Reader) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, key)
	}
	return keys, lines.Err()
}

// identity returns the identity of a client with this key. If expires is zero, the
// identity does not expire.
func (k *Key) identity(expires time.Time) *Identity {
	return &Identity{Name: k.Name, Expires: expires, grants: k.Grants}
}

func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	})
}

// isToken68 reports whether a secret can follow "Bearer " in a header.
//
// RFC 9110 11.2: token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=".
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/", r)
	})
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
