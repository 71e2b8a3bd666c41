package disklog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
)

// Once makes an append that is tried again one append.
type Once struct {
	// Owner is who has chosen the key: those of two owners have nothing to do with
	// each other.
	Owner string

	// Key names what is appended.
	Key string

	// Digest is of all that the append is about. The same Key with another one is
	// a mistake.
	Digest [32]byte
}

// KeyError says that a key was used for something else before.
type KeyError struct{ Once Once }

func (e *KeyError) Error() string {
	return fmt.Sprintf("sse: the idempotency key %q was used for another event", e.Once.Key)
}

// AppendOnce is Append, but if the same was appended before, within
// [Options.KeyWindow] and also before a restart: then it returns the positions
// from then, and true. If something else was appended with the key, the error is
// a [*KeyError]. If another AppendOnce with the key is under way, it waits for
// that, and if that one fails, takes its place.
//
// The key is kept together with the entries, of which there may be 64 MiB.
func (l *Log) AppendOnce(
	ctx context.Context, once Once, entries ...sse.Entry,
) (positions []sse.Position, before bool, err error) {
	hash := once.hash()
	if err := l.keys.acquire(ctx, hash); err != nil {
		return nil, false, err
	}
	defer l.keys.release(hash)
	record, err := l.remembered(hash)
	if err != nil {
		return nil, false, err
	}
	if record != nil {
		if record.digest != once.Digest {
			return nil, false, &KeyError{once}
		}
		return record.positions, true, nil
	}
	r, err := newRequest(entries)
	if err != nil {
		return nil, false, err
	}
	if r.bytes > maxRequest {
		return nil, false, errors.New("sse: more than 64 MiB with one idempotency key")
	}
	r.once = &onceRecord{hash: hash, owner: once.Owner, digest: once.Digest, time: l.now().UnixNano()}
	positions, err = l.submit(ctx, r)
	return positions, false, err
}

func (o *Once) hash() idHash {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint64(len(o.Owner)))
	h.Write([]byte(o.Owner))
	h.Write([]byte(o.Key))
	return idHash(h.Sum(nil)[:16])
}

// onceRecord is what is remembered of a key.
type onceRecord struct {
	hash      idHash
	owner     string // not in the value
	digest    [32]byte
	time      int64
	positions []sse.Position // that follow each other
}

// The value: time, digest, epoch and first number, and the check of each.
func (o *onceRecord) encode() []byte {
	v := binary.BigEndian.AppendUint64(nil, uint64(o.time))
	v = append(v, o.digest[:]...)
	var first sse.Position
	if len(o.positions) > 0 {
		first = o.positions[0]
	}
	v = binary.BigEndian.AppendUint64(v, first.Epoch)
	v = binary.BigEndian.AppendUint64(v, first.Seq)
	for _, p := range o.positions {
		v = binary.BigEndian.AppendUint32(v, p.Check)
	}
	return v
}

func (o *onceRecord) decode(value []byte) error {
	if len(value) < 56 || len(value)%4 != 0 {
		return errState
	}
	o.time = int64(binary.BigEndian.Uint64(value))
	o.digest = [32]byte(value[8:])
	epoch, seq := binary.BigEndian.Uint64(value[40:]), binary.BigEndian.Uint64(value[48:])
	for value = value[56:]; len(value) > 0; value = value[4:] {
		check := binary.BigEndian.Uint32(value)
		o.positions = append(o.positions, sse.Position{Epoch: epoch, Seq: seq, Check: check})
		seq++
	}
	return nil
}

// remembered looks for a key, or returns nil.
func (l *Log) remembered(hash idHash) (*onceRecord, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.exit()
	value, closer, err := l.db.Get(append([]byte{onceKey}, hash[:]...))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	var record onceRecord
	if err := record.decode(value); err != nil {
		return nil, err
	}
	if l.now().Sub(time.Unix(0, record.time)) >= l.window {
		return nil, nil
	}
	return &record, nil
}

// keys are the idempotency keys.
type keys struct {
	limit uint64 // of each owner

	// Log.trimming guards the following.
	counted uint64               // number of keys when those of each owner were counted
	logged  map[string]time.Time // when early removals were last reported, by owner

	mu   sync.Mutex               // guards the following
	busy map[idHash]chan struct{} // closed when the append with that key is done
}

// acquire waits until nobody else appends with a key.
func (k *keys) acquire(ctx context.Context, hash idHash) error {
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

func (k *keys) release(hash idHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.busy[hash])
	delete(k.busy, hash)
}

