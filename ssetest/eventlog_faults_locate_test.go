package ssetest_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
)

// onStart returns a function that breaks a log: Locate changes its arguments.
func onStart(change func(start *sse.Start, sel *sse.Selection)) func(b *broken) {
	return func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			change(&start, &sel)
			return b.position(ctx, start, sel)
		}
	}
}

// onGap returns a function that breaks a log: if Locate returns a gap, it changes the
// gap, or the position that it returns with the gap.
func onGap(change func(p *sse.Position, gap *sse.Gap)) func(b *broken) {
	return func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.position(ctx, start, sel)
			var gap *sse.Gap
			if errors.As(err, &gap) {
				change(&p, gap)
			}
			return p, err
		}
	}
}

// accepting returns a function that breaks a log: Locate accepts positions for which it
// must return a gap with the given Why.
func accepting(why sse.GapReason) func(b *broken) {
	return func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.position(ctx, start, sel)
			var gap *sse.Gap
			if errors.As(err, &gap) && gap.Why == why {
				return start.After, nil
			}
			return p, err
		}
	}
}

var locateFaults = []fault{
	{"accepts a position of another epoch", "locate/epoch", accepting("epoch")},
	{"accepts a position beyond the end", "locate/future", accepting("future")},
	{"accepts a position with a wrong check", "locate/check", accepting("check")},
	{"accepts an unknown id", "locate/id", accepting("unknown")},
	{"the gap has a wrong Why", "locate/epoch", onGap(func(p *sse.Position, gap *sse.Gap) {
		gap.Why = sse.GapTrimmed
	})},
	{"the gap comes without a position", "locate/id", onGap(func(p *sse.Position, gap *sse.Gap) {
		*p = sse.Position{}
	})},
	{"the gap has no Asked", "locate/id", onGap(func(p *sse.Position, gap *sse.Gap) {
		gap.Asked = ""
	})},
	{"does not find the ids of applications", "locate/id", onStart(func(start *sse.Start, sel *sse.Selection) {
		if start.ID != "" {
			start.ID = "unknown"
		}
	})},
	{"finds ids of topics that are not selected", "locate/id",
		onStart(func(start *sse.Start, sel *sse.Selection) {
			if start.ID != "" {
				*sel = everything()
			}
		})},
	{"finds the latest event with an id", "locate/id", func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.position(ctx, start, sel)
			page, _ := b.readCorrect(ctx, query{sel: sel, limit: 1 << 30})
			for _, entry := range page.Entries {
				if err == nil && start.ID != "" && entry.Event.ID == start.ID {
					p = entry.Position
				}
			}
			return p, err
		}
	}},
	{"Last begins one event too early", "locate/last", onStart(func(start *sse.Start, sel *sse.Selection) {
		if start.Last > 0 {
			start.Last++
		}
	})},
	{"Last counts events that are not selected", "locate/last",
		onStart(func(start *sse.Start, sel *sse.Selection) {
			if start.Last > 0 {
				*sel = everything()
			}
		})},
	{"Time excludes events at that time", "locate/time", onStart(func(start *sse.Start, sel *sse.Selection) {
		if !start.Time.IsZero() {
			start.Time = start.Time.Add(1)
		}
	})},
	{"the zero Start begins with the last event", "locate/end", onStart(func(start *sse.Start, sel *sse.Selection) {
		if *start == (sse.Start{}) {
			start.Last = 1
		}
	})},
	{"refuses the position of an event that was removed", "retention/resume", func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.position(ctx, start, sel)
			page, _ := b.readCorrect(ctx, query{sel: everything()})
			if err == nil && start.After.Seq > 0 && start.After.Seq < page.Lost.Seq {
				err = &sse.Gap{Asked: p.String(), Available: page.Lost.String(), Why: sse.GapTrimmed}
			}
			return p, err
		}
	}},
	{"Earliest begins before the first stored event", "retention/start", func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.position(ctx, start, sel)
			if start.Earliest && err == nil {
				p = sse.Position{Epoch: p.Epoch}
			}
			return p, err
		}
	}},
	{"Read returns no entries", "retention/none", func(b *broken) {
		correct := b.correct
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := correct.readCorrect(ctx, q)
			page.Entries = nil
			return page, err
		}
	}},
}

// TestEventLogFindsFaultsOfReopening checks that TestEventLog rejects logs whose file
// is changed before Reopen opens it. Each change stands for a fault of the log.
func TestEventLogFindsFaultsOfReopening(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: runs the cases with Reopen on a disk once for each fault")
	}
	epoch := []byte("{\"epoch\":7}\n")
	for _, f := range []struct {
		name, failing string
		tamper        func(lines [][]byte) [][]byte
	}{
		{"draws another epoch", "reopen/entries", func(lines [][]byte) [][]byte {
			return append(lines, epoch)
		}},
		{"draws the epoch with the first entry", "reopen/empty",
			func(lines [][]byte) [][]byte {
				if len(lines) == 1 {
					return [][]byte{epoch}
				}
				return lines
			}},
		{"loses the newest entry and reuses its number", "reopen/numbers",
			func(lines [][]byte) [][]byte { return lines[:max(1, len(lines)-1)] }},
		{"loses everything except its epoch", "reopen/lost", func(lines [][]byte) [][]byte {
			return lines[:1]
		}},
		{"changes the ids of applications", "reopen/ids", func(lines [][]byte) [][]byte {
			for i := range lines {
				lines[i] = bytes.Replace(lines[i], []byte(`"id":"`), []byte(`"id":"x`), 1)
			}
			return lines
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wantFailure(t, (&files{tamper: f.tamper}).options(), "reopen/", f.failing)
			})
		})
	}
	t.Run("accepts the positions of lost entries", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &files{}
			opts := breakWith(f.options(), accepting("check"))
			opts.Reopen = nil
			lose := f.options().Lose
			opts.Lose = func(t testing.TB, log sse.EventLog, n int) sse.EventLog {
				b := &broken{correct: correct{lose(t, log, n)}}
				accepting("check")(b)
				return b
			}
			wantFailure(t, opts, "reopen/", "reopen/lost-entries")
		})
	})
}
