package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

const (
	crashDir  = "/data/log"
	keyWindow = 24 * time.Hour
)

var crashTopics = []string{"a/1", "a/2", "b/1", "b/2", "c/1", "d", ""}

func mustPattern(text string) sse.Pattern {
	p, err := sse.ParsePattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

var anything = sse.Selection{Patterns: []sse.Pattern{mustPattern("**")}}

// crashRules are the rules of which a run has one set.
var crashRules = [][]segmentlog.Retention{
	nil,
	{{Count: 30}},
	{{Bytes: 6000}},
	{{Age: time.Hour}},
	{
		{Pattern: mustPattern("a/*"), Count: 4}, {Pattern: mustPattern("b/*"), Bytes: 1000},
		{Pattern: mustPattern("**"), Age: 10 * time.Hour},
	},
	{{Pattern: mustPattern("b/**"), Count: 2}, {Count: 50}},
}

// opener is [segmentlog.Prepare], or prepares a log with a flaw.
type opener func(dir string, o *segmentlog.Options) (*segmentlog.Prepared, error)

// step is a step of a run. The seed is for its random numbers.
type step struct {
	name string
	seed uint64
}

// stepNames are the steps from which a script draws.
var stepNames = []string{
	"append", "append", "append", "append", "append", "append", "burst", "burst", "burst",
	"keyed", "keyed", "retry", "delete", "trim", "trim", "later",
	"crash", "crash", "kill", "close", "prepare", "prepare",
}

// crashScript is a run that can be repeated.
type crashScript struct {
	seed  uint64
	steps []step
}

func newCrashScript(seed uint64) crashScript {
	rng := testrand.WithSeed(seed)
	s := crashScript{seed: seed}
	for range 20 + rng.IntN(60) {
		s.steps = append(s.steps, step{stepNames[rng.IntN(len(stepNames))], rng.Uint64()})
	}
	return s
}

// run runs the script in a bubble, and returns the first mistake of the log.
func (s crashScript) run(t *testing.T, open opener) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rng := testrand.WithSeed(s.seed ^ 1)
		c := &crashing{open: open, rng: rng, disk: faultfs.New(faultfs.Options{
			Seed: s.seed, TearBytes: rng.IntN(2) == 0,
		})}
		c.model.rules = crashRules[rng.IntN(len(crashRules))]
		c.model.now = time.Unix(1e9, 0)
		c.opts = segmentlog.Options{
			SegmentSize: 1000 + rng.Int64N(3000), Reserve: -1, KeyWindow: keyWindow,
			Retention: c.model.rules, Now: c.now, Logger: slog.New(&c.said),
			Fatal: func(err error) { panic(err) }, OpenFiles: 1 + rng.IntN(4),
		}
		if rng.IntN(3) == 0 {
			c.opts.LossMarks = 2
		}
		err = c.run(t.Context(), s.steps)
	})
	return err
}

// shrink returns a script that fails as well, and from which no step can be removed. It
// is not exact, because the goroutines of a log do not run in the same order each time.
func (s crashScript) shrink(t *testing.T, open opener) crashScript {
	for i := len(s.steps) - 1; i >= 0; i-- {
		less := crashScript{s.seed, slices.Delete(slices.Clone(s.steps), i, i+1)}
		if less.run(t, open) != nil {
			s = less
		}
	}
	return s
}

func (s crashScript) String() string {
	names := make([]string, len(s.steps))
	for i, step := range s.steps {
		names[i] = step.name
	}
	return strings.Join(names, " ")
}

// crashing runs a log whose machine crashes.
type crashing struct {
	open opener
	opts segmentlog.Options
	disk *faultfs.FS
	log  *segmentlog.Log
	said damageLog

	prepared *segmentlog.Prepared // by an earlier step, or nil
	epoch    uint64

	mu    sync.Mutex // guards the following
	rng   *rand.Rand // of the crash
	model crashModel
	left  int // mutating calls up to the crash; zero: no crash is planned
	how   string
	after *faultfs.FS // the disk after the crash, or nil
	then  crashModel  // the model after the crash
}

func (c *crashing) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.model.now
}

// plan makes the machine crash, or the process end, a few mutating calls later.
func (c *crashing) plan(how string, calls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 && c.after == nil {
		c.how, c.left = how, calls
	}
}

// hook is called before each mutating call.
func (c *crashing) hook(int, string, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left > 0 {
		if c.left--; c.left == 0 {
			c.crashLocked()
		}
	}
}

func (c *crashing) crashLocked() {
	c.left, c.then = 0, c.model.clone()
	switch {
	case c.how == "kill":
		c.after = c.disk.Kill()
	case c.rng.IntN(4) == 0:
		c.after = c.disk.CrashClean()
	default:
		c.after = c.disk.Crash(c.rng)
	}
}

