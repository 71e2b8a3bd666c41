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

// minSecret is the smallest length of a secret. A shorter secret can be
// guessed.
const minSecret = 16

// Key is the secret of a program or a person, with the permissions that it
// grants.
type Key struct {
	Name   string // may appear in logs
	Grants Grants

	sum [32]byte // the SHA-256 of the secret
}

// ParseKey parses a key in the form of the command line and of a file:
//
//	NAME SECRET publish PATTERN… subscribe PATTERN… delete PATTERN…
func ParseKey(line string) (Key, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return Key{}, errors.New("a key must be NAME SECRET publish PATTERN… subscribe PATTERN…")
	}
	name, secret := words[0], words[1]
	switch {
	case !isName(name):
		return Key{}, errors.New("the name of a key must be at most 64 letters, digits, - and _")
	case len(secret) < minSecret:
		return Key{}, fmt.Errorf("the secret of key %s must have at least %d characters", name, minSecret)
	case !isToken68(secret):
		return Key{}, fmt.Errorf("the secret of key %s must have only letters, digits "+
			"and - . _ ~ + / =, because a header cannot contain other characters", name)
	}
	grants, err := parseGrants(words[2:])
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", name, err)
	}
	return Key{Name: name, Grants: grants, sum: sha256.Sum256([]byte(secret))}, nil
}

// ReadKeys reads a file of keys, one per line. It skips empty lines, lines that
// begin with "#", and the byte order mark that some editors write first.
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

// identity returns the identity of a client with this key.
func (k *Key) identity(expires time.Time) *Identity {
	return &Identity{Name: k.Name, Expires: expires, grants: k.Grants}
}

func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	})
}

// isToken68 reports whether s can follow "Bearer " (RFC 9110 11.2).
func isToken68(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/=", r)
	})
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
