package api

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"net/http"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// IdempotentRequest identifies a request to publish, so that a [Log] publishes
// its events only once when the client retries it.
type IdempotentRequest struct {
	Owner  string // the name of the client's key in package auth
	Key    string // the header Idempotency-Key
	Digest [32]byte
}

// ErrKeyUsed is the error that a [Log] returns if an idempotency key was used
// for other events.
var ErrKeyUsed = errors.New("sse: the Idempotency-Key was already used for another event; " +
	"use a new key for each event, and the same key for each attempt to publish it")

// maxKey is the largest length of an idempotency key, in bytes.
const maxKey = 255

// idempotentRequest returns the identity of a request to publish entries, or
// nil if the request has no idempotency key.
func idempotentRequest(
	r *http.Request, identity *auth.Identity, entries ...sse.Entry,
) (*IdempotentRequest, error) {
	keys := r.Header["Idempotency-Key"]
	switch {
	case len(keys) == 0:
		return nil, nil
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey:
		return nil, problemf(http.StatusBadRequest,
			"Idempotency-Key must be one header of 1 to %d bytes", maxKey)
	}
	request := &IdempotentRequest{Owner: identity.Name, Key: keys[0]}
	h := sha256.New()
	for i := range entries {
		hashEntry(h, &entries[i])
	}
	h.Sum(request.Digest[:0])
	return request, nil
}

// hashEntry adds an entry to a hash. The length before each part marks where
// the part ends.
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
