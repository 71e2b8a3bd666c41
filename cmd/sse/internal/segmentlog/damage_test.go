package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

// damageScript makes a log with sealed segments, rewritten ones, files of keys, loss
// marks, and a tail.
var damageScript = []string{
	"append", "keyed", "append", "later", "append", "append", "keyed", "append", "append",
	"append", "later", "append", "append", "append", "append", "keyed", "append",
	"delete", "trim", "append", "append", "append", "later", "append", "append", "keyed",
	"append", "append", "append", "delete", "trim", "append", "keyed", "append", "append",
}

// damaged is a log of which a file was damaged.
type damaged struct {
	crashing
	file   string          // the damaged file
	result map[[2]int]bool // the entries that are lost
	told   []string        // all that the log has reported
}

// newDamaged returns a log that was closed, or whose process was killed: while it did
// nothing, or between two steps of the rewriting of a segment.
func newDamaged(ctx context.Context, how string) (*damaged, error) {
	d := &damaged{}
	d.open, d.rng = segmentlog.Prepare, testrand.WithSeed(1)
	d.disk = faultfs.New(faultfs.Options{})
	d.model.now = time.Unix(1e9, 0)
	d.opts = segmentlog.Options{
		SegmentSize: 1500, Reserve: 100, KeyWindow: keyWindow * 100, Now: d.now,
		Logger: slog.New(&d.said), Fatal: func(err error) { panic(err) },
	}
	rewriting := d.killRewriting()
	err := d.reopen(ctx)
	for i, name := range damageScript {
		if err == nil {
			err = d.step(ctx, name, testrand.WithSeed(uint64(i)))
			synctest.Wait()
		}
	}
	if err == nil {
		err = errors.Join(d.rewrite(ctx), d.verify(ctx))
	}
	synctest.Wait()
	if err == nil {
		left := map[string]*faultfs.FS{
			"close": d.disk, "kill": d.disk.Kill(), "kill while rewriting": rewriting(),
		}
		err = d.setGone(ctx, d.log.Close)
		d.disk = left[how]
	}
	d.said.take()
	return d, err
}

// killRewriting returns a function that returns the disk as it was when the log had last
// rewritten a segment, but its state did not name the new file.
func (d *damaged) killRewriting() func() *faultfs.FS {
	var mu sync.Mutex // guards the following
	var killed *faultfs.FS
	renamed := false
	d.disk.Hook(func(_ int, op, name string) {
		mu.Lock()
		defer mu.Unlock()
		if renamed {
			killed = d.disk.Kill()
		}
		renamed = op == "rename" && strings.HasSuffix(name, "-1.events.new")
	})
	return func() *faultfs.FS {
		mu.Lock()
		defer mu.Unlock()
		return killed
	}
}

// rewrite makes the log rewrite a segment, and appends a few entries to the tail.
func (d *damaged) rewrite(ctx context.Context) error {
	rng := testrand.WithSeed(3)
	for i := range 30 {
		n := d.request(rng, "")
		for j := range d.model.requests[n].entries {
			e := &d.model.requests[n].entries[j]
			e.Topics, e.Event.Data = []string{"d"}, e.Event.Data[:min(len(e.Event.Data), 200)]
			if (i+j)%4 == 0 {
				e.Topics = []string{"a/2"}
			}
		}
		if err := d.append(ctx, n); err != nil {
			return err
		}
	}
	err := errors.Join(d.delete(ctx, "d"), d.trim(ctx))
	for i := range 5 {
		n := d.request(rng, fmt.Sprint("late key ", rng.Uint64()))
		for j := range d.model.requests[n].entries {
			e := &d.model.requests[n].entries[j]
			e.Event.Data = e.Event.Data[:min(len(e.Event.Data), 20)]
		}
		if i < 2 {
			d.model.requests[n].entries[0].Topics = []string{"c/1"}
		}
		err = errors.Join(err, d.append(ctx, n))
	}
	return errors.Join(err, d.delete(ctx, "c/1"))
}

// copy returns a copy of the log with a damaged file.
func (d *damaged) copy(damage func(*faultfs.FS)) *damaged {
	c := &damaged{file: d.file}
	c.open, c.opts, c.epoch, c.model = d.open, d.opts, d.epoch, d.model.clone()
	c.rng = testrand.WithSeed(2)
	c.opts.Logger, c.opts.Now = slog.New(&c.said), c.now
	c.disk = d.disk.Kill()
	damage(c.disk)
	return c
}

