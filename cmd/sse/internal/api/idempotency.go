package api

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// IdempotentRequest identifies a request to publish, so that a [Log] publishes its
// events only once even if the client sends the request several times. If the lines of
// a body are published as they arrive, each line is an IdempotentRequest of its own.
type IdempotentRequest struct {
	Owner  string   // the name of the client's access key; empty if no key is needed
	Key    string   // the header Idempotency-Key; for a line, followed by # and its number
	Digest [32]byte // the SHA-256 of the entries
}

// ErrKeyUsed is the error that a [Log] returns if the owner has already used the
// idempotency key for other events.
var ErrKeyUsed = errors.New("sse: the Idempotency-Key was already used for another event; " +
	"use a new key for each event, and the same key for each attempt to publish it")

// maxKey is the largest length of the header Idempotency-Key, in bytes.
const maxKey = 255

// idempotencyKey returns the idempotency key of a request, or "" if it has none.
func idempotencyKey(r *http.Request) (string, error) {
	keys := r.Header["Idempotency-Key"]
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey:
		return "", problemf(http.StatusBadRequest,
			"Idempotency-Key must be one header of 1 to %d bytes", maxKey)
	}
	return keys[0], nil
}

// idempotentRequest returns the identity of a request to publish entries, or
// nil if the request has no idempotency key.
func idempotentRequest(
	r *http.Request, identity *auth.Identity, entries ...sse.Entry,
) (*IdempotentRequest, error) {
	key, err := idempotencyKey(r)
	if key == "" {
		return nil, err
	}
	return &IdempotentRequest{Owner: identity.Name, Key: key, Digest: digestOf(entries)}, nil
}

// idempotentLine returns the identity of line n of a request. Its key is longer than
// the key of the request by up to 20 bytes, so a Log must accept keys of more than
// maxKey bytes.
func idempotentLine(key ownedKey, n int, entries []sse.Entry) *IdempotentRequest {
	return &IdempotentRequest{
		Owner: key.owner, Key: fmt.Sprintf("%s#%d", key.key, n), Digest: digestOf(entries),
	}
}

func digestOf(entries []sse.Entry) (digest [32]byte) {
	h := sha256.New()
	for i := range entries {
		hashEntry(h, &entries[i])
	}
	h.Sum(digest[:0])
	return digest
}

// hashEntry adds an entry to a hash. It adds the length before each part, so that,
// for example, the ID "ab" and the type "c" do not have the same hash as the ID "a"
// and the type "bc".
func hashEntry(h hash.Hash, e *sse.Entry) {
	var buf [8]byte
	writeInt := func(v int) {
		binary.BigEndian.PutUint64(buf[:], uint64(v))
		h.Write(buf[:])
	}
	writeInt(len(e.Topics))
	for _, s := range append([]string{e.Event.ID, e.Event.Type, e.Event.Data}, e.Topics...) {
		writeInt(len(s))
		_, _ = io.WriteString(h, s)
	}
	writeInt(int(e.Event.Retry))
}
