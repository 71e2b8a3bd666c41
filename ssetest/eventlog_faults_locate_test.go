package ssetest_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
)

// onStart breaks what Locate is asked.
func onStart(change func(start *sse.Start, sel *sse.Selection)) func(b *broken) {
	return func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			change(&start, &sel)
			return b.EventLog.Locate(ctx, start, sel)
		}
	}
}

// onGap breaks how Locate fails.
func onGap(change func(p *sse.Position, gap *sse.Gap)) func(b *broken) {
	return func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.EventLog.Locate(ctx, start, sel)
			var gap *sse.Gap
			if errors.As(err, &gap) {
				change(&p, gap)
			}
			return p, err
		}
	}
}

// takes makes Locate accept a position that is refused for a reason.
func takes(why string) func(b *broken) {
	return func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.EventLog.Locate(ctx, start, sel)
			var gap *sse.Gap
			if errors.As(err, &gap) && gap.Why == why {
				return start.After, nil
			}
			return p, err
		}
	}
}

var locateFaults = []fault{
	{"takes a position of another epoch", "locate/epoch", takes("epoch")},
	{"takes a position of the future", "locate/future", takes("future")},
	{"takes a position with another check", "locate/check", takes("check")},
	{"takes an id that it does not know", "locate/id", takes("unknown")},
	{"says a wrong reason", "locate/epoch", onGap(func(p *sse.Position, gap *sse.Gap) {
		gap.Why = "trimmed"
	})},
	{"does not say where it begins", "locate/id", onGap(func(p *sse.Position, gap *sse.Gap) {
		*p = sse.Position{}
	})},
	{"does not say what was asked", "locate/id", onGap(func(p *sse.Position, gap *sse.Gap) {
		gap.Asked = ""
	})},
	{"forgets own ids", "locate/id", onStart(func(start *sse.Start, sel *sse.Selection) {
		if start.ID != "" {
			start.ID = "forgotten"
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
			p, err := b.EventLog.Locate(ctx, start, sel)
			page, _ := b.ask(ctx, query{sel: sel, limit: 1 << 30})
			for _, entry := range page.Entries {
				if err == nil && start.ID != "" && entry.Event.ID == start.ID {
					p = entry.Position
				}
			}
			return p, err
		}
	}},
	{"begins with one too many", "locate/last", onStart(func(start *sse.Start, sel *sse.Selection) {
		if start.Last > 0 {
			start.Last++
		}
	})},
	{"counts events that are not selected", "locate/last",
		onStart(func(start *sse.Start, sel *sse.Selection) {
			if start.Last > 0 {
				*sel = everything()
			}
		})},
	{"begins after the time", "locate/time", onStart(func(start *sse.Start, sel *sse.Selection) {
		if !start.Time.IsZero() {
			start.Time = start.Time.Add(1)
		}
	})},
	{"begins with the last event", "locate/end", onStart(func(start *sse.Start, sel *sse.Selection) {
		if *start == (sse.Start{}) {
			start.Last = 1
		}
	})},
	{"refuses the position of an event that was removed", "retention/resume", func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.EventLog.Locate(ctx, start, sel)
			page, _ := b.ask(ctx, query{sel: everything()})
			if err == nil && start.After.Seq > 0 && start.After.Seq < page.Lost.Seq {
				err = &sse.Gap{Asked: p.String(), Available: page.Lost.String(), Why: "trimmed"}
			}
			return p, err
		}
	}},
	{"begins before what is kept", "retention/start", func(b *broken) {
		b.locate = func(
			ctx context.Context, start sse.Start, sel sse.Selection,
		) (sse.Position, error) {
			p, err := b.EventLog.Locate(ctx, start, sel)
			if start.Earliest && err == nil {
				p = sse.Position{Epoch: p.Epoch}
			}
			return p, err
		}
	}},
	{"keeps nothing", "retention/none", func(b *broken) {
		good := b.EventLog
		b.read = func(ctx context.Context, q query) (sse.Page, error) {
			page, err := good.Read(ctx, q.after, q.through, q.sel, q.limit)
			page.Entries = nil
			return page, err
		}
	}},
}

// TestEventLogFindsFaultsOfReopening runs the kit against logs whose file is
// changed before it is opened again.
func TestEventLogFindsFaultsOfReopening(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: a disk, and the cases of reopening for each fault")
	}
	epoch := []byte("{\"epoch\":7}\n")
	for _, f := range []struct {
		name, fails string
		tamper      func(lines [][]byte) [][]byte
	}{
		{"draws another epoch", "reopen/entries", func(lines [][]byte) [][]byte {
			return append(lines, epoch)
		}},
		{"draws an epoch when the first entry comes", "reopen/empty",
			func(lines [][]byte) [][]byte {
				if len(lines) == 1 {
					return [][]byte{epoch}
				}
				return lines
			}},
		{"forgets the newest entry, and uses its number again", "reopen/numbers",
			func(lines [][]byte) [][]byte { return lines[:max(1, len(lines)-1)] }},
		{"forgets everything but its epoch", "reopen/lost", func(lines [][]byte) [][]byte {
			return lines[:1]
		}},
		{"forgets own ids", "reopen/ids", func(lines [][]byte) [][]byte {
			for i := range lines {
				lines[i] = bytes.Replace(lines[i], []byte(`"id":"`), []byte(`"id":"x`), 1)
			}
			return lines
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fails(t, (&files{tamper: f.tamper}).options(), "reopen/", f.fails)
			})
		})
	}
	t.Run("takes lost positions", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &files{}
			opts := breakWith(f.options(), takes("check"))
			opts.Reopen = nil
			lose := f.options().Lose
			opts.Lose = func(t testing.TB, log sse.EventLog, n int) sse.EventLog {
				b := &broken{EventLog: lose(t, log, n)}
				takes("check")(b)
				return b
			}
			fails(t, opts, "reopen/", "reopen/lost-tail")
		})
	})
}
