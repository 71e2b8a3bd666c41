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

// onEntries breaks what is appended.
func onEntries(change func(e *sse.Entry)) func(b *broken) {
	return func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			for i := range entries {
				change(&entries[i])
			}
			return b.EventLog.Append(ctx, entries...)
		}
	}
}

func onData(change func(data string) string) func(b *broken) {
	return onEntries(func(e *sse.Entry) { e.Event.Data = change(e.Event.Data) })
}

// onPositions breaks what Append returns.
func onPositions(change func(positions []sse.Position)) func(b *broken) {
	return func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.EventLog.Append(ctx, entries...)
			change(positions)
			return positions, err
		}
	}
}

var appendFaults = []fault{
	{"keeps times in milliseconds", "entries/time", onEntries(func(e *sse.Entry) {
		e.Time = e.Time.Truncate(time.Millisecond)
	})},
	{"takes its own time", "entries/as-published", onEntries(func(e *sse.Entry) {
		e.Time = time.Now()
	})},
	{"trims data", "entries/as-published", onData(strings.TrimSpace)},
	{"changes line ends", "entries/as-published", onData(func(data string) string {
		return strings.ReplaceAll(data, "\r\n", "\n")
	})},
	{"makes data UTF-8", "entries/as-published", onData(func(data string) string {
		return strings.ToValidUTF8(data, "\uFFFD")
	})},
	{"cuts data after 64 KiB", "entries/as-published", onData(func(data string) string {
		return data[:min(len(data), 64<<10)]
	})},
	{"forgets retry", "entries/as-published", onEntries(func(e *sse.Entry) { e.Event.Retry = 0 })},
	{"keeps the first topic only", "entries/two-topics", onEntries(func(e *sse.Entry) {
		e.Topics = e.Topics[:1]
	})},
	{"trims topics", "entries/topics", onEntries(func(e *sse.Entry) {
		e.Topics = []string{strings.TrimSpace(e.Topics[0])}
	})},
	{"gives the number of another entry", "append/positions", onPositions(func(p []sse.Position) {
		for i := range p {
			p[i].Seq = max(p[i].Seq, 2) - 1
		}
	})},
	{"leaves out the check", "append/positions", onPositions(func(p []sse.Position) {
		for i := range p {
			p[i].Check = 0
		}
	})},
	{"keeps what it says has failed", "append/canceled", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.EventLog.Append(context.WithoutCancel(ctx), entries...)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return positions, err
		}
	}},
	{"keeps the tail of a failed append", "append/failed", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.EventLog.Append(ctx, entries...)
			if err != nil && ctx.Err() == nil {
				_, _ = b.EventLog.Append(ctx, entries[len(positions):]...)
			}
			return positions, err
		}
	}},
	{"says nothing of what it kept before it failed", "append/failed", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			positions, err := b.EventLog.Append(ctx, entries...)
			if err != nil {
				positions = nil
			}
			return positions, err
		}
	}},
	{"mixes batches", "append/contiguous", func(b *broken) {
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			var positions []sse.Position
			for _, entry := range entries {
				p, err := b.EventLog.Append(ctx, entry)
				if err != nil {
					return positions, err
				}
				positions = append(positions, p...)
				runtime.Gosched()
			}
			return positions, nil
		}
	}},
	{"can be read only with the next append", "append/visible-when-kept", func(b *broken) {
		var mu sync.Mutex
		var shown, last uint64
		b.append = func(ctx context.Context, entries []sse.Entry) ([]sse.Position, error) {
			mu.Lock()
			defer mu.Unlock()
			shown = last
			positions, err := b.EventLog.Append(ctx, entries...)
			if n := len(positions); n > 0 {
				last = positions[n-1].Seq
			}
			return positions, err
		}
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			mu.Lock()
			defer mu.Unlock()
			page, err := b.ask(ctx, q)
			page.Entries = slices.DeleteFunc(slices.Clone(page.Entries), func(e sse.Entry) bool {
				return e.Position.Seq > shown
			})
			return page, err
		}
	}},
}

