package disklog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
	"github.com/sse-go/sse/internal/testrand"
)

// tripwire is a file system in memory that calls trip before and after some
// operations of a log. What was not synced until then can be thrown away there.
type tripwire struct {
	*vfs.MemFS
	trip atomic.Pointer[func(op string)]
}

func (w *tripwire) pull(op, name string) {
	if trip := w.trip.Load(); trip != nil {
		(*trip)(op + " " + kindOf(name))
	}
}

// kindOf is what a file of the store is.
func kindOf(name string) string {
	base := filepath.Base(name)
	switch ext := filepath.Ext(base); {
	case ext == ".log" || ext == ".sst":
		return ext
	case strings.HasPrefix(base, "MANIFEST"):
		return "MANIFEST"
	case strings.HasPrefix(base, "marker"):
		return "marker"
	}
	return base
}

func (w *tripwire) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	w.pull("before create", name)
	f, err := w.MemFS.Create(name, category)
	w.pull("after create", name)
	return &tripFile{f, w, name}, err
}

func (w *tripwire) ReuseForWrite(
	oldname, newname string, category vfs.DiskWriteCategory,
) (vfs.File, error) {
	w.pull("before reuse", newname)
	f, err := w.MemFS.ReuseForWrite(oldname, newname, category)
	w.pull("after reuse", newname)
	return &tripFile{f, w, newname}, err
}

func (w *tripwire) Remove(name string) error {
	w.pull("before remove", name)
	defer w.pull("after remove", name)
	return w.MemFS.Remove(name)
}

func (w *tripwire) Rename(oldname, newname string) error {
	w.pull("before rename", newname)
	defer w.pull("after rename", newname)
	return w.MemFS.Rename(oldname, newname)
}

type tripFile struct {
	vfs.File
	wire *tripwire
	name string
}

func (f *tripFile) Sync() error {
	f.wire.pull("before sync", f.name)
	defer f.wire.pull("after sync", f.name)
	return f.File.Sync()
}

func (f *tripFile) SyncData() error {
	f.wire.pull("before sync", f.name)
	defer f.wire.pull("after sync", f.name)
	return f.File.SyncData()
}

// crashes lets publishers append until the machine has crashed often enough, and
// looks after each crash whether what was acknowledged is there.
type crashes struct {
	disk  *tripwire
	opts  disklog.Options
	limit int64    // entries that retention keeps; zero: all
	need  []string // operations at which there must be a crash

	mu    sync.Mutex // guards the following
	acked []sse.Entry
	seen  map[string]int // crashes by operation
	total int
	lost  error // what was found, at first
	rng   *rand.Rand
}

// crash makes the machine crash now: some of what was not synced is gone.
func (c *crashes) crash(op string) {
	const often = 4
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil || c.seen[op] >= often {
		return
	}
	if strings.HasSuffix(op, "sync .log") && c.rng.IntN(500) > 0 {
		return // they come all the time
	}
	c.seen[op]++
	c.total++
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 30, 100}[c.seen[op]-1], RNG: c.rng}
	if err := c.verify(c.disk.CrashClone(cfg)); err != nil {
		c.lost = fmt.Errorf("crash at %s, of what was not synced %d %% is kept: %w",
			op, cfg.UnsyncedDataPercent, err)
	}
}

// verify opens what is left, and looks for all that was acknowledged.
func (c *crashes) verify(left vfs.FS) error {
	opts := c.opts
	opts.FS = left
	l, err := disklog.Open(dir, &opts)
	if err != nil {
		return err
	}
	defer l.Close()
	return holds(l, c.acked, c.limit)
}