func (c *crashing) crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.after != nil
}

// run runs the steps, and at the end crashes once more.
func (c *crashing) run(ctx context.Context, steps []step) error {
	c.disk.Hook(c.hook)
	if c.rng.IntN(2) == 0 {
		c.plan("crash", 1+c.rng.IntN(30))
	}
	err := c.reopen(ctx)
	for i := 0; i < len(steps) && err == nil; i++ {
		if err = c.step(ctx, steps[i].name, testrand.WithSeed(steps[i].seed)); err != nil {
			err = fmt.Errorf("step %d, %s: %w", i, steps[i].name, err)
		}
		synctest.Wait()
		if err == nil && c.crashed() {
			if err = c.restart(ctx); err != nil {
				err = fmt.Errorf("after step %d, %s: %w", i, c.how, err)
			}
		}
	}
	if err == nil {
		c.plan("crash", 1)
		err = c.restart(ctx)
	}
	return errors.Join(err, c.end())
}

// end closes the log, unless it could not be opened.
func (c *crashing) end() error {
	if c.log == nil {
		return nil
	}
	if err := c.log.Close(); !isFault(err) {
		return err
	}
	return nil
}

// isFault reports whether a call has failed as a test has planned it.
func isFault(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}

// restart leaves the old process behind, and opens the log that the crash has left.
func (c *crashing) restart(ctx context.Context) error {
	if err := c.end(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.after == nil {
		c.crashLocked()
	}
	c.disk, c.model, c.after = c.after, c.then, nil
	c.mu.Unlock()
	c.disk.Hook(c.hook)
	return c.reopen(ctx)
}

// reopen opens the log and compares it with the model.
func (c *crashing) reopen(ctx context.Context) error {
	c.opts.FS = c.disk
	c.said.take()
	p, err := c.open(crashDir, &c.opts)
	if err != nil {
		return err
	}
	if c.prepared != nil {
		p.Use(c.prepared)
	}
	if c.log, err = p.Open(ctx, 0); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	synctest.Wait()
	if c.crashed() {
		return c.restart(ctx)
	}
	if said := c.said.take(); len(said) > 0 {
		return fmt.Errorf("the log reports damage: %s", said[0])
	}
	return c.verify(ctx)
}

// step takes a step.
func (c *crashing) step(ctx context.Context, name string, rng *rand.Rand) error {
	switch name {
	case "append":
		return c.append(ctx, c.request(rng, ""))
	case "keyed":
		return c.append(ctx, c.request(rng, fmt.Sprint("key ", rng.Uint64())))
	case "burst":
		return c.burst(ctx, rng)
	case "retry":
		return c.retry(ctx, rng)
	case "delete":
		return c.delete(ctx, crashTopics[rng.IntN(len(crashTopics))])
	case "trim":
		return c.trim(ctx)
	case "later":
		c.mu.Lock()
		defer c.mu.Unlock()
		c.model.now = c.model.now.Add(time.Duration(rng.Int64N(int64(8 * time.Hour))))
	case "crash", "kill":
		c.plan(name, 1+rng.IntN(12))
	case "close":
		return c.close(ctx)
	case "prepare":
		var err error
		c.prepared, err = c.open(crashDir, &c.opts)
		return err
	case "verify":
		return c.verify(ctx)
	}
	return nil
}

// request adds a request to the model and returns its number.
func (c *crashing) request(rng *rand.Rand, key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.model.requests)
	r := crashRequest{key: key, keyed: c.model.now}
	count := 1
	if rng.IntN(3) == 0 {
		count += rng.IntN(8)
	}
	for i := range count {
		longest := 200
		if rng.IntN(10) == 0 {
			longest = 3000
		}
		e := sse.Entry{Time: c.model.now.Add(-time.Duration(rng.IntN(1000)))}
		e.Topics = []string{crashTopics[rng.IntN(len(crashTopics))]}
		if rng.IntN(4) == 0 {
			e.Topics = append(e.Topics, crashTopics[rng.IntN(len(crashTopics))])
		}
		e.Event.Data = fmt.Sprintf("%d.%d %s", n, i, strings.Repeat("x", rng.IntN(longest)))
		if rng.IntN(3) == 0 {
			e.Event.ID = fmt.Sprintf("id %d.%d", n, i)
		}
		r.entries = append(r.entries, e)
	}
	c.model.requests = append(c.model.requests, r)
	return n
}

