package reflog

import (
	"slices"

	"github.com/sse-go/sse"
)

// ownedKey is an idempotency key and its owner.
type ownedKey struct{ owner, key string }

// keyed is a stored request with a key.
type keyed struct {
	digest    [32]byte
	positions []sse.Position
}

// appendKeyedLocked stores a request with a key, as a whole or not at all. If
// the log has stored a request with the key before, it returns the result of
// that request.
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

// keyedRequest is a request with a key whose entries are being read from the
// file.
type keyedRequest struct {
	name   ownedKey
	digest [32]byte
	offset int64 // of its line
	first  int   // index of its first entry in Log.entries
	count  int   // of its entries
}

// beginRequestLocked returns the request that the line n begins. The line is
// the next one in the file.
func (l *Log) beginRequestLocked(n *line) *keyedRequest {
	return &keyedRequest{
		name:   ownedKey{string(n.Owner), string(n.Key)},
		digest: [32]byte(n.Digest), offset: l.size,
		first: len(l.entries), count: n.Count,
	}
}

// endRequestLocked stores the key of a request if all of its entries have been
// read, and reports that.
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

// undoRequestLocked removes the entries of a request that was stored in part,
// so that Append did not return its positions.
func (l *Log) undoRequestLocked(r *keyedRequest) {
	l.size = r.offset
	l.entries = l.entries[:r.first]
	l.last = sse.Position{}
	if r.first > 0 {
		l.last = l.entries[r.first-1].Position
	}
}
