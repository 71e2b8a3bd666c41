// Package auth says who a request is from, and what they may do: by a key in the
// header Authorization, by the cookie that a login with a key has set, or by a
// ticket for one request.
//
// What is secret is never part of an error, so that none reaches a log.
package auth

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// minSecret is how short a secret may be. Shorter ones can be guessed.
const minSecret = 16

// Key is a secret that a program or a person shows, and what it grants.
type Key struct {
	Name   string // which may be seen in logs
	Grants Grants

	sum [32]byte // of the secret
}

// ParseKey reads a key as it stands on the command line and in a file:
//
//	NAME SECRET publish PATTERN… subscribe PATTERN… delete PATTERN…
func ParseKey(line string) (Key, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return Key{}, errors.New("a key is NAME SECRET publish PATTERN… subscribe PATTERN…")
	}
	name, secret := words[0], words[1]
	switch {
	case !isName(name):
		return Key{}, errors.New("the name of a key has letters, digits, - and _ only")
	case len(secret) < minSecret:
		return Key{}, fmt.Errorf("the secret of key %s has less than %d characters", name, minSecret)
	case !isToken68(secret):
		return Key{}, fmt.Errorf("the secret of key %s has characters other than letters, digits "+
			"and - . _ ~ + / =, which no header carries", name)
	}
	grants, err := parseGrants(words[2:])
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", name, err)
	}
	return Key{Name: name, Grants: grants, sum: sha256.Sum256([]byte(secret))}, nil
}

// ReadKeys reads a file of keys, one a line. Empty lines and those that begin with
// "#" are left out.
func ReadKeys(r io.Reader) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
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

func isName(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	})
}

// isToken68 reports whether text can follow "Bearer " (RFC 9110 11.2).
func isToken68(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/=", r)
	})
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// Who is whom a request is from, and what they may do.
type Who struct {
	// Name is that of the key; empty if no key is needed.
	Name string

	// Expires is when what they have shown expires; zero for never.
	Expires time.Time

	grants Grants
	bound  *bound // what a ticket is bound to, or nil
}

// Authority knows the keys.
type Authority struct {
	keys    map[[32]byte]*Key // by the sum of the secret
	names   map[string]*Key
	tickets tickets
	now     func() time.Time
}

// New returns the authority for these keys. Without any, everybody may do
// everything. Now may be nil.
func New(keys []Key, now func() time.Time) (*Authority, error) {
	if now == nil {
		now = time.Now
	}
	a := &Authority{keys: map[[32]byte]*Key{}, names: map[string]*Key{}, now: now}
	a.tickets.issued = map[[32]byte]ticket{}
	for i := range keys {
		key := &keys[i]
		if a.names[key.Name] != nil {
			return nil, fmt.Errorf("sse: there are two keys with the name %s", key.Name)
		}
		if other := a.keys[key.sum]; other != nil {
			return nil, fmt.Errorf("sse: the keys %s and %s have the same secret", other.Name, key.Name)
		}
		a.names[key.Name], a.keys[key.sum] = key, key
	}
	return a, nil
}

// Open reports whether no keys are needed.
func (a *Authority) Open() bool { return len(a.keys) == 0 }

// Key returns whose secret it is. The time that it takes says nothing of a secret:
// what is looked up is its sum.
func (a *Authority) key(secret string) *Key {
	return a.keys[sha256.Sum256([]byte(secret))]
}

// random returns a text that nobody can guess.
func random() string { return rand.Text() + rand.Text() }
