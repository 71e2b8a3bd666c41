// Package reflog is an [sse.EventLog] to test with: in memory, or in a file that
// outlives the process, even one that is killed. It searches from one end to the
// other, so that what it does is plain to see; ssetest.TestEventLog says whether
// it is right.
package reflog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

// The errors of a log that is closed, and of an append that was told to fail.
var (
	ErrClosed = errors.New("reflog: log is closed")
	ErrFailed = errors.New("reflog: append failed, as the test has asked")
)

// Options are how long a log keeps its entries.
type Options struct {
	// Retention are the rules by which entries are removed. If empty, none is.
	Retention []Retention

	// Now is the clock for the age of entries. If nil, time.Now.
	Now func() time.Time
}

// Log is a log in memory, or one with a file too. Its methods are safe for
// concurrent use.
type Log struct {
	opts Options

	mu      sync.Mutex      // guards the following
	file    *os.File        // nil in memory
	size    int64           // of the file, as far as it is kept
	epoch   uint64          // not zero
	entries []sse.Entry     // those that are kept, in order
	last    sse.Position    // of the newest that ever was
	removed map[string]loss // topic → newest that was removed
	failing bool            // the next Append fails …
	failAt  int             // … after that many entries
	err     error           // what every call fails with from now on
	changed chan struct{}   // closed, and replaced, when last or err changes
}

// New returns an empty log in memory. It holds nothing that has to be closed.
func New(opts *Options) *Log {
	if opts == nil {
		opts = &Options{}
	}
	l := &Log{opts: *opts, removed: map[string]loss{}, changed: make(chan struct{})}
	if l.opts.Now == nil {
		l.opts.Now = time.Now
	}
	l.beginLocked(newEpoch())
	return l
}

func newEpoch() uint64 {
	var buf [8]byte
	_, _ = rand.Read(buf[:]) // it never fails
	return binary.LittleEndian.Uint64(buf[:]) | 1
}

// beginLocked gives the log an epoch, also to the entries that it has already.
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
}

// FailAfter makes the next Append keep n of its entries, at most, and fail.
func (l *Log) FailAfter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing, l.failAt = true, n
}

// Close closes the file, if there is one. Every call fails from then on, and
// Follow ends.
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

func (l *Log) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append is [sse.EventLog]'s. With a file it returns when that is on the disk.
func (l *Log) Append(ctx context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return nil, err
	}
	var failure error
	if l.failing {
		failure = ErrFailed
		entries = entries[:min(l.failAt, len(entries))]
		l.failing = false
	}
	kept := l.numberLocked(entries)
	if err := l.writeLocked(kept); err != nil {
		return nil, err
	}
	positions := make([]sse.Position, len(kept))
	for i, entry := range kept {
		positions[i] = entry.Position
		l.last = entry.Position
	}
	l.entries = append(l.entries, kept...)
	l.trimLocked()
	l.wakeLocked()
	return positions, failure
}

// numberLocked returns copies of the entries with the positions they will have.
func (l *Log) numberLocked(entries []sse.Entry) []sse.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entry := &entries[i]
		entry.Topics = slices.Clone(entry.Topics)
		entry.Position = sse.Position{
			Epoch: l.epoch, Seq: l.last.Seq + 1 + uint64(i), Check: entry.Check(),
		}
	}
	return entries
}

// Read is [sse.EventLog]'s.
func (l *Log) Read(
	ctx context.Context, after, through sse.Position, sel sse.Selection, limit int,
) (sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return sse.Page{}, err
	}
	end := l.last
	if through != (sse.Position{}) && through.Seq < end.Seq {
		end = through
	}
	if after.Seq > end.Seq {
		end = after
	}
	page := sse.Page{Next: end}
	if lost := l.lostLocked(&sel).at; lost.Seq > after.Seq {
		page.Lost = lost
	}
	size := 0
	for _, entry := range l.entries {
		if entry.Position.Seq <= after.Seq || entry.Position.Seq > end.Seq ||
			!sel.Match(entry.Topics) {
			continue
		}
		size += sizeOf(&entry)
		if len(page.Entries) > 0 && size > limit {
			page.Next = page.Entries[len(page.Entries)-1].Position
			break
		}
		page.Entries = append(page.Entries, entry)
	}
	return page, nil
}

// Follow is [sse.EventLog]'s. When ctx is done the last error is that of ctx.
func (l *Log) Follow(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		seq := after.Seq
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
				continue // more may have come meanwhile
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// since returns what comes after a number, and what is closed when there is more.
func (l *Log) since(seq uint64) ([]sse.Entry, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := 0
	for i < len(l.entries) && l.entries[i].Position.Seq <= seq {
		i++
	}
	return slices.Clone(l.entries[i:]), l.changed, l.err
}
