package segmentlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

// keyHash identifies an idempotency key and its owner.
type keyHash [16]byte

func hashKey(owner, key string) keyHash {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint64(len(owner)))
	h.Write([]byte(owner))
	h.Write([]byte(key))
	return keyHash(h.Sum(nil)[:16])
}

// keyRecord is what the log remembers of an idempotency key.
type keyRecord struct {
	hash    keyHash
	owner   string
	ordinal uint64 // the keys of an owner are counted from 1
	time    int64
	digest  [32]byte
	epoch   uint64
	first   uint64   // number of the first entry
	checks  []uint32 // of the positions of the entries
}

// appendKey appends a record. In a segment, it is the payload of a frame.
func appendKey(dst []byte, k *keyRecord) []byte {
	dst = append(dst, keyFrame)
	dst = append(dst, k.hash[:]...)
	dst = append(dst, k.digest[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(k.time))
	dst = binary.LittleEndian.AppendUint64(dst, k.epoch)
	dst = appendText(dst, k.owner)
	dst = binary.AppendUvarint(dst, k.ordinal)
	dst = binary.AppendUvarint(dst, k.first)
	dst = binary.AppendUvarint(dst, uint64(len(k.checks)))
	for _, check := range k.checks {
		dst = binary.LittleEndian.AppendUint32(dst, check)
	}
	return dst
}

// parseKey is the inverse of appendKey.
func parseKey(text string) (*keyRecord, error) {
	r := reader{text: text}
	kind := r.take(1)
	hash, digest := r.take(16), r.take(32)
	k := &keyRecord{
		time: int64(r.uint64()), epoch: r.uint64(),
		owner: r.sized(), ordinal: r.uvarint(), first: r.uvarint(),
	}
	n := r.uvarint()
	if r.bad || kind[0] != keyFrame || n*4 != uint64(len(r.text)) {
		return nil, errDamaged
	}
	copy(k.hash[:], hash)
	copy(k.digest[:], digest)
	for range n {
		k.checks = append(k.checks, binary.LittleEndian.Uint32([]byte(r.take(4))))
	}
	return k, nil
}

func parseKeyFrame(payload []byte) (*keyRecord, error) { return parseKey(string(payload)) }

// positions returns the positions of the entries that were stored with the key.
func (k *keyRecord) positions() []sse.Position {
	positions := make([]sse.Position, len(k.checks))
	for i, check := range k.checks {
		positions[i] = sse.Position{Epoch: k.epoch, Seq: k.first + uint64(i), Check: check}
	}
	return positions
}

// span describes keys of one owner that were stored one after the other.
type span struct {
	first, last uint64 // ordinals
	oldest      int64  // time of the first
	newest      int64  // time of the last
}

// spans are the spans of the owners in a part of the log.
type spans map[string]*span

func (s spans) add(k *keyRecord) {
	o := s[k.owner]
	if o == nil {
		o = &span{first: k.ordinal, oldest: k.time}
		s[k.owner] = o
	}
	o.last, o.newest = max(o.last, k.ordinal), max(o.newest, k.time)
}

// keys are the idempotency keys that the log remembers. The keys of the tail are in
// memory. Each sealed segment with keys has a file with its keys, which may outlive the
// segment.
//
// A key is remembered if it is younger than the window and one of the newest keys of
// its owner. Nothing is written to forget a key.
type keys struct {
	limit  uint64 // of each owner
	window time.Duration
	now    func() time.Time

	mu     sync.Mutex // guards the following
	busy   map[keyHash]chan struct{}
	tail   map[keyHash]*keyRecord
	spans  spans             // of the keys in tail
	owners map[string]uint64 // the ordinal of the newest key
	files  []*keyFile        // by base
	logged map[string]time.Time
}

func newKeys(o *Options) *keys {
	return &keys{
		limit: uint64(o.Keys), window: o.KeyWindow, now: o.Now, busy: map[keyHash]chan struct{}{},
		tail: map[keyHash]*keyRecord{}, spans: spans{}, owners: map[string]uint64{},
		logged: map[string]time.Time{},
	}
}

// acquire waits until no other goroutine appends with a key.
func (k *keys) acquire(ctx context.Context, hash keyHash) error {
	for {
		k.mu.Lock()
		other, ok := k.busy[hash]
		if !ok {
			k.busy[hash] = make(chan struct{})
		}
		k.mu.Unlock()
		if !ok {
			return nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (k *keys) release(hash keyHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.busy[hash])
	delete(k.busy, hash)
}

// find returns the record of a key that is remembered, or nil. It calls damaged with a
// file that is damaged, and forgets the keys of the file.
func (k *keys) find(hash keyHash, damaged func(name string, err error)) (*keyRecord, error) {
	k.mu.Lock()
	record, files := k.tail[hash], k.files
	k.mu.Unlock()
	for i := len(files) - 1; i >= 0 && record == nil; i-- {
		var err error
		record, err = files[i].find(hash)
		if errors.Is(err, errIndex) {
			damaged(files[i].name, err)
			k.forget(files[i])
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	if record == nil || k.forgotten(record) {
		return nil, nil
	}
	return record, nil
}

// forget forgets the keys of a file.
func (k *keys) forget(file *keyFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.files, file); i >= 0 {
		k.files = slices.Concat(k.files[:i], k.files[i+1:])
	}
}

// forgotten reports whether a key is too old, or its owner has enough newer ones.
func (k *keys) forgotten(record *keyRecord) bool {
	k.mu.Lock()
	newest := k.owners[record.owner]
	k.mu.Unlock()
	return k.now().Sub(time.Unix(0, record.time)) >= k.window ||
		newest >= k.limit && record.ordinal <= newest-k.limit
}

// next returns the ordinal of the next key of an owner.
func (k *keys) next(owner string) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owners[owner] + 1
}

// remember adds keys that were stored in the tail.
func (k *keys) remember(records []*keyRecord) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, record := range records {
		k.tail[record.hash] = record
		k.spans.add(record)
		k.owners[record.owner] = max(k.owners[record.owner], record.ordinal)
	}
}

// early returns the owners of keys that are forgotten because of new keys, before the
// window has passed, if that was not reported in the last hour.
func (k *keys) early(records []*keyRecord) (owners []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, record := range records {
		if k.forgetsEarly(record) {
			owners = append(owners, record.owner)
		}
	}
	return owners
}

// forgetsEarly reports whether a new key makes the log forget one that is not too old.
// k.mu is held.
func (k *keys) forgetsEarly(record *keyRecord) bool {
	if record.ordinal <= k.limit {
		return false
	}
	now := k.now()
	for owner, at := range k.logged {
		if now.Sub(at) >= time.Hour {
			delete(k.logged, owner)
		}
	}
	if _, ok := k.logged[record.owner]; ok {
		return false
	}
	forgotten, cutoff := record.ordinal-k.limit, now.Add(-k.window).UnixNano()
	early := k.spans.hasEarly(record.owner, forgotten, cutoff)
	for _, file := range k.files {
		early = early || file.spans.hasEarly(record.owner, forgotten, cutoff)
	}
	if early {
		k.logged[record.owner] = now
	}
	return early
}

// hasEarly reports whether a key of an owner is among these, and is newer than a time.
func (s spans) hasEarly(owner string, ordinal uint64, cutoff int64) bool {
	o := s[owner]
	return o != nil && o.first <= ordinal && ordinal <= o.last && o.oldest > cutoff
}

// earlyText is the text of the report about an owner.
func (k *keys) earlyText(owner string) string {
	client := "clients without an access key"
	if owner != "" {
		client = "access key " + owner
	}
	return fmt.Sprintf("sse: %s used more than %d idempotency keys in %v: the oldest are "+
		"forgotten, and a request that is repeated with one of them is published again",
		client, k.limit, k.window)
}

// sealed replaces the keys of the tail by the file to which they were written.
func (k *keys) sealed(file *keyFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tail, k.spans = map[keyHash]*keyRecord{}, spans{}
	k.addLocked(file)
}

// addLocked adds a file. k.mu is held, or nobody else has the keys.
func (k *keys) addLocked(file *keyFile) {
	k.files = append(k.files[:len(k.files):len(k.files)], file)
	for owner, s := range file.spans {
		k.owners[owner] = max(k.owners[owner], s.last)
	}
}

// drop removes the files in which every key is forgotten, and returns their names. It
// also forgets owners without keys.
func (k *keys) drop() (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cutoff := k.now().Add(-k.window).UnixNano()
	var left []*keyFile
	for _, file := range k.files {
		if file.spans.anyRemembered(k, cutoff) {
			left = append(left, file)
		} else {
			names = append(names, file.name)
		}
	}
	k.files = left
	if names == nil {
		return nil
	}
	used := map[string]uint64{}
	for _, file := range left {
		for owner := range file.spans {
			used[owner] = k.owners[owner]
		}
	}
	for owner := range k.spans {
		used[owner] = k.owners[owner]
	}
	k.owners = used
	return names
}

// anyRemembered reports whether a key is not forgotten yet. k.mu is held.
func (s spans) anyRemembered(k *keys, cutoff int64) bool {
	for owner, o := range s {
		if o.newest > cutoff && o.last+k.limit > k.owners[owner] {
			return true
		}
	}
	return false
}

// names returns the names of the files.
func (k *keys) names() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := make([]string, len(k.files))
	for i, file := range k.files {
		names[i] = file.name
	}
	return names
}