// remember puts a key into the batch of its entries.
func (k *keys) remember(
	batch *pebble.Batch, next *logState, r *onceRecord, positions []sse.Position,
) error {
	r.positions = positions
	next.remembers++
	if err := batch.Set(append([]byte{onceKey}, r.hash[:]...), r.encode(), nil); err != nil {
		return err
	}
	return batch.Set(r.expiryKey(), []byte(r.owner), nil)
}

// expiryKey is unlike any other: a hash is remembered at one time once.
func (o *onceRecord) expiryKey() []byte {
	key := binary.BigEndian.AppendUint64([]byte{expiryKey}, uint64(o.time))
	return append(key, o.hash[:]...)
}

// forgetKeys forgets the keys that are too old, and the oldest keys of the owners
// that have too many.
func (l *Log) forgetKeys() error {
	oldest := l.now().Add(-l.window).UnixNano()
	err := l.forgetWhere(func(time int64, _ string) (forget, more bool) {
		return time <= oldest, time <= oldest
	})
	l.mu.Lock()
	remembers := l.state.remembers
	l.mu.Unlock()
	// Counting reads all keys, so it waits until there are many new ones. An owner
	// may exceed the limit by as many.
	if err != nil || remembers <= l.keys.limit || remembers < l.keys.counted+l.keys.limit/16 {
		return err
	}
	excess := map[string]int64{}
	if err := l.forgetWhere(func(_ int64, owner string) (forget, more bool) {
		excess[owner]++
		return false, true
	}); err != nil {
		return err
	}
	left := 0 // number of keys to forget
	for owner := range excess {
		if excess[owner] -= int64(l.keys.limit); excess[owner] > 0 {
			left += int(excess[owner])
			l.reportEarly(owner)
		}
	}
	l.keys.counted = remembers - uint64(left)
	return l.forgetWhere(func(_ int64, owner string) (forget, more bool) {
		if excess[owner] > 0 {
			excess[owner]--
			left--
			forget = true
		}
		return forget, left > 0
	})
}

// forgetWhere calls choose for the time and the owner of each key, the oldest first,
// until it returns false for more. It forgets the keys that choose has chosen.
func (l *Log) forgetWhere(choose func(time int64, owner string) (forget, more bool)) error {
	const chunk = 1024
	iter, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{expiryKey}, UpperBound: []byte{expiryKey + 1},
	})
	if err != nil {
		return err
	}
	var chosen [][]byte
	for valid, more := iter.First(), true; valid && more && err == nil; valid = iter.Next() {
		key := iter.Key()
		forget := false
		forget, more = choose(int64(binary.BigEndian.Uint64(key[1:])), string(iter.Value()))
		if forget {
			chosen = append(chosen, bytes.Clone(key))
		}
		if len(chosen) == chunk {
			err = l.forgetThese(chosen)
			chosen = chosen[:0]
		}
	}
	if err = errors.Join(err, iter.Close()); err != nil || len(chosen) == 0 {
		return err
	}
	return l.forgetThese(chosen)
}

// reportEarly logs, at most once an hour, that an owner's keys are forgotten
// although they are not too old.
func (l *Log) reportEarly(owner string) {
	now := l.now()
	for other, logged := range l.keys.logged {
		if now.Sub(logged) >= time.Hour {
			delete(l.keys.logged, other)
		}
	}
	if _, ok := l.keys.logged[owner]; ok {
		return
	}
	l.keys.logged[owner] = now
	client := "clients without an access key"
	if owner != "" {
		client = "access key " + owner
	}
	l.logger.Warn(fmt.Sprintf("sse: %s used more than %d idempotency keys in %v: the oldest are "+
		"forgotten, and a request that is repeated with one of them is published again",
		client, l.keys.limit, l.window))
}

func (l *Log) forgetThese(old [][]byte) error {
	batch := l.db.NewBatch()
	defer batch.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.state
	for _, key := range old {
		next.remembers--
		if err := batch.Delete(key, nil); err != nil {
			return err
		}
		// The same key may have been used again since.
		name := append([]byte{onceKey}, key[9:]...)
		value, closer, err := l.db.Get(name)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		same := bytes.Equal(value[:8], key[1:9])
		closer.Close()
		if same {
			if err := batch.Delete(name, nil); err != nil {
				return err
			}
		}
	}
	return l.applyLocked(batch, next)
}