// append appends a request. It must be stored.
func (c *crashing) append(ctx context.Context, n int) error {
	c.mu.Lock()
	r := c.model.requests[n]
	c.mu.Unlock()
	result, err := c.log.Append(ctx, sse.AppendRequest{Entries: r.entries, Key: r.key})
	if err != nil {
		return fmt.Errorf("append %d: %w", n, err)
	}
	if result.Replayed || len(result.Positions) != len(r.entries) {
		return fmt.Errorf("append %d: %+v", n, result)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model.requests[n].state, c.model.requests[n].at = stored, result.Positions
	c.model.setKey(n)
	return nil
}

// burst appends several requests at once.
func (c *crashing) burst(ctx context.Context, rng *rand.Rand) error {
	errs := make([]error, 2+rng.IntN(4))
	var publishers sync.WaitGroup
	for i := range errs {
		key := ""
		if rng.IntN(4) == 0 {
			key = fmt.Sprint("key ", rng.Uint64())
		}
		n := c.request(rng, key)
		publishers.Go(func() { errs[i] = c.append(ctx, n) })
	}
	publishers.Wait()
	return errors.Join(errs...)
}

// retry repeats a request with a key. If there are rules, a request that the model takes
// for a failed one may have been stored, and its entries removed by a rule. Then the log
// remembers the key, so retry does not repeat this request.
func (c *crashing) retry(ctx context.Context, rng *rand.Rand) error {
	c.mu.Lock()
	var keyed []int
	for n := range c.model.requests {
		r := &c.model.requests[n]
		if r.key != "" && (r.replay || r.state == failed && len(c.model.rules) == 0) {
			keyed = append(keyed, n)
		}
	}
	if len(keyed) == 0 {
		c.mu.Unlock()
		return nil
	}
	n := keyed[rng.IntN(len(keyed))]
	r := c.model.requests[n]
	used := slices.ContainsFunc(c.model.requests, func(other crashRequest) bool {
		return other.key == r.key && other.replay && c.model.remembers(&other)
	})
	c.mu.Unlock()
	if !used {
		return c.append(ctx, c.request(rng, r.key))
	}
	return c.replay(ctx, &r)
}

// replay repeats a request that was stored.
func (c *crashing) replay(ctx context.Context, r *crashRequest) error {
	if !r.replay {
		return nil // another request with the key was stored
	}
	got, err := c.log.Append(ctx, sse.AppendRequest{Entries: r.entries, Key: r.key})
	same := func(a, b sse.Position) bool { return a == b || b.Check == 0 && a.Seq == b.Seq }
	if err != nil || !got.Replayed || !slices.EqualFunc(got.Positions, r.at, same) {
		return fmt.Errorf("%.8q… with %s: %+v, %s; want %v", r.entries[0].Event.Data, r.key,
			got, fmt.Sprint(err), r.at)
	}
	return nil
}

// remembers reports whether the log must remember the key of a request.
func (m *crashModel) remembers(r *crashRequest) bool { return m.now.Sub(r.keyed) < keyWindow }

func (c *crashing) delete(ctx context.Context, topic string) error {
	var deleted [][2]int
	c.mu.Lock()
	_ = c.model.each(func(r *crashRequest, n, i int) error {
		if slices.Contains(r.entries[i].Topics, topic) {
			r.doomed |= 1 << i
			deleted = append(deleted, [2]int{n, i})
		}
		return nil
	})
	c.mu.Unlock()
	if err := c.log.Delete(ctx, topic, sse.Position{}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range deleted {
		c.model.requests[at[0]].gone |= 1 << at[1]
	}
	return nil
}

// trim removes entries by the rules. They must not be there again.
func (c *crashing) trim(ctx context.Context) error {
	if err := c.log.Trim(); err != nil {
		return err
	}
	return c.setGone(ctx, func() error { return nil })
}

// close closes and opens the log. Entries that were missing before must remain missing.
func (c *crashing) close(ctx context.Context) error {
	if err := c.setGone(ctx, c.log.Close); err != nil {
		return err
	}
	if c.crashed() {
		return nil
	}
	return c.reopen(ctx)
}

// setGone calls save. If it succeeds, the entries that were missing before must not be
// there again.
func (c *crashing) setGone(ctx context.Context, save func() error) error {
	page, err := c.log.Read(ctx, sse.ReadRequest{Selection: anything, Limit: 1 << 30})
	if err != nil {
		return err
	}
	if err := save(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	there := map[uint64]bool{}
	for i := range page.Entries {
		there[page.Entries[i].Position.Seq] = true
	}
	return c.model.each(func(r *crashRequest, n, i int) error {
		if !there[r.at[i].Seq] {
			r.gone |= 1 << i
		}
		return nil
	})
}