// holds reports what is wrong with a log that has acknowledged these entries, and
// may have removed all but the newest.
func holds(l *disklog.Log, acked []sse.Entry, limit int64) error {
	ctx := context.Background()
	page, err := l.Read(ctx, sse.Position{}, sse.Position{}, everything, 1<<30)
	if err != nil {
		return err
	}
	found := map[uint64]sse.Entry{}
	data := map[string]bool{}
	last := uint64(0)
	for _, e := range page.Entries {
		if e.Position.Seq <= last || data[e.Event.Data] {
			return fmt.Errorf("%s after %d, or twice", show(e), last)
		}
		last = e.Position.Seq
		data[e.Event.Data] = true
		found[last] = e
	}
	for _, want := range acked {
		e, ok := found[want.Position.Seq]
		switch {
		case ok && (e.Position != want.Position || e.Event != want.Event):
			return fmt.Errorf("%s, not %s", show(e), show(want))
		case ok:
		case page.Lost.Seq < want.Position.Seq:
			return fmt.Errorf("%s is missing, and not told", show(want))
		case limit == 0 || want.Position.Seq+uint64(limit) > last:
			return fmt.Errorf("%s is missing, and need not be", show(want))
		}
	}
	return nil
}

func show(e sse.Entry) string {
	return fmt.Sprintf("number %d, %.40q", e.Position.Seq, e.Event.Data)
}

// publish appends until ctx is done, or the log is closed.
func (c *crashes) publish(ctx context.Context, l *disklog.Log, name string) error {
	for n := 0; ctx.Err() == nil; n++ {
		e := entry(fmt.Sprintf("%s %d %s", name, n, strings.Repeat("x", 2000)), name, "all")
		positions, err := l.Append(ctx, e)
		if err != nil {
			return err
		}
		e.Position = positions[0]
		c.mu.Lock()
		c.acked = append(c.acked, e)
		c.mu.Unlock()
	}
	return nil
}

// run returns what was lost, after so many crashes at least.
func (c *crashes) run(t *testing.T, open func(string, *disklog.Options) (*disklog.Log, error)) error {
	c.disk = &tripwire{MemFS: vfs.NewCrashableMem()}
	c.seen = map[string]int{}
	c.rng = testrand.New(t)
	c.opts.Reserve = 1 << 20 // and so little in memory that much goes to tables
	c.opts.Logger = quiet
	opts := c.opts
	opts.FS = c.disk
	l, err := open(dir, &opts)
	if err != nil {
		t.Fatal(err)
	}
	trip := c.crash
	c.disk.trip.Store(&trip)
	ctx, cancel := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	for i := range 50 {
		publishers.Add(1)
		go func() {
			defer publishers.Done()
			err := c.publish(ctx, l, fmt.Sprint("publisher-", i))
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
	}
	// The log itself says when it has written enough: many times what a
	// write-ahead log holds, at least.
	for e, err := range l.Follow(ctx, sse.Position{}) {
		if err != nil {
			t.Error(err)
		}
		if c.enough(e.Position.Seq) {
			break
		}
	}
	cancel()
	publishers.Wait()
	c.disk.trip.Store(nil)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d crashes: %v", c.total, c.seen)
	return c.lost
}

// enough reports whether there was every kind of crash, or a loss.
func (c *crashes) enough(seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := slices.ContainsFunc(c.need, func(op string) bool { return c.seen[op] == 0 })
	return c.lost != nil || seq >= 4000 && !missing
}

// TestPowerFailure loses what was not synced: at appends, when the write-ahead log
// begins anew, and while entries are removed.
func TestPowerFailure(t *testing.T) {
	t.Run("everything is kept", func(t *testing.T) {
		c := &crashes{need: []string{"after sync .log", "before reuse .log", "after sync .sst"}}
		if err := c.run(t, disklog.Open); err != nil {
			t.Error(err)
		}
	})
	t.Run("with retention", func(t *testing.T) {
		c := &crashes{limit: 1000, need: []string{"before remove .sst", "after remove .sst"}}
		c.opts.Retention = []disklog.Retention{{Count: c.limit}}
		if err := c.run(t, disklog.Open); err != nil {
			t.Error(err)
		}
	})
	t.Run("a log that does not sync", func(t *testing.T) {
		c := &crashes{}
		err := c.run(t, disklog.OpenWithoutSync)
		if err == nil {
			t.Fatal("nothing is lost without a sync: this test finds nothing")
		}
		t.Log(err)
	})
}
