package disklog

import (
	"crypto/sha256"
	"encoding/binary"
)

// The keys of the store. Numbers are 8 bytes, big-endian, so that keys are in
// the order of the log:
//
//	e number            an entry (record.go)
//	i hash number       an entry whose event has an application's id
//	m                   the log as a whole (state.go)
//	o hash              an idempotency key, and what was kept under it (once.go)
//	p time hash         the same, in the order in which they are forgotten, with its owner
//	r                   how far retention by age has got (age.go)
//	s topic             a topic that has entries (state.go)
//	t topic NUL number  an entry of a topic
//	w number            the newest time up to an entry, for some entries
//	x topic             a topic's loss mark (loss.go)
//
// Entries come first. So a table of new entries, with their indexes, begins
// after the tables of older entries, which need not be rewritten with it.
const (
	entryKey  = 'e'
	idKey     = 'i'
	logKey    = 'm'
	onceKey   = 'o'
	expiryKey = 'p'
	sweepKey  = 'r'
	stateKey  = 's'
	topicKey  = 't'
	timeKey   = 'w'
	lossKey   = 'x'
)

// topicEnd ends a topic in a key. No topic contains it, so that none of a
// topic's entries comes between those of another one.
const topicEnd = 0

func numberKey(dst []byte, kind byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst[:0], kind), seq)
}

func textKey(dst []byte, kind byte, text string) []byte {
	return append(append(dst[:0], kind), text...)
}

// memberKey is that of an entry in the index of a topic.
func memberKey(dst []byte, topic string, seq uint64) []byte {
	dst = append(textKey(dst, topicKey, topic), topicEnd)
	return binary.BigEndian.AppendUint64(dst, seq)
}

// idHash stands for an id in keys, which are of one length whatever the id is.
// Whoever looks for an id compares it with the entry's.
type idHash [16]byte

func hashOf(id string) idHash {
	sum := sha256.Sum256([]byte(id))
	return idHash(sum[:16])
}

func namedKey(dst []byte, hash idHash, seq uint64) []byte {
	dst = append(append(dst[:0], idKey), hash[:]...)
	return binary.BigEndian.AppendUint64(dst, seq)
}

// seqOf is the number at the end of a key.
func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// after is the first key that does not begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
