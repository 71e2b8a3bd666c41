package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/sse-go/sse"
)

// fileLog is a small sse.EventLog on a disk: a file with a line of JSON for each event.
// Append returns when the lines of its events are on stable storage, and no reader sees
// the events before. The log has three limits: it also holds all events in memory, it
// never removes an event, and while an Append syncs the disk, all other calls wait. The
// log of the hub has the same four methods and none of these limits.
//
// Only one process may have the file open.
type fileLog struct {
	file *os.File

	mu      sync.Mutex    // guards the following
	begin   sse.Position  // the position before the first event: the epoch, and zeros
	key     [16]byte      // the secret of the positions
	entries []sse.Entry   // sequences 1, 2, 3 …, without holes
	size    int64         // length of the complete Appends in the file
	broken  error         // if not nil, the error of every further Append
	grown   chan struct{} // closed, and replaced, when there are more entries
}

// line is a line of the file. The first line has the position fileLog.begin and the
// key, and no event.
type line struct {
	sse.Entry
	Bytes []byte `json:",omitempty"` // the event's data, if it is not valid UTF-8
	Key   []byte `json:",omitempty"`
	More  bool   `json:",omitempty"` // the next line is of the same Append
}

func openLog(path string) (*fileLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &fileLog{file: file, grown: make(chan struct{})}
	if err := l.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return l, nil
}

// load reads the file up to its last complete Append, and removes an incomplete Append.
// Such an Append did not return, so no reader has seen its events.
func (l *fileLog) load() error {
	r := bufio.NewReader(l.file)
	var size int64         // length of the lines that were read
	var unsure []sse.Entry // the entries of an Append that may be incomplete
	for lines := 1; ; lines++ {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n, err := parse(text)
		switch {
		case err == nil && l.begin.Epoch == 0 && len(n.Key) == len(l.key):
			l.begin, l.key = n.Position, [16]byte(n.Key)
		case err == nil && n.Position == l.position(len(l.entries)+len(unsure)+1, n.Entry):
			unsure = append(unsure, n.Entry)
		default:
			return fmt.Errorf("line %d is damaged", lines)
		}
		size += int64(len(text))
		if !n.More {
			l.entries, unsure, l.size = append(l.entries, unsure...), nil, size
		}
	}
	if l.begin.Epoch != 0 {
		return l.file.Truncate(l.size)
	}
	// The file is new, or even its first line is incomplete. The epoch of the log is
	// random. So it differs from the epoch of an earlier log that was lost: a client that
	// reconnects with a position of the earlier log receives a gap.
	l.begin.Epoch = mathrand.Uint64() | 1
	rand.Read(l.key[:]) // never returns an error
	return l.write([]line{{Entry: sse.Entry{Position: l.begin}, Key: l.key[:]}})
}

// position returns the position of entry, whose number is seq. The Check in it depends
// on the key: otherwise clients could find out the content of an event from its position.
func (l *fileLog) position(seq int, entry sse.Entry) sse.Position {
	entry.Position = sse.Position{Epoch: l.begin.Epoch, Seq: uint64(seq)}
	entry.Position.Check = entry.Check(l.key)
	return entry.Position
}

// at returns the position after the first n entries.
func (l *fileLog) at(n int) sse.Position {
	if n == 0 {
		return l.begin
	}
	return l.entries[n-1].Position
}

// Append stores all of the entries, or none. This log has no idempotency keys.
func (l *fileLog) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.broken, ctx.Err()); err != nil {
		return sse.AppendResult{}, err
	}
	if r.Key != "" {
		return sse.AppendResult{}, errors.ErrUnsupported
	}
	entries := slices.Clone(r.Entries)
	positions := make([]sse.Position, len(entries))
	lines := make([]line, len(entries))
	for i := range entries {
		entries[i].Time = entries[i].Time.UTC() // as after a restart, when load has read it
		entries[i].Topics = slices.Clone(entries[i].Topics)
		positions[i] = l.position(len(l.entries)+i+1, entries[i])
		entries[i].Position = positions[i]
		lines[i] = lineOf(entries[i])
		lines[i].More = i < len(entries)-1
	}
	if err := l.write(lines); err != nil {
		return sse.AppendResult{}, err
	}
	l.entries = append(l.entries, entries...)
	close(l.grown)
	l.grown = make(chan struct{})
	return sse.AppendResult{Positions: positions}, nil
}

