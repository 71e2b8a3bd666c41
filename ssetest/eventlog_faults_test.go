package ssetest_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// onEntries returns a function that breaks a log: Append changes the entries before it
// stores them.
func onEntries(change func(e *sse.Entry)) func(b *broken) {
	return func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			for i := range entries {
				change(&entries[i])
			}
			return b.appendEntries(ctx, entries...)
		}
	}
}

// onData returns a function that breaks a log: Append changes the data of the entries
// before it stores them.
func onData(change func(data string) string) func(b *broken) {
	return onEntries(func(e *sse.Entry) { e.Event.Data = change(e.Event.Data) })
}

// onPositions returns a function that breaks a log: Append changes the positions that
// it returns.
func onPositions(change func(positions []sse.Position)) func(b *broken) {
	return func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.appendEntries(ctx, entries...)
			change(positions)
			return positions, err
		}
	}
}

var appendFaults = []fault{
	{"stores times in milliseconds", "entries/time", onEntries(func(e *sse.Entry) {
		e.Time = e.Time.Truncate(time.Millisecond)
	})},
	{"replaces the time", "entries/unchanged", onEntries(func(e *sse.Entry) {
		e.Time = time.Now()
	})},
	{"trims data", "entries/unchanged", onData(strings.TrimSpace)},
	{"changes line ends", "entries/unchanged", onData(func(data string) string {
		return strings.ReplaceAll(data, "\r\n", "\n")
	})},
	{"makes data valid UTF-8", "entries/unchanged", onData(func(data string) string {
		return strings.ToValidUTF8(data, "\uFFFD")
	})},
	{"truncates data at 64 KiB", "entries/unchanged", onData(func(data string) string {
		return data[:min(len(data), 64<<10)]
	})},
	{"drops Retry", "entries/unchanged", onEntries(func(e *sse.Entry) { e.Event.Retry = 0 })},
	{"stores the first topic only", "entries/two-topics", onEntries(func(e *sse.Entry) {
		e.Topics = e.Topics[:1]
	})},
	{"trims topics", "entries/topics", onEntries(func(e *sse.Entry) {
		e.Topics = []string{strings.TrimSpace(e.Topics[0])}
	})},
	{"returns the number of another entry", "append/positions", onPositions(func(p []sse.Position) {
		for i := range p {
			p[i].Seq = max(p[i].Seq, 2) - 1
		}
	})},
	{"returns positions without Check", "entries/check", onPositions(func(p []sse.Position) {
		for i := range p {
			p[i].Check = 0
		}
	})},
	{"computes Check from the number only", "entries/check", onPositions(func(p []sse.Position) {
		for i := range p {
			p[i].Check = (&sse.Entry{Position: p[i]}).Check([16]byte{})
		}
	})},
	{"computes Check without the number", "entries/check", onPositions(func(p []sse.Position) {
		for i := range p {
			p[i].Check = uint32(p[i].Epoch)
		}
	})},
	{"stores entries although Append fails", "append/canceled", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.appendEntries(context.WithoutCancel(ctx), entries...)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return positions, err
		}
	}},
	{"stores the rest of a failed Append", "append/failed", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.appendEntries(ctx, entries...)
			if err != nil && ctx.Err() == nil {
				_, _ = b.appendEntries(ctx, entries[len(positions):]...)
			}
			return positions, err
		}
	}},
	{"a failed Append returns no positions", "append/failed", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.appendEntries(ctx, entries...)
			if err != nil {
				positions = nil
			}
			return positions, err
		}
	}},
	{"interleaves batches", "append/contiguous", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			var positions []sse.Position
			for _, entry := range entries {
				p, err := b.appendEntries(ctx, entry)
				if err != nil {
					return positions, err
				}
				positions = append(positions, p...)
				runtime.Gosched()
			}
			return positions, nil
		}
	}},
	{"an entry is readable after the next Append only", "append/visible-when-stored", func(b *broken) {
		var mu sync.Mutex
		var shown, last uint64
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			mu.Lock()
			defer mu.Unlock()
			shown = last
			positions, err := b.appendEntries(ctx, entries...)
			if n := len(positions); n > 0 {
				last = positions[n-1].Seq
			}
			return positions, err
		}
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			mu.Lock()
			defer mu.Unlock()
			page, err := b.readCorrect(ctx, q)
			page.Entries = slices.DeleteFunc(slices.Clone(page.Entries), func(e sse.Entry) bool {
				return e.Position.Seq > shown
			})
			return page, err
		}
	}},
}