// TestDamage damages each file of a log in many ways.
func TestDamage(t *testing.T) {
	for _, how := range []string{"close", "kill", "kill while rewriting"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := newDamaged(t.Context(), how)
				if err != nil {
					t.Fatal(err)
				}
				kinds := map[string]int{}
				for _, d.file = range d.disk.Files() {
					kinds[filepath.Ext(d.file)]++
					if strings.HasSuffix(d.file, "-1.events") {
						kinds["rewritten"]++
					}
					d.damageFile(t)
				}
				if kinds[".events"] < 5 || kinds["rewritten"] == 0 || kinds[".keys"] < 2 {
					t.Errorf("the log has these files: %v", kinds)
				}
			})
		})
	}
}

// damageFile removes and truncates the file, and flips bits in it.
func (d *damaged) damageFile(t *testing.T) {
	size := int64(len(d.disk.ReadFile(d.file)))
	d.try(t, "removed", func(f *faultfs.FS) { f.Delete(d.file) })
	for i := range min(size, 10) {
		to := size * i / 10
		d.try(t, fmt.Sprint("cut to ", to), func(f *faultfs.FS) { f.Cut(d.file, to) })
	}
	if strings.HasSuffix(d.file, "/state") {
		d.try(t, "damaged, without the reserve", func(f *faultfs.FS) {
			f.Flip(d.file, size/2, 0)
			f.Delete(crashDir + "/reserve")
		})
	}
	for i, off := range places(size) {
		if testing.Short() && i%10 != 0 {
			continue
		}
		d.try(t, fmt.Sprint("a bit at ", off), func(f *faultfs.FS) {
			f.Flip(d.file, off, int(off%8))
		})
	}
}