// visibleBeforeKept shows an entry to those that follow, lets them look around,
// and then keeps it.
func visibleBeforeKept(b *broken) {
	var waiting sync.Mutex // held to wait: one goroutine of a bubble can
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
		end, err := b.EventLog.Locate(ctx, sse.Start{}, sse.Selection{})
		if err != nil {
			return nil, err
		}
		for _, entry := range entries[:min(1, len(entries))] {
			entry.Position = sse.Position{Epoch: end.Epoch, Seq: end.Seq + 1, Check: entry.Check()}
			show(entry)
		}
		if waiting.TryLock() {
			synctest.Wait()
			waiting.Unlock()
		}
		return b.EventLog.Append(ctx, entries...)
	}
	b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
		return func(yield func(sse.Entry, error) bool) {
			seen := after.Seq
			for ctx.Err() == nil {
				mu.Lock()
				entry, wake := next, changed
				mu.Unlock()
				page, _ := b.ask(ctx, query{after: sse.Position{Seq: seen}, sel: everything(), limit: 1})
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

// onFollow breaks what is yielded; change reports whether it is at all.
func onFollow(change func(e *sse.Entry) bool) func(b *broken) {
	return func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			return func(yield func(sse.Entry, error) bool) {
				for entry, err := range b.EventLog.Follow(ctx, after) {
					if change(&entry) && !yield(entry, err) {
						return
					}
				}
			}
		}
	}
}

var followFaults = []fault{
	{"shows entries before they are kept", "append/visible-when-kept", visibleBeforeKept},
	{"misses what comes between catching up and waiting", "follow/appended-meanwhile",
		func(b *broken) { b.follow = followWithASeam(b) }},
	{"follows from the end only", "follow/from", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			end, _ := b.EventLog.Locate(ctx, sse.Start{}, sse.Selection{})
			return b.EventLog.Follow(ctx, end)
		}
	}},
	{"follows from the entry itself", "follow/again", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			after.Seq = max(after.Seq, 1) - 1
			return b.EventLog.Follow(ctx, after)
		}
	}},
	{"follows only events with a topic", "follow/from", onFollow(func(e *sse.Entry) bool {
		return len(e.Topics) == 0 || e.Topics[0] != ""
	})},
	{"shows another position to those that follow", "append/one-place",
		onFollow(func(e *sse.Entry) bool {
			e.Position.Check = 0
			return true
		})},
	{"does not end with its context", "follow/ends", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			// Long after the kit has lost its patience it does end.
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
			return func(yield func(sse.Entry, error) bool) {
				defer cancel()
				b.EventLog.Follow(late, after)(yield)
			}
		}
	}},
	{"ends with an error of its own", "follow/ends", func(b *broken) {
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			return func(yield func(sse.Entry, error) bool) {
				for entry, err := range b.EventLog.Follow(ctx, after) {
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
	{"can be followed once", "follow/break", func(b *broken) {
		var busy atomic.Bool
		good := b.EventLog
		b.follow = func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
			return func(yield func(sse.Entry, error) bool) {
				if busy.Swap(true) {
					yield(sse.Entry{}, errors.New("busy"))
					return
				}
				good.Follow(ctx, after)(yield)
			}
		}
	}},
}

// followWithASeam shows what there is, and then waits for what is appended after
// that; not for what was appended meanwhile.
func followWithASeam(b *broken) func(context.Context, sse.Position) iter.Seq2[sse.Entry, error] {
	return func(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
		return func(yield func(sse.Entry, error) bool) {
			page, _ := b.ask(ctx, query{after: after, sel: everything(), limit: 1 << 30})
			for _, entry := range page.Entries {
				if !yield(entry, nil) {
					return
				}
			}
			end, err := b.EventLog.Locate(ctx, sse.Start{}, sse.Selection{})
			if err != nil {
				yield(sse.Entry{}, err)
				return
			}
			b.EventLog.Follow(ctx, end)(yield)
		}
	}
}
