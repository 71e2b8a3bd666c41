// Package reflog is a reference implementation of [sse.EventLog] for tests. A log
// stores its entries in memory. If it also has a file, its entries survive even
// if the process is killed. Every search is a simple loop over all entries, so
// that the code is easy to verify. The tests of ssetest run TestEventLog with it.
package reflog

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/epoch"
)

// The errors of a method of a closed log, and of an Append after FailAfter.
var (
	ErrClosed = errors.New("reflog: log is closed")
	ErrFailed = errors.New("reflog: append failed because of FailAfter")
)

// Options configure the retention of a log.
type Options struct {
	// Retention are the rules by which the log removes entries. If empty, it
	// removes none.
	Retention []Retention

	// Now is the clock that determines the age of entries. If nil, time.Now.
	Now func() time.Time
}

// Log is a log in memory, with or without a file. Its methods are safe for
// concurrent use.
type Log struct {
	opts Options

	mu      sync.Mutex      // guards the following
	file    *os.File        // nil if the log has no file
	size    int64           // bytes of the valid part of the file
	epoch   uint64          // not zero
	secret  [16]byte        // the key for [sse.Entry.Check]
	entries []sse.Entry     // the stored entries in order
	last    sse.Position    // of the newest entry ever appended
	removed map[string]loss // by topic, the removed entries
	keys    map[ownedKey]keyed
	failing bool          // the next Append fails …
	failAt  int           // … after this number of entries
	err     error         // if not nil, every call fails with it
	changed chan struct{} // closed and replaced when last or err changes
}

// New returns an empty log in memory. It need not be closed.
func New(opts *Options) *Log {
	if opts == nil {
		opts = &Options{}
	}
	l := &Log{
		opts: *opts, removed: map[string]loss{}, keys: map[ownedKey]keyed{},
		changed: make(chan struct{}),
	}
	if l.opts.Now == nil {
		l.opts.Now = time.Now
	}
	_, _ = rand.Read(l.secret[:]) // never returns an error
	l.beginLocked(epoch.New())
	return l
}

// beginLocked sets the epoch of the log and of every position in it: the positions
// of stored entries, of removed entries, and of requests with a key.
func (l *Log) beginLocked(epoch uint64) {
	l.epoch = epoch
	l.last.Epoch = epoch
	for i := range l.entries {
		l.entries[i].Position.Epoch = epoch
	}
	for topic, lost := range l.removed {
		lost.at.Epoch = epoch
		l.removed[topic] = lost
	}
	for _, request := range l.keys {
		for i := range request.positions {
			request.positions[i].Epoch = epoch
		}
	}
}

// FailAfter makes the next Append fail with [ErrFailed] after it has stored n of its
// entries, or all if it has fewer. A request with a key then stores no entries.
func (l *Log) FailAfter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing, l.failAt = true, n
}

// Close closes the file, if there is one. Later calls of Append, Read, Follow and
// Locate fail with [ErrClosed], and a running Follow ends with it. A second Close
// does nothing and returns nil.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = ErrClosed
	}
	l.wakeLocked()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// wakeLocked unblocks every Follow.
func (l *Log) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append implements [sse.EventLog]. If the log has a file, Append syncs the file
// before it returns.
func (l *Log) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return sse.AppendResult{}, err
	}
	if r.Key != "" {
		return l.appendKeyedLocked(r)
	}
	entries := r.Entries
	var failure error
	if l.failing {
		failure = ErrFailed
		entries = entries[:min(l.failAt, len(entries))]
		l.failing = false
	}
	numbered := l.numberLocked(entries)
	if err := l.writeLocked(linesOf(numbered)); err != nil {
		return sse.AppendResult{}, err
	}
	return sse.AppendResult{Positions: l.storeLocked(numbered)}, failure
}

// storeLocked adds entries to the log, removes the entries that exceed its
// retention, and returns the positions of the added entries.
func (l *Log) storeLocked(entries []sse.Entry) []sse.Position {
	positions := make([]sse.Position, len(entries))
	for i, entry := range entries {
		positions[i] = entry.Position
		l.last = entry.Position
	}
	l.entries = append(l.entries, entries...)
	l.trimLocked()
	l.wakeLocked()
	return positions
}

// numberLocked returns copies of the entries with the positions at which they will
// be stored.
func (l *Log) numberLocked(entries []sse.Entry) []sse.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entry := &entries[i]
		entry.Topics = slices.Clone(entry.Topics)
		entry.Position = sse.Position{Epoch: l.epoch, Seq: l.last.Seq + 1 + uint64(i)}
		entry.Position.Check = entry.Check(l.secret)
	}
	return entries
}

// Read implements [sse.EventLog].
func (l *Log) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return sse.Page{}, err
	}
	after, through, sel := r.After, r.Through, &r.Selection
	end := l.last
	if through != (sse.Position{}) && through.Seq < end.Seq {
		end = through
	}
	if after.Seq > end.Seq {
		end = after
	}
	page := sse.Page{Next: end}
	if lost := l.lostLocked(sel).at; lost.Seq > after.Seq {
		page.Lost = lost
	}
	size := 0
	for _, entry := range l.entries {
		if entry.Position.Seq <= after.Seq || entry.Position.Seq > end.Seq ||
			!sel.Match(entry.Topics) {
			continue
		}
		size += sizeOf(&entry)
		if len(page.Entries) > 0 && size > r.Limit {
			page.Next = page.Entries[len(page.Entries)-1].Position
			break
		}
		page.Entries = append(page.Entries, entry)
	}
	return page, nil
}

// Follow implements [sse.EventLog]. When ctx is done, the iterator yields the error
// of ctx and ends.
func (l *Log) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		seq := r.After.Seq
		for {
			entries, changed, err := l.since(seq)
			if err == nil {
				err = ctx.Err()
			}
			for _, entry := range entries {
				if err = ctx.Err(); err != nil {
					break
				}
				if !yield(entry, nil) {
					return
				}
				seq = entry.Position.Seq
			}
			if err != nil {
				yield(sse.Entry{}, err)
				return
			}
			if len(entries) > 0 {
				continue // new entries may have been stored in the meantime
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// since returns the entries after the sequence number seq and the error of the log.
// The channel is closed when new entries have been stored or the log has failed.
func (l *Log) since(seq uint64) ([]sse.Entry, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := 0
	for i < len(l.entries) && l.entries[i].Position.Seq <= seq {
		i++
	}
	return slices.Clone(l.entries[i:]), l.changed, l.err
}