// places returns offsets in a file: some in the headers at its beginning, in the trailer
// at its end, and between them.
func places(size int64) []int64 {
	all := map[int64]bool{}
	const n = 13
	for i := range int64(n) {
		for _, off := range []int64{i * 7, size * i / n, size - 1 - i*11} {
			if off >= 0 && off < size {
				all[off] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// try opens a damaged copy of the log twice.
func (d *damaged) try(t *testing.T, what string, damage func(*faultfs.FS)) {
	t.Helper()
	c := d.copy(damage)
	if err := c.check(t.Context()); err != nil {
		t.Errorf("%s %s: %v", filepath.Base(d.file), what, err)
	}
}

// check opens the log twice, and compares it with the model.
func (d *damaged) check(ctx context.Context) error {
	before := contentsOf(d.disk)
	err := d.openDamaged()
	if err != nil {
		if err := d.checkRefusal(err, before); err != nil {
			return err
		}
		d.opts.NewEpoch = true
		if err := d.openDamaged(); err != nil {
			return fmt.Errorf("with NewEpoch: %w", err)
		}
	}
	err = d.checkLog(ctx)
	if err == nil {
		err = d.append(ctx, d.request(testrand.WithSeed(5), ""))
	}
	if err := errors.Join(err, d.end()); err != nil {
		return err
	}
	lostBefore := d.result
	d.opts.NewEpoch = false
	if err := d.openDamaged(); err != nil {
		return fmt.Errorf("second open: %w", err)
	}
	err = d.checkLog(ctx)
	for at := range d.result {
		if !lostBefore[at] {
			err = errors.Join(err, fmt.Errorf("%v is lost when the log is opened again", at))
		}
	}
	if err == nil {
		err = d.checkKeys(ctx)
	}
	return errors.Join(err, d.end())
}

func (d *damaged) openDamaged() (err error) {
	d.opts.FS = d.disk
	d.log, err = segmentlog.Open(crashDir, &d.opts)
	return err
}

func contentsOf(disk *faultfs.FS) map[string]string {
	all := map[string]string{}
	for _, name := range disk.Files() {
		all[name] = string(disk.ReadFile(name))
	}
	return all
}

// checkRefusal checks that an error of Open names the damaged file, and that Open has
// changed nothing.
func (d *damaged) checkRefusal(err error, before map[string]string) error {
	var badState *segmentlog.StateError
	var badKey *segmentlog.MissingKeyError
	if !errors.As(err, &badState) && !errors.As(err, &badKey) {
		return fmt.Errorf("the error is %T: %w", err, err)
	}
	if !strings.Contains(err.Error(), d.file) {
		return fmt.Errorf("the error does not name the file: %w", err)
	}
	after := contentsOf(d.disk)
	for name := range after {
		if before[name] != after[name] {
			return fmt.Errorf("Open has failed, and has changed %s", name)
		}
	}
	if len(before) != len(after) {
		return fmt.Errorf("Open has failed, and the files are %v", after)
	}
	return nil
}

// checkLog compares the log with the model. It sets the result: the entries that are
// lost.
func (d *damaged) checkLog(ctx context.Context) error {
	d.result = map[[2]int]bool{}
	selections := []sse.Selection{{Patterns: []sse.Pattern{mustPattern("*/1")}}}
	for _, topic := range crashTopics {
		selections = append(selections, sse.Selection{Topics: []string{topic}})
	}
	selections = append(selections, anything)
	pages := make([]sse.Page, len(selections))
	for i, sel := range selections {
		var err error
		pages[i], err = d.log.Read(ctx, sse.ReadRequest{Selection: sel, Limit: 1 << 30})
		if err != nil {
			return err
		}
		synctest.Wait()
	}
	all := pages[len(pages)-1]
	if err := d.checkAll(all.Entries, all.Next.Epoch == d.epoch); err != nil {
		return err
	}
	for i, sel := range selections {
		want := selected(all.Entries, &sel)
		if !slices.EqualFunc(pages[i].Entries, want, sameEntry) {
			return fmt.Errorf("%v has %d entries, want %d", sel, len(pages[i].Entries), len(want))
		}
		if all.Next.Epoch == d.epoch {
			if err := d.checkLost(&sel, pages[i].Lost.Seq); err != nil {
				return err
			}
		}
	}
	if err := d.checkReport(all.Next.Epoch == d.epoch); err != nil {
		return err
	}
	return d.checkPlaces(ctx, &all)
}

// checkAll compares all entries with the model.
func (d *damaged) checkAll(all []sse.Entry, sameEpoch bool) error {
	there := map[[2]int]bool{}
	last := uint64(0)
	for i := range all {
		e := all[i]
		n, j, err := d.model.entryOf(&e)
		if err != nil {
			return err
		}
		r := &d.model.requests[n]
		if !sameEpoch {
			e.Position = sse.Position{Seq: e.Position.Seq}
			r.at = slices.Clone(r.at)
			r.at[j].Check = 0
		}
		if r.gone&(1<<j) != 0 && d.stateLost() {
			r.gone &^= 1 << j // the log has reported it
		}
		if _, _, err := d.model.check(&e); err != nil {
			return err
		}
		if e.Position.Seq <= last {
			return fmt.Errorf("%d.%d at %v is out of order", n, j, e.Position)
		}
		last = e.Position.Seq
		there[[2]int{n, j}] = true
	}
	return d.model.each(func(r *crashRequest, n, i int) error {
		if at := [2]int{n, i}; !there[at] && r.gone&(1<<i) == 0 {
			d.result[at] = true
		}
		return nil
	})
}

// stateLost reports whether the log had to be opened without a state.
func (d *damaged) stateLost() bool { return d.opts.NewEpoch && strings.HasSuffix(d.file, "/state") }

// checkLost checks that a reader of a selection learns of each entry that is lost.
func (d *damaged) checkLost(sel *sse.Selection, lost uint64) error {
	for at := range d.result {
		r := &d.model.requests[at[0]]
		if seq := r.at[at[1]].Seq; sel.Match(r.entries[at[1]].Topics) && seq > lost {
			return fmt.Errorf("%v at %d is lost for %v, and Lost is %d", at, seq, sel, lost)
		}
	}
	return nil
}

// checkReport checks that a loss was logged, with the file.
func (d *damaged) checkReport(sameEpoch bool) error {
	said := d.said.take()
	d.told = append(d.told, said...)
	named := slices.ContainsFunc(d.told, func(text string) bool {
		return strings.Contains(text, filepath.Base(d.file))
	})
	if len(d.result) > 0 && !named && !d.opts.NewEpoch {
		return fmt.Errorf("the loss of %v is not logged: %v", d.result, said)
	}
	return nil
}
