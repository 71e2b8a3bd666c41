package reflog

import (
	"slices"

	"github.com/sse-go/sse"
)

// ownedKey is an idempotency key and its owner.
type ownedKey struct{ owner, key string }

// keyed is the result of a stored request with a key, and the request's digest.
type keyed struct {
	digest    [32]byte
	positions []sse.Position
}

// appendKeyedLocked stores a request with a key, as a whole or not at all. If the
// log has stored a request with the same owner and key before, appendKeyedLocked
// stores nothing and returns the positions of that request. If the digests of both
// requests differ, it returns a [*sse.FieldError].
func (l *Log) appendKeyedLocked(r sse.AppendRequest) (sse.AppendResult, error) {
	name := ownedKey{r.Owner, r.Key}
	if before, ok := l.keys[name]; ok {
		if before.digest != r.Digest {
			return sse.AppendResult{}, &sse.FieldError{
				Field: "key", Value: r.Key, Reason: "was used for another request before",
			}
		}
		return sse.AppendResult{Positions: slices.Clone(before.positions), Replayed: true}, nil
	}
	if l.failing {
		l.failing = false
		return sse.AppendResult{}, ErrFailed
	}
	numbered := l.numberLocked(r.Entries)
	lines := append([]*line{keyLineOf(&r)}, linesOf(numbered)...)
	if err := l.writeLocked(lines); err != nil {
		return sse.AppendResult{}, err
	}
	positions := l.storeLocked(numbered)
	l.keys[name] = keyed{r.Digest, slices.Clone(positions)}
	return sse.AppendResult{Positions: positions}, nil
}

// keyLineOf returns the line that precedes the entries of a request with a key.
func keyLineOf(r *sse.AppendRequest) *line {
	return &line{
		Owner: []byte(r.Owner), Key: []byte(r.Key), Digest: r.Digest[:], Count: len(r.Entries),
	}
}

// keyedRequest is a request with a key while its entries are read from the file.
type keyedRequest struct {
	name   ownedKey
	digest [32]byte
	offset int64 // offset of the request's own line in the file
	first  int   // index of the request's first entry in Log.entries
	count  int   // number of the request's entries
}

// beginRequestLocked returns the request whose own line is n. That line is at the
// offset l.size of the file, because l.size does not yet include it.
func (l *Log) beginRequestLocked(n *line) *keyedRequest {
	return &keyedRequest{
		name:   ownedKey{string(n.Owner), string(n.Key)},
		digest: [32]byte(n.Digest), offset: l.size,
		first: len(l.entries), count: n.Count,
	}
}

// endRequestLocked stores the key of r if all entries of r have been read. It
// reports whether they have.
func (l *Log) endRequestLocked(r *keyedRequest) bool {
	if len(l.entries) < r.first+r.count {
		return false
	}
	var positions []sse.Position
	for _, entry := range l.entries[r.first:] {
		positions = append(positions, entry.Position)
	}
	l.keys[r.name] = keyed{r.digest, positions}
	return true
}

// undoRequestLocked removes the entries of a request whose entries are only partly
// in the file. Append did not return the positions of such a request.
func (l *Log) undoRequestLocked(r *keyedRequest) {
	l.size = r.offset
	l.entries = l.entries[:r.first]
	l.last = sse.Position{}
	if r.first > 0 {
		l.last = l.entries[r.first-1].Position
	}
}
