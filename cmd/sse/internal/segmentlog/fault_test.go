package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

// faultScript is a run in which the log seals, rewrites and removes segments.
var faultScript = []string{
	"keyed", "keyed", "keyed", "append", "keyed", "keyed", "keyed", "trim", "append",
	"keyed", "delete", "append", "keyed", "keyed", "keyed", "append", "trim", "verify", "close",
	"append", "keyed", "append",
}

// faulty is a run in which some mutating calls fail.
type faulty struct {
	crashing
	width int // number of failing calls
}

// fail notes that the pending requests have failed.
func (m *crashModel) fail() {
	for n := range m.requests {
		if r := &m.requests[n]; r.state == pending {
			r.state = failed
		}
	}
}

// TestFaults runs a script again and again. Each time, other mutating calls fail.
func TestFaults(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 17 // every 17th call
	}
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for width := 1; width <= 4; width += 3 {
			for n := 1; ; n += step {
				calls, err := runFaults(t, n, width, fault)
				if err != nil {
					t.Fatalf("%v in %d calls from call %d on: %v", fault, width, n, err)
				}
				if n > calls {
					break
				}
			}
		}
	}
}

// runFaults makes width calls fail, from the nth on.
func runFaults(t *testing.T, n, width int, fault error) (calls int, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{width: width}
		f.open, f.rng = segmentlog.Prepare, testrand.WithSeed(uint64(n))
		f.disk = faultfs.New(faultfs.Options{Seed: uint64(n)})
		f.model.rules = []segmentlog.Retention{
			{Pattern: mustPattern("a/*"), Count: 3}, {Count: 30},
		}
		f.model.now = time.Unix(1e9, 0)
		f.opts = segmentlog.Options{
			SegmentSize: 1500, Reserve: 1000, KeyWindow: keyWindow, Retention: f.model.rules,
			Now: f.now, Logger: slog.New(&f.said), Fatal: func(err error) { panic(err) },
		}
		err = errors.Join(f.disk.MkdirAll(crashDir), f.disk.SyncDir("/"), f.disk.SyncDir("/data"))
		if err != nil {
			return
		}
		disk, before := f.disk, f.disk.Calls()
		for i := range width {
			f.disk.FailAt(n+i, fault)
		}
		err = f.run(t.Context())
		err = errors.Join(err, f.end())
		calls = disk.Calls() - before
	})
	return calls, err
}

// run runs the script and looks at the log.
func (f *faulty) run(ctx context.Context) error {
	if err := f.again(ctx, func() error { return f.reopen(ctx) }); err != nil {
		return err
	}
	for i, name := range faultScript {
		if err := f.faultStep(ctx, name, uint64(i)); err != nil {
			return fmt.Errorf("step %d, %s: %w", i, name, err)
		}
	}
	if err := f.verify(ctx); err != nil {
		return err
	}
	f.how = "crash"
	return f.restart(ctx)
}

// faultStep takes a step. A log that was closed with an error is opened again.
func (f *faulty) faultStep(ctx context.Context, name string, seed uint64) error {
	take := func() error { return f.step(ctx, name, testrand.WithSeed(seed)) }
	if name != "close" {
		err := f.again(ctx, take)
		if name == "append" || name == "keyed" {
			f.model.fail() // the log has cut off what was there before
		}
		return err
	}
	if err := take(); err == nil {
		return nil
	}
	return f.again(ctx, func() error { return f.reopen(ctx) })
}

// again calls do until it succeeds, which it must do as soon as the fault is over. After
// each failure, it compares the state after a crash with the model. If only one call
// fails, an entry whose Append has failed must not be there. If more calls fail, the log
// may not be able to remove the entry before the next Append.
func (f *faulty) again(ctx context.Context, do func() error) error {
	for attempt := 0; ; attempt++ {
		err := do()
		synctest.Wait()
		if err == nil && attempt > 0 {
			return f.look(ctx, "crash")
		}
		if err == nil || attempt == 5 || !isFault(err) {
			return err
		}
		if f.width == 1 {
			f.model.fail()
		}
		for _, how := range []string{"kill", "crash"} {
			if err := f.look(ctx, how); err != nil {
				return fmt.Errorf("after %w, and a %s: %w", err, how, err)
			}
		}
		time.Sleep(time.Second) // the log does not look at a full disk all the time
	}
}

// look opens the log as a crash would leave it.
func (f *faulty) look(ctx context.Context, how string) error {
	after := &crashing{
		open: f.open, opts: f.opts, rng: f.rng, epoch: f.epoch, model: f.model.clone(),
	}
	after.opts.Logger, after.opts.Now = slog.New(&after.said), after.now
	after.disk = f.disk.Kill()
	if how == "crash" {
		after.disk = f.disk.Crash(f.rng)
	}
	err := after.reopen(ctx)
	return errors.Join(err, after.end())
}
