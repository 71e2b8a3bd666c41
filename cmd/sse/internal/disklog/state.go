package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
)

// logState is the log as a whole. It is written with every batch, so that what
// is found after a crash belongs to the entries that are found.
type logState struct {
	epoch     uint64
	last      place    // the newest entry, kept or removed
	first     uint64   // no entry before it is kept
	count     uint64   // entries that are kept
	bytes     uint64   // what they cost
	newest    int64    // the newest time of all up to last
	timed     uint64   // the newest entry with a time key
	lost      lossMark // merged loss marks
	remembers uint64   // idempotency keys that are remembered
	keyed     uint64   // fingerprint of the key
	version   byte     // of the encoding from which the state was read
}

// place is a position without the epoch and the key.
type place struct {
	seq uint64
	sum uint32 // sumOf the entry
}

// position returns the position of an entry. Its check depends on the content
// through the sum, which is in every index, and on the key.
func (l *Log) position(p place) sse.Position {
	if p.seq == 0 {
		return sse.Position{Epoch: l.epoch}
	}
	e := sse.Entry{
		Position: sse.Position{Epoch: l.epoch, Seq: p.seq}, Time: time.Unix(0, int64(p.sum)),
	}
	e.Position.Check = e.Check(l.key)
	return e.Position
}

// stateVersion is the version that encode writes. In version 1, the log had no key,
// and its positions are of an epoch that is over.
const stateVersion = 2

var errState = errors.New("sse: the log's state is damaged, or of a newer version")

func (s *logState) encode(dst []byte) []byte {
	dst = append(dst[:0], stateVersion)
	for _, n := range [...]uint64{
		s.epoch, s.last.seq, uint64(s.last.sum), s.first, s.count, s.bytes,
		uint64(s.newest), s.timed, s.lost.seq, uint64(s.lost.sum), uint64(s.lost.nano), s.remembers,
		s.keyed,
	} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return dst
}

func (s *logState) decode(value []byte) error {
	var n [13]uint64
	numbers := n[:]
	if len(value) > 0 && value[0] == 1 {
		numbers = n[:12]
	} else if len(value) == 0 || value[0] != stateVersion {
		return errState
	}
	if len(value) != 1+8*len(numbers) {
		return errState
	}
	for i := range numbers {
		n[i] = binary.BigEndian.Uint64(value[1+8*i:])
	}
	*s = logState{
		epoch: n[0], last: place{n[1], uint32(n[2])}, first: n[3], count: n[4], bytes: n[5],
		newest: int64(n[6]), timed: n[7],
		lost: lossMark{place{n[8], uint32(n[9])}, int64(n[10])}, remembers: n[11],
		keyed: n[12], version: value[0],
	}
	return nil
}

// topicState is a topic that has entries.
type topicState struct {
	kept  uint64 // entries that are kept
	last  uint64 // the newest of them; none is newer
	cut   uint64 // those up to it are beyond the topic's count or bytes
	count uint64 // those after cut
	bytes uint64 // what these cost

	rule *Retention // the topic's, or nil; not kept
}

func (s *topicState) encode(dst []byte) []byte {
	dst = dst[:0]
	for _, n := range [...]uint64{s.last, s.kept, s.cut, s.count, s.bytes} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func (s *topicState) decode(value []byte) error {
	for _, n := range [...]*uint64{&s.last, &s.kept, &s.cut, &s.count, &s.bytes} {
		v, size := binary.Uvarint(value)
		if size <= 0 {
			return errState
		}
		*n, value = v, value[size:]
	}
	return nil
}

// exceeds reports whether the topic has more than its rule allows.
func (s *topicState) exceeds() bool {
	return s.rule != nil && s.count > 0 &&
		(s.rule.Count > 0 && s.count > uint64(s.rule.Count) ||
			s.rule.Bytes > 0 && s.bytes > uint64(s.rule.Bytes))
}

// cachedTopics bounds how many topics are remembered between batches.
const cachedTopics = 1 << 15

// topics are the states of topics as the next batch finds them. What a batch has
// changed is written with it; so all that is here is in the store as well, and
// may be forgotten.
type topics struct {
	db    *pebble.DB
	rules []Retention
	cache map[string]*topicState
	dirty map[string]*topicState // changed by the batch that is being built
}

// get returns the state of a topic, to be changed: it is written with the batch.
func (t *topics) get(topic string) (*topicState, error) {
	if s := t.dirty[topic]; s != nil {
		return s, nil
	}
	s, err := t.look(topic)
	if err != nil {
		return nil, err
	}
	t.dirty[topic] = s
	return s, nil
}

// look returns the state of a topic, not to be changed.
func (t *topics) look(topic string) (*topicState, error) {
	if s := t.cache[topic]; s != nil {
		return s, nil
	}
	s := &topicState{rule: ruleOf(t.rules, topic)}
	value, closer, err := t.db.Get(textKey(nil, stateKey, topic))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("sse: the state of topic %q: %w", topic, err)
	default:
		err = s.decode(value)
		closer.Close()
		if err != nil {
			return nil, err
		}
	}
	t.cache[strings.Clone(topic)] = s // it may be a part of something large
	return s, nil
}

// write puts what was changed into a batch. The states of topics without entries
// go.
func (t *topics) write(batch *pebble.Batch) error {
	var key, value []byte
	for topic, s := range t.dirty {
		key = textKey(key, stateKey, topic)
		var err error
		if s.kept == 0 {
			err = batch.Delete(key, nil)
			delete(t.cache, topic)
		} else {
			value = s.encode(value)
			err = batch.Set(key, value, nil)
		}
		if err != nil {
			return err
		}
	}
	clear(t.dirty)
	for topic := range t.cache {
		if len(t.cache) <= cachedTopics {
			break
		}
		delete(t.cache, topic)
	}
	return nil
}

// forget throws away what a batch that is given up has changed.
func (t *topics) forget() {
	clear(t.cache)
	clear(t.dirty)
}
