package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

// TestCopy copies the files of a log one after the other, while entries are appended. The
// copy has the entries up to one of them, in a new epoch.
func TestCopy(t *testing.T) {
	for seed := range testrand.Seeds(t, 0, 40) {
		synctest.Test(t, func(t *testing.T) {
			if err := copyLog(t.Context(), seed); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		})
	}
}

func copyLog(ctx context.Context, seed uint64) (err error) {
	rng := testrand.WithSeed(seed)
	c := &damaged{}
	c.open, c.rng, c.disk = segmentlog.Prepare, rng, faultfs.New(faultfs.Options{})
	c.model.now = time.Unix(1e9, 0)
	c.opts = segmentlog.Options{
		SegmentSize: 1500, Reserve: -1, KeyWindow: keyWindow, Now: c.now,
		Logger: slog.New(&c.said), Fatal: func(err error) { panic(err) },
	}
	err = c.reopen(ctx)
	names := []string{"append", "append", "keyed"}
	more := func(n int) {
		for range rng.IntN(n) {
			err = errors.Join(err, c.step(ctx, names[rng.IntN(len(names))], rng))
		}
	}
	more(40)
	copied := c.disk.Snapshot(crashDir, func(string) { more(6) })
	if err := errors.Join(err, c.end()); err != nil {
		return err
	}
	c.disk = copied
	if err := c.openDamaged(); err != nil {
		return err
	}
	err = c.checkCopy(ctx)
	if err == nil {
		err = errors.Join(c.append(ctx, c.request(rng, "")), c.append(ctx, c.request(rng, "")))
	}
	if err := errors.Join(err, c.end()); err != nil {
		return err
	}
	if err := c.openDamaged(); err != nil {
		return err
	}
	before := len(c.result)
	if err = c.checkLog(ctx); err == nil && len(c.result) > before {
		err = fmt.Errorf("%d entries are lost, and %d when the log is opened again", before,
			len(c.result))
	}
	return errors.Join(err, c.end())
}

// checkCopy checks that the log has the entries up to one of them.
func (d *damaged) checkCopy(ctx context.Context) error {
	if err := d.checkLog(ctx); err != nil {
		return err
	}
	page, err := d.log.Read(ctx, sse.ReadRequest{Selection: anything, Limit: 1 << 30})
	switch n := len(page.Entries); {
	case err != nil:
		return err
	case page.Next.Epoch == d.epoch:
		return errors.New("the copy has the epoch of the log")
	case n > 0 && page.Entries[n-1].Position.Seq != uint64(n):
		return fmt.Errorf("%d entries up to %v", n, page.Entries[n-1].Position)
	}
	return nil
}
