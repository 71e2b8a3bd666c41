package sse

import (
	"context"
	"hash/crc32"
	"iter"
	"math/bits"
	"time"

	"github.com/sse-go/sse/internal/siphash"
	"github.com/sse-go/sse/internal/wire"
)

// EventLog stores events in one total order. A [Broker] reads from its EventLog the
// events that are no longer in memory, for example after a restart.
//
// The methods must be safe for concurrent use. Every implementation must pass
// TestEventLog of package ssetest.
//
// # Positions
//
// The position of an entry consists of an epoch, a number, and a check. The epoch
// identifies one lifetime of the log. The log draws it at random when it is
// created, and draws a new one when it detects that it has lost stored entries.
//
// Within an epoch, the log numbers its entries upwards from 1. It may leave out
// numbers, but must not use a number twice. A log that was restored from an old backup
// cannot know which numbers it used after the backup. The check reveals a number that
// was used twice.
//
// The check is 32 bits that depend on the number and the content of the entry, and
// on a secret of the log. The log can use [Entry.Check] with the same random key
// for all entries, or another function. Subscribers of one topic receive positions
// of events of other topics. They could find out the content of these events if the
// check needed no secret. The log stores the key with its entries, and a backup
// must include it. If the log has lost the key, it must begin a new epoch. A log
// that cannot be set back to an earlier state, for example because it is only in
// memory, may compute the check without the content.
//
// # Retention
//
// A log may remove entries, but must report the loss. For each topic, or for all topics
// together, the log stores the position of the newest entry that it has removed. If a
// reader begins before this position, [Page.Lost] reports the position. If a log does
// not know exactly which entries it has removed, it must report every loss that is
// possible.
type EventLog interface {
	// Append stores the entries of the request, in order, and returns their
	// positions. Entries of concurrent calls may be stored between them. Append
	// blocks until the entries are stored as safely as the log promises. Until an
	// entry is stored, Read and Follow must not return it; from then on they
	// must. Append ignores the Position of an entry and stores its Time.
	//
	// On error, the result has the positions of the entries that were stored. These
	// are the first entries of the request, or none. The log must not store the
	// other entries, not even later. If the request has a Key, a log that cannot
	// store keys stores nothing and returns an error that wraps
	// [errors.ErrUnsupported].
	Append(ctx context.Context, r AppendRequest) (AppendResult, error)

	// Read returns, in order, the entries that r.Selection matches and whose
	// positions are later than r.After and not later than r.Through. It returns at
	// least one entry if there is one, and stops after about r.Limit bytes of
	// topics, IDs, types and data. Read compares only the Seq of the positions. A
	// zero Through stands for the end of the log. If Through has an Epoch and a
	// zero Seq, it is the place before the first entry, and Read returns no
	// entries.
	//
	// Between calls of Read, the log must hold no resources for the reader.
	Read(ctx context.Context, r ReadRequest) (Page, error)

	// Follow returns an iterator over every entry after r.After: first the stored
	// entries, then new ones as they are stored. It ignores the other fields of r.
	// The iterator ends when ctx is done, or after it has yielded an error. It need
	// not yield the error of ctx. It leaves out an entry only if the log removes
	// the entry before the iterator reaches it.
	Follow(ctx context.Context, r ReadRequest) iter.Seq2[Entry, error]

	// Locate returns a page without entries. Its Next is the position of a reader that
	// begins at start: the reader passes it to Read as After. If the log cannot begin
	// at start, Page.Gap has the reason: [GapUnknown], [GapEpoch], [GapFuture] or
	// [GapCheck]. Next is then the position that Locate returns for [Start.Earliest]
	// and sel, and Gap.Available is the text of Next.
	//
	// If start.After is the position of an entry that the log has removed, Locate
	// accepts it, although the log can no longer compare the Check. If entries after
	// that position are missing, the next Read reports the loss in Page.Lost.
	//
	// Locate must accept, as Start.After, every position of the current epoch that
	// the log has returned, for example as Page.Next.
	Locate(ctx context.Context, start Start, sel Selection) (Page, error)
}

// AppendRequest is the argument of [EventLog.Append] and [Broker.Append].
type AppendRequest struct {
	// Entries are the entries to store, in order.
	Entries []Entry

	// Key, if not empty, makes the request idempotent: if the log has stored a
	// request with the same Owner and Key before, Append stores nothing and returns
	// the positions of that request. If a concurrent call uses the same Owner and
	// Key, Append blocks until that call has ended. Each log decides how long it
	// remembers a key. A request with a Key is stored as a whole or not at all.
	Key string

	// Owner is the party that has chosen Key, for example a client. The keys of
	// different owners are independent of each other.
	Owner string

	// Digest identifies the content of a request with a Key, for example as its
	// SHA-256. If the log has stored another Digest with the Key, the error is a
	// [*FieldError] for the field "key".
	Digest [32]byte
}

