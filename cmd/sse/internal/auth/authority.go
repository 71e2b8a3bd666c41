// Package auth identifies the client of a request and checks its permissions. A
// client has an access key: a name, a secret, and the actions that the key grants. It
// sends the secret in the header Authorization, or the cookie that a login with the
// secret sets, or a ticket that was issued for one request.
//
// No error contains a secret, so that no secret gets into a log.
package auth

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"
)

// Authority holds the keys of a hub, and the tickets that were issued and not used.
type Authority struct {
	keys    map[[32]byte]*Key // by the SHA-256 of the secret
	names   map[string]*Key   // by name
	tickets tickets
	now     func() time.Time
}

// New returns an authority for these keys. If there are no keys, every client may do
// everything. The authority calls now for the current time, or time.Now if now is nil.
// New fails if two keys have the same name or the same secret.
func New(keys []Key, now func() time.Time) (*Authority, error) {
	if now == nil {
		now = time.Now
	}
	a := &Authority{keys: map[[32]byte]*Key{}, names: map[string]*Key{}, now: now}
	a.tickets.bySum = map[[32]byte]*list.Element{}
	for i := range keys {
		key := &keys[i]
		if a.names[key.Name] != nil {
			return nil, fmt.Errorf("sse: the names of keys must be unique, and two keys are named %s",
				key.Name)
		}
		if other := a.keys[key.sum]; other != nil {
			return nil, fmt.Errorf("sse: each key must have its own secret, "+
				"and the keys %s and %s have the same", other.Name, key.Name)
		}
		a.names[key.Name], a.keys[key.sum] = key, key
	}
	return a, nil
}

// Open reports whether clients need no key.
func (a *Authority) Open() bool { return len(a.keys) == 0 }

// key returns the key with this secret, or nil. The duration of the search reveals
// nothing about the secrets of other keys, because the search compares only hashes.
func (a *Authority) key(secret string) *Key {
	return a.keys[sha256.Sum256([]byte(secret))]
}

// randomText returns a random text for a ticket. It cannot be guessed.
func randomText() string { return rand.Text() + rand.Text() }

// Error is the reason why a request is refused, and the HTTP status of the response.
type Error struct {
	Status int // 401, 403 or 503
	Text   string
}

func (e *Error) Error() string { return "sse: " + e.Text }

func unauthorized(format string, args ...any) error {
	return &Error{http.StatusUnauthorized, fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) error {
	return &Error{http.StatusForbidden, fmt.Sprintf(format, args...)}
}