// write appends lines to the file. It returns when they are on stable storage.
func (l *fileLog) write(lines []line) error {
	var text bytes.Buffer
	for _, n := range lines {
		if err := json.NewEncoder(&text).Encode(n); err != nil {
			return err
		}
	}
	_, err := l.file.WriteAt(text.Bytes(), l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil {
		l.size += int64(text.Len())
		return nil
	}
	// The entries must not be in the file after a restart, because Append reports that it
	// has not stored them. After a failed sync the content of the disk is unknown, so every
	// further Append returns an error.
	l.broken = fmt.Errorf("an earlier write to the log failed: %w", err)
	return errors.Join(err, l.file.Truncate(l.size), l.file.Sync())
}

func lineOf(entry sse.Entry) line {
	n := line{Entry: entry}
	if !utf8.ValidString(entry.Event.Data) { // encoding/json would replace the invalid bytes
		n.Bytes, n.Event.Data = []byte(entry.Event.Data), ""
	}
	return n
}

func parse(text []byte) (line, error) {
	var n line
	err := json.Unmarshal(text, &n)
	if n.Bytes != nil {
		n.Event.Data = string(n.Bytes)
	}
	return n, err
}

// Read returns the entries after a position. Entry number n is l.entries[n-1].
func (l *fileLog) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := len(l.entries)
	if r.Through != (sse.Position{}) {
		end = min(end, int(r.Through.Seq))
	}
	first := int(r.After.Seq)
	if first > end {
		return sse.Page{Next: r.After}, ctx.Err()
	}
	page, limit := sse.Page{Next: l.at(end)}, r.Limit
	for i, entry := range l.entries[first:end] {
		if !r.Selection.Match(entry.Topics) {
			continue
		}
		if limit <= 0 && len(page.Entries) > 0 {
			page.Next = l.at(first + i) // the next page begins with this entry
			break
		}
		page.Entries = append(page.Entries, entry)
		limit -= len(entry.Event.Data) + 100 // 100 for the other fields
	}
	return page, ctx.Err()
}

// Follow yields only entries that are stored, because l.entries has no others.
func (l *fileLog) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		for next := int(r.After.Seq); ; {
			l.mu.Lock()
			entries, grown := l.entries[min(next, len(l.entries)):], l.grown
			l.mu.Unlock()
			for _, entry := range entries {
				if ctx.Err() != nil || !yield(entry, nil) {
					return
				}
				next++
			}
			select {
			case <-grown:
			case <-ctx.Done():
				yield(sse.Entry{}, ctx.Err())
				return
			}
		}
	}
}

// Locate returns the position after which a stream with the given start begins. This log
// removes no events. So Locate returns a gap only if start has a position that this log
// has never assigned, or an id that no selected event has.
func (l *fileLog) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (
	sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	switch p := start.After; {
	case p != (sse.Position{}) && p.Epoch != l.begin.Epoch:
		return l.gap(p.String(), sse.GapEpoch), nil
	case p.Seq > uint64(n):
		return l.gap(p.String(), sse.GapFuture), nil
	case p != (sse.Position{}) && p != l.at(int(p.Seq)):
		return l.gap(p.String(), sse.GapCheck), nil
	case p != (sse.Position{}):
		return sse.Page{Next: p}, ctx.Err()
	case start.ID != "":
		i := slices.IndexFunc(l.entries, func(e sse.Entry) bool {
			return e.Event.ID == start.ID && sel.Match(e.Topics)
		})
		if i < 0 {
			return l.gap(start.ID, sse.GapUnknown), nil
		}
		n = i + 1
	case start.Last > 0:
		for left := start.Last; n > 0 && left > 0; n-- {
			if sel.Match(l.entries[n-1].Topics) {
				left--
			}
		}
	case !start.Time.IsZero():
		i := slices.IndexFunc(l.entries, func(e sse.Entry) bool {
			return !e.Time.Before(start.Time) && sel.Match(e.Topics)
		})
		if i >= 0 {
			n = i
		}
	case start.Earliest:
		n = 0
	}
	return sse.Page{Next: l.at(n)}, ctx.Err()
}

func (l *fileLog) gap(asked string, why sse.GapReason) sse.Page {
	gap := &sse.Gap{Asked: asked, Available: l.begin.String(), Why: why}
	return sse.Page{Next: l.begin, Gap: gap}
}