// AppendResult is the result of [EventLog.Append] and [Broker.Append].
type AppendResult struct {
	// Positions are the positions of the stored entries, in order.
	Positions []Position

	// Replayed is true if an earlier request with the same Key has stored the
	// entries.
	Replayed bool
}

// ReadRequest is the argument of [EventLog.Read] and [EventLog.Follow].
type ReadRequest struct {
	// After is a position: the first entry to read is the first matching entry after
	// this position. The zero Position stands for the beginning of the log.
	After Position

	// Through is the last position to read. If zero, the end of the log.
	Through Position

	// Selection selects the entries to read. Its Filter is ignored.
	Selection Selection

	// Limit is the approximate number of bytes to read.
	Limit int
}

// Entry is an event in an [EventLog].
type Entry struct {
	// Position is the entry's place in the log.
	Position Position

	// Time is the time of publishing. A log stores it with nanosecond
	// precision.
	Time time.Time

	// Topics are the event's topics, at least one. The empty string stands for
	// the topic of events that are published without a topic.
	Topics []string

	// Event is the published event. Its ID is the ID that the application gave to
	// it. If the ID is empty, subscribers receive the text of Position as the ID.
	// The event's Topic is empty.
	Event Event
}

// castagnoli is the CRC-32 polynomial for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Check returns a hash of the entry, including the Seq of its position, for
// [Position.Check]. Without the key, nobody can predict the hash, or find out
// anything about the entry from the hash. With the same key and Seq, two different
// entries have the same hash with a probability of one in 4 billion.
//
// The key is a secret of the log: 16 bytes from crypto/rand.
func (e *Entry) Check(key [16]byte) uint32 {
	return keyedCheck(&key, e.Position.Seq, e.Time.UnixNano(), contentChecksum(e.Topics, &e.Event))
}

// keyedCheck returns the check of an entry with a sequence, a time, and a
// contentChecksum. The checksum has no key, so it is easy to find two contents with
// the same checksum. But the checks of two such entries are equal, except by chance,
// only if their sequences and times are equal, too. A log uses a sequence twice with
// the same key only after it has lost entries.
func keyedCheck(key *[16]byte, seq uint64, unixNano int64, checksum uint32) uint32 {
	return uint32(siphash.Sum(key, seq, uint64(unixNano), uint64(checksum)))
}

// contentChecksum returns a checksum of the topics and the event.
func contentChecksum(topics []string, event *Event) uint32 {
	crc := uint32(0)
	for _, topic := range topics {
		crc = hashText(crc, topic)
	}
	for _, text := range [...]string{event.ID, event.Type, event.Data} {
		crc = hashText(crc, text)
	}
	return hashNumber(crc, int64(event.Retry))
}

// hashText adds a text and its length to the checksum. Without the length,
// "ab", "c" and "a", "bc" would have the same checksum.
func hashText(crc uint32, text string) uint32 {
	crc = hashNumber(crc, int64(len(text)))
	if text == "" {
		return crc
	}
	return crc32.Update(crc, castagnoli, wire.Bytes(text))
}

// hashNumber adds a number to the checksum. Two numbers with the same upper 32 bits
// and different lower 32 bits never give the same result. (A CRC of the number's
// bytes would cost as much as the CRC of a short text.)
func hashNumber(crc uint32, n int64) uint32 {
	const golden = 0x9E3779B1 // odd, so that the multiplication can be inverted
	return bits.RotateLeft32(crc, 13) ^ (uint32(n)+uint32(n>>32)*31)*golden
}

// Page is the result of [EventLog.Read], [EventLog.Locate] and [Broker.Read]:
// consecutive entries of a log that a selection matches, or a place in the log.
type Page struct {
	// Entries are the matching entries, in order. They are shared and must not
	// be modified.
	Entries []Entry

	// Next is the position to pass as After to the next Read. If the page may have
	// ended because of Limit, Next is the position of the last of Entries. In all other
	// cases, for example if Entries is empty, the Read has reached Through or the end
	// of the log. Next is then the earlier of these two positions. But Next is never
	// earlier than the After of this Read.
	Next Position

	// Lost is the newest position at which the log may have removed a matching entry,
	// if that position is later than the After of this Read. Lost may also be later
	// than all Entries of this page. If zero, the log has removed no matching entry
	// that is later than the After of this Read. If a start for [Broker.Read] has
	// Earliest or Last, Lost is zero in any case, because such a start names no event
	// that can be missing.
	Lost Position

	// Gap is not nil if the reader asked for a place that does not exist. Only
	// [EventLog.Locate] and [Broker.Read] set Gap. The page of [Broker.Read]
	// then begins with the earliest retained entry.
	Gap *Gap
}
