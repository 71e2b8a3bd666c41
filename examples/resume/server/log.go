package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/sse-go/sse"
)

// fileLog is the smallest honest sse.EventLog on a disk: a file with a line of
// JSON for each event. Append returns when the line is on stable storage, and
// nobody sees the event before. What it is not: it has all events in memory too,
// removes none, and syncs the disk once for each, while all others wait. The hub
// has a log without these limits; its methods are the same four.
//
// Only one process may have the file open.
type fileLog struct {
	file *os.File

	mu      sync.Mutex    // guards the following
	begin   sse.Position  // the place before the first event, which has the epoch
	entries []sse.Entry   // the first has the sequence 1: no number is left out
	size    int64         // of the file, as far as it is kept
	broken  error         // what Append fails with from now on
	grown   chan struct{} // closed, and replaced, when there are more entries
}

// line is a line of the file. The first is the log's beginning, without an event.
type line struct {
	sse.Entry
	Bytes []byte `json:",omitempty"` // the event's data, where that is not UTF-8
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

// load reads the file, up to its last complete line. What follows is the rest of
// an Append that did not return, so nobody has seen it.
func (l *fileLog) load() error {
	for r := bufio.NewReader(l.file); ; {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		entry, err := parse(text)
		switch {
		case err == nil && l.begin.Epoch == 0:
			l.begin = entry.Position
		case err == nil && entry.Position == l.position(len(l.entries)+1, &entry):
			l.entries = append(l.entries, entry)
		default:
			return fmt.Errorf("line %d is damaged", len(l.entries)+2)
		}
		l.size += int64(len(text))
	}
	if l.begin.Epoch != 0 {
		return l.file.Truncate(l.size)
	}
	// A new log. Its epoch tells it from all others, also from one that was here
	// before and is lost: whoever comes back with a position of that is told.
	l.begin.Epoch = rand.Uint64() | 1
	return l.write([]sse.Entry{{Position: l.begin}})
}

// position is that of the entry with a number.
func (l *fileLog) position(seq int, entry *sse.Entry) sse.Position {
	return sse.Position{Epoch: l.begin.Epoch, Seq: uint64(seq), Check: entry.Check()}
}

// at is the position after the first n entries.
func (l *fileLog) at(n int) sse.Position {
	if n == 0 {
		return l.begin
	}
	return l.entries[n-1].Position
}

// Append keeps all of the entries, or none.
func (l *fileLog) Append(ctx context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.broken, ctx.Err()); err != nil {
		return nil, err
	}
	entries = slices.Clone(entries)
	positions := make([]sse.Position, len(entries))
	for i := range entries {
		entries[i].Time = entries[i].Time.UTC() // as it will be read
		entries[i].Topics = slices.Clone(entries[i].Topics)
		positions[i] = l.position(len(l.entries)+i+1, &entries[i])
		entries[i].Position = positions[i]
	}
	if err := l.write(entries); err != nil {
		return nil, err
	}
	l.entries = append(l.entries, entries...)
	close(l.grown)
	l.grown = make(chan struct{})
	return positions, nil
}

// write returns when the entries are on stable storage.
func (l *fileLog) write(entries []sse.Entry) error {
	var text bytes.Buffer
	for _, entry := range entries {
		if err := json.NewEncoder(&text).Encode(lineOf(entry)); err != nil {
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
	// What has failed must not be there after a restart. And after a sync that has
	// failed nobody knows what the disk has: better to say so than to go on.
	l.broken = fmt.Errorf("the log has failed before: %w", err)
	return errors.Join(err, l.file.Truncate(l.size), l.file.Sync())
}

func lineOf(entry sse.Entry) line {
	n := line{Entry: entry}
	if !utf8.ValidString(entry.Event.Data) { // which JSON would mend
		n.Bytes, n.Event.Data = []byte(entry.Event.Data), ""
	}
	return n
}

func parse(text []byte) (sse.Entry, error) {
	var n line
	err := json.Unmarshal(text, &n)
	if n.Bytes != nil {
		n.Event.Data = string(n.Bytes)
	}
	return n.Entry, err
}

// Read finds the entries after a position by their numbers, as none is left out.
func (l *fileLog) Read(ctx context.Context, after, through sse.Position, sel sse.Selection,
	limit int) (sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := len(l.entries)
	if through != (sse.Position{}) {
		end = min(end, int(through.Seq))
	}
	first := int(after.Seq)
	if first > end {
		return sse.Page{Next: after}, ctx.Err()
	}
	page := sse.Page{Next: l.at(end)}
	for i, entry := range l.entries[first:end] {
		if !sel.Match(entry.Topics) {
			continue
		}
		if limit <= 0 && len(page.Entries) > 0 {
			page.Next = l.at(first + i) // there is another, for the next page
			break
		}
		page.Entries = append(page.Entries, entry)
		limit -= len(entry.Event.Data) + 100 // and what else there is
	}
	return page, ctx.Err()
}

// Follow sees entries only once they are kept, as they are not in l.entries before.
func (l *fileLog) Follow(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		for next := int(after.Seq); ; {
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

// Locate says "no such place" with a *sse.Gap. As nothing is ever removed, that
// is only for positions of another log, and for ids that were never used.
func (l *fileLog) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (
	sse.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	switch p := start.After; {
	case p != (sse.Position{}) && p.Epoch != l.begin.Epoch:
		return l.gap(p.String(), "epoch")
	case p.Seq > uint64(n):
		return l.gap(p.String(), "future")
	case p != (sse.Position{}) && p != l.at(int(p.Seq)):
		return l.gap(p.String(), "check")
	case p != (sse.Position{}):
		return p, ctx.Err()
	case start.ID != "":
		i := slices.IndexFunc(l.entries, func(e sse.Entry) bool {
			return e.Event.ID == start.ID && sel.Match(e.Topics)
		})
		if i < 0 {
			return l.gap(start.ID, "unknown")
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
			return !e.Time.Before(start.Time)
		})
		if i >= 0 {
			n = i
		}
	case start.Earliest:
		n = 0
	}
	return l.at(n), ctx.Err()
}

func (l *fileLog) gap(asked, why string) (sse.Position, error) {
	return l.begin, &sse.Gap{Asked: asked, Available: l.begin.String(), Why: why}
}