// visibleBeforeStored makes Follow yield an entry before Append stores it. Append
// waits until the callers of Follow have received the entry.
func visibleBeforeStored(b *broken) {
	var waiting sync.Mutex // held during synctest.Wait, which allows one caller at a time
	var mu sync.Mutex      // guards the following
	var next sse.Entry
	changed := make(chan struct{})
	show := func(entry sse.Entry) {
		mu.Lock()
		defer mu.Unlock()
		next = entry
		close(changed)
		changed = make(chan struct{})
	}
	b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
		end, err := b.position(ctx, sse.Start{}, sse.Selection{})
		if err != nil {
			return nil, err
		}
		for _, entry := range entries[:min(1, len(entries))] {
			entry.Position = sse.Position{Epoch: end.Epoch, Seq: end.Seq + 1, Check: 1}
			show(entry)
		}
		if waiting.TryLock() {
			synctest.Wait()
			waiting.Unlock()
		}
		return b.appendEntries(ctx, entries...)
	}
	b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
		return func(yield func(sse.Entry, error) bool) {
			seen := after.Seq
			for ctx.Err() == nil {
				mu.Lock()
				entry, wake := next, changed
				mu.Unlock()
				page, _ := b.readCorrect(ctx, query{after: sse.Position{Seq: seen}, sel: everything(), limit: 1})
				if len(page.Entries) > 0 {
					entry = page.Entries[0]
				}
				if entry.Position.Seq > seen {
					seen = entry.Position.Seq
					if !yield(entry, nil) {
						return
					}
					continue
				}
				select {
				case <-wake:
				case <-ctx.Done():
				}
			}
		}
	}
}

// onFollow returns a function that breaks a log: Follow calls change with each entry,
// and yields the entry only if change returns true.
func onFollow(change func(e *sse.Entry) bool) func(b *broken) {
	return func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			return func(yield func(sse.Entry, error) bool) {
				for entry, err := range b.followAfter(ctx, after) {
					if change(&entry) && !yield(entry, err) {
						return
					}
				}
			}
		}
	}
}

var followFaults = []fault{
	{"Follow yields entries before they are stored", "append/visible-when-stored", visibleBeforeStored},
	{"Follow misses entries before it waits", "follow/concurrent-append",
		func(b *broken) { b.follow = followTwoPhases(b) }},
	{"Follow begins at the end", "follow/from", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			end, _ := b.position(ctx, sse.Start{}, sse.Selection{})
			return b.followAfter(ctx, end)
		}
	}},
	{"Follow repeats the entry at after", "follow/resume", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			after.Seq = max(after.Seq, 1) - 1
			return b.followAfter(ctx, after)
		}
	}},
	{"Follow omits events without a topic", "follow/from", onFollow(func(e *sse.Entry) bool {
		return len(e.Topics) == 0 || e.Topics[0] != ""
	})},
	{"Follow yields a different position", "append/same-positions",
		onFollow(func(e *sse.Entry) bool {
			e.Position.Check = 0
			return true
		})},
	{"Follow does not end with its context", "follow/ends", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			// This Follow ends an hour later, long after TestEventLog has stopped waiting.
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
			return func(yield func(sse.Entry, error) bool) {
				defer cancel()
				b.followAfter(late, after)(yield)
			}
		}
	}},
	{"Follow ends with an error other than the context's", "follow/ends", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			return func(yield func(sse.Entry, error) bool) {
				for entry, err := range b.followAfter(ctx, after) {
					if err != nil {
						err = errors.New("connection closed")
					}
					if !yield(entry, err) {
						return
					}
				}
			}
		}
	}},
	{"Follow can be called once only", "follow/break", func(b *broken) {
		var busy atomic.Bool
		correct := b.correct
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			return func(yield func(sse.Entry, error) bool) {
				if busy.Swap(true) {
					yield(sse.Entry{}, errors.New("busy"))
					return
				}
				correct.followAfter(ctx, after)(yield)
			}
		}
	}},
}

// followTwoPhases returns a Follow that first yields the stored entries, and then
// begins to wait for new entries. It misses the entries that are appended in between.
func followTwoPhases(b *broken) func(context.Context, sse.Position) iter.Seq2[sse.Entry, error] {
	return func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
		return func(yield func(sse.Entry, error) bool) {
			page, _ := b.readCorrect(ctx, query{after: after, sel: everything(), limit: 1 << 30})
			for _, entry := range page.Entries {
				if !yield(entry, nil) {
					return
				}
			}
			end, err := b.position(ctx, sse.Start{}, sse.Selection{})
			if err != nil {
				yield(sse.Entry{}, err)
				return
			}
			b.followAfter(ctx, end)(yield)
		}
	}
}
