package sse

import (
	"context"
	"encoding/json"
	"hash/crc32"
	"iter"
	"math/bits"
	"strconv"
	"time"
)

// EventLog keeps events in one total order. It is what a [Broker] resumes from
// when its own memory does not reach back far enough, as after a restart.
//
// Its methods are safe for concurrent use. The package ssetest has TestEventLog,
// which every log must pass.
//
// # Positions
//
// The log numbers its entries upwards from 1; numbers may be left out, but are
// never used twice in an epoch. An entry's position has the entry's
// [Entry.Check], and the epoch: a number that the log draws at random when it
// begins, and again when it finds that it has lost entries that were kept.
//
// # Retention
//
// A log may remove entries, and says so: for each topic, or for all, it keeps
// the position of the newest entry that it has removed, which [Page.Lost] tells
// whoever asks for older ones. A log that does not know exactly what it has
// removed tells too much rather than too little.
type EventLog interface {
	// Append keeps the entries, in order, and returns their positions. Those of
	// another Append may come between. It returns when they are kept as safely as
	// the log promises: an entry is never seen by Read or Follow before that, and
	// always after. The Position of an entry is ignored; its Time is kept.
	//
	// On error it returns the positions of those that were kept: a prefix,
	// perhaps of length zero. The entries after it are not kept, then or later.
	Append(ctx context.Context, entries ...Entry) ([]Position, error)

	// Read returns entries that sel matches, after one position and up to and
	// including another, in order: at least one if there is any, and otherwise
	// about as many as have limit bytes of topics, ids, types and data. Only the
	// numbers of the positions count. If through is the zero Position, it is the
	// end of the log; with an epoch and the number zero it is the place before the
	// first entry, up to which there is nothing.
	//
	// Nothing is held between calls.
	Read(ctx context.Context, after, through Position, sel Selection, limit int) (Page, error)

	// Follow returns every entry after a position, those that are kept and then
	// those to come, until ctx is done or an error, which comes last; that of ctx
	// need not come. It leaves out none, but those that were removed before it came
	// to them.
	Follow(ctx context.Context, after Position) iter.Seq2[Entry, error]

	// Locate finds the position to read after, for someone who wants to start
	// somewhere. If there is no such place the error is a [*Gap] that says why,
	// "unknown", "epoch", "future" or "check", and the position is where the log
	// begins for sel, as with [Start.Earliest]; Gap.Available is its text. The
	// position of an entry that was removed is still a place, though its check
	// can no longer be compared: Page.Lost tells what is missing after it.
	//
	// Every position that the log returns is one to come back with.
	Locate(ctx context.Context, start Start, sel Selection) (Position, error)
}

// Entry is an event in an [EventLog].
type Entry struct {
	// Position is where the entry is kept.
	Position Position

	// Time is when the event was published, in nanoseconds.
	Time time.Time

	// Topics are the event's topics, at least one. An empty one is that of
	// events without a topic.
	Topics []string

	// Event is what was published. Its ID is the application's own, or empty: then
	// it goes out with the text of Position. Its Topic is empty.
	Event Event
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Check is a checksum of everything but the position. Two entries that differ
// have different ones, but for one pair in 4 billion.
func (e *Entry) Check() uint32 {
	return checkAt(checkTexts(e.Topics, &e.Event), e.Time.UnixNano())
}

// checkTexts is the part of the checksum that is known before the time is.
func checkTexts(topics []string, event *Event) uint32 {
	crc := uint32(1) // or nothing at all would have the check of what is not known
	for _, topic := range topics {
		crc = checkText(crc, topic)
	}
	for _, text := range [...]string{event.ID, event.Type, event.Data} {
		crc = checkText(crc, text)
	}
	return checkNumber(crc, int64(event.Retry))
}

// checkAt completes the checksum.
func checkAt(crc uint32, unixNano int64) uint32 { return checkNumber(crc, unixNano) }

// checkText adds a text and its length, without which "ab", "c" would be as
// good as "a", "bc".
func checkText(crc uint32, text string) uint32 {
	crc = checkNumber(crc, int64(len(text)))
	if text == "" {
		return crc
	}
	return crc32.Update(crc, castagnoli, bytesOf(text))
}

// checkNumber adds a number. Two that differ in their lower half never become the
// same; a CRC of the bytes would cost as much as that of a short text.
func checkNumber(crc uint32, n int64) uint32 {
	const golden = 0x9E3779B1 // odd, so that multiplying loses nothing
	return bits.RotateLeft32(crc, 13) ^ (uint32(n)+uint32(n>>32)*31)*golden
}

// Page is a part of an [EventLog], as far as a selection goes.
type Page struct {
	// Entries are those that match, in order. They are shared, and must not be
	// modified.
	Entries []Entry

	// Next is where to read on: the position of the last entry, or the end of what
	// was asked for, if the log knows that there are no more before it, as it does
	// if there are no Entries. That end is the position up to which was asked or
	// the log's last, whichever is earlier; but never before that after which was.
	Next Position

	// Lost, if not zero, is the newest position after the one that was asked for
	// at which an entry that the selection matches may have been removed. It need
	// not be within this page.
	Lost Position
}

// Start is where in an [EventLog] a subscriber begins. At most one field is set;
// the zero Start is the end of the log: only what is published from then on.
type Start struct {
	// After is the position after which to begin: nothing is missed, and nothing
	// comes twice. It is what [Broker.Position] has returned, or the parsed id of
	// an event.
	After Position

	// ID is an id that an application has given to an event itself. Of several
	// events with it, the earliest counts that is kept and selected: one of
	// another topic says nothing of what has been missed.
	ID string

	// Last is how many of the newest selected events to begin with: all, if there
	// are fewer.
	Last int

	// Time begins with the first selected event that was published at this time or
	// later: right before it even if it was removed, so that it is known to be lost.
	Time time.Time

	// Earliest begins with the first selected event that is kept. What was removed
	// before that is not lost; nor is what is removed before it could be delivered, if
	// it is older than the newest of those, as it may be where each topic has a
	// Retention of its own.
	Earliest bool
}

// Gap says that events which a subscriber asked for are missing. A subscriber
// gets it as an event of type "sse.gap", whose data is the Gap as JSON and whose
// ID is where to go on:
//
//	if event.Type == "sse.gap" {
//		gap, err := sse.Decode[sse.Gap](event)
//		…
//	}
//
// It comes before what is kept of the events after the place that was asked for.
type Gap struct {
	// Asked is the id or position after which events are missing: that with
	// which the subscriber came, or up to which it had got everything.
	Asked string `json:"asked"`

	// Available is the position after which nothing is missing.
	Available string `json:"available"`

	// Why is the reason: "trimmed" (retention has removed them), "unknown" (no
	// event with such an id is kept), "epoch" (the position is of another life of
	// the log), "future" (it is after the log's end), "check" (another event is
	// at that position now), "lagging" (the subscriber was too slow).
	Why string `json:"why"`
}

// json is the Gap as the data of an event.
func (g *Gap) json() string {
	data, err := json.Marshal(g)
	if err != nil {
		panic(err) // it has only strings
	}
	return string(data)
}

// Error makes a Gap what [EventLog.Locate] fails with.
func (g *Gap) Error() string {
	return "sse: gap after " + strconv.Quote(shorten(g.Asked)) + ": " + g.Why
}
