package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
	"github.com/sse-go/sse/internal/testrand"
	"os"
)

// verify compares the log with the model.
func (c *crashing) verify(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, err := c.log.Read(ctx, sse.ReadRequest{Selection: anything, Limit: 1 << 30})
	if err != nil {
		return err
	}
	if c.epoch == 0 || len(c.model.requests) == 0 {
		c.epoch = all.Next.Epoch
	}
	if all.Next.Epoch != c.epoch {
		return fmt.Errorf("a new epoch: %s", c.said.warned)
	}
	seen, err := c.model.learn(all.Entries)
	if err != nil {
		return err
	}
	lost, err := c.verifyTopics(ctx, all.Entries)
	if err != nil {
		return err
	}
	if err := c.verifyMissing(seen, lost, all.Lost.Seq); err != nil {
		return err
	}
	c.model.settled, c.model.opened = c.model.opened, len(c.model.requests)
	return errors.Join(c.verifyPlaces(ctx, all.Entries), c.verifyKeys(ctx))
}

// verifyMissing checks that the log reports each missing entry, and that a rule or a
// Delete has removed it.
func (c *crashing) verifyMissing(
	seen map[[2]int]bool, lost map[string]uint64, lostOfAll uint64,
) error {
	return c.model.each(func(r *crashRequest, n, i int) error {
		seq := r.at[i].Seq
		if seen[[2]int{n, i}] {
			return nil
		}
		for _, topic := range r.entries[i].Topics {
			if lost[topic] < seq || lostOfAll < seq {
				return fmt.Errorf("%d.%d at %d is missing in topic %q, and Lost is %d and %d",
					n, i, seq, topic, lost[topic], lostOfAll)
			}
		}
		if !c.model.mayMiss(n, i) {
			return fmt.Errorf("%d.%d at %d is missing, although no rule removes it", n, i, seq)
		}
		r.doomed |= 1 << i
		return nil
	})
}

// verifyTopics reads each topic, and returns the numbers up to which the log reports
// losses.
func (c *crashing) verifyTopics(ctx context.Context, all []sse.Entry) (map[string]uint64, error) {
	lost := map[string]uint64{}
	selections := []sse.Selection{{Patterns: []sse.Pattern{mustPattern("b/*")}}}
	for _, topic := range crashTopics {
		selections = append(selections, sse.Selection{Topics: []string{topic}})
	}
	for _, sel := range selections {
		page, err := c.log.Read(ctx, sse.ReadRequest{Selection: sel, Limit: 1 << 30})
		if err != nil {
			return nil, err
		}
		want := selected(all, &sel)
		if !slices.EqualFunc(page.Entries, want, sameEntry) {
			return nil, fmt.Errorf("%v has %d entries, want %d", sel, len(page.Entries), len(want))
		}
		for _, topic := range sel.Topics {
			lost[topic] = page.Lost.Seq
		}
	}
	return lost, nil
}

func selected(all []sse.Entry, sel *sse.Selection) (some []sse.Entry) {
	for i := range all {
		if sel.Match(all[i].Topics) {
			some = append(some, all[i])
		}
	}
	return some
}

func sameEntry(a, b sse.Entry) bool {
	return a.Position == b.Position && a.Event == b.Event && a.Time.Equal(b.Time) &&
		slices.Equal(a.Topics, b.Topics)
}

// verifyPlaces locates positions, IDs and the newest entries.
func (c *crashing) verifyPlaces(ctx context.Context, all []sse.Entry) error {
	for i := range all {
		if i%5 != 0 && i != len(all)-1 {
			continue
		}
		e := &all[i]
		starts := []sse.Start{{After: e.Position}}
		if e.Event.ID != "" {
			starts = append(starts, sse.Start{ID: e.Event.ID})
		}
		for _, start := range starts {
			page, err := c.log.Locate(ctx, start, anything)
			if err != nil || page.Gap != nil || page.Next != e.Position {
				return fmt.Errorf("%+v is at %+v, %s; want %v", start, page,
					fmt.Sprint(err), e.Position)
			}
		}
	}
	if err := c.model.each(func(r *crashRequest, n, i int) error {
		if (n+i)%7 != 0 || r.at[i].Check == 0 {
			return nil
		}
		page, err := c.log.Locate(ctx, sse.Start{After: r.at[i]}, anything)
		if err != nil || page.Gap != nil {
			return fmt.Errorf("the position %v of %d.%d is at %+v, %s", r.at[i], n, i, page,
				fmt.Sprint(err))
		}
		return nil
	}); err != nil {
		return err
	}
	return checkNewest(ctx, c.log, all)
}

// checkNewest locates the newest entries.
func checkNewest(ctx context.Context, log *segmentlog.Log, all []sse.Entry) error {
	for _, sel := range []sse.Selection{anything, {Topics: []string{"a/1", "b/1"}}} {
		want := selected(all, &sel)
		want = want[max(0, len(want)-3):]
		page, err := log.Locate(ctx, sse.Start{Last: 3}, sel)
		if err == nil {
			page, err = log.Read(ctx, sse.ReadRequest{
				After: page.Next, Selection: sel, Limit: 1 << 30,
			})
		}
		if err != nil || !slices.EqualFunc(page.Entries, want, sameEntry) {
			return fmt.Errorf("the last entries of %v: %d, %s; want %d", sel, len(page.Entries),
				fmt.Sprint(err), len(want))
		}
	}
	return nil
}

// verifyKeys repeats the requests with keys that the log must remember.
func (c *crashing) verifyKeys(ctx context.Context) error {
	var requests []crashRequest
	for n := range c.model.requests {
		if r := &c.model.requests[n]; r.replay && c.model.remembers(r) {
			requests = append(requests, *r)
		}
	}
	c.mu.Unlock() // Append asks for the time
	defer c.mu.Lock()
	for i := range requests {
		if err := c.replay(ctx, &requests[i]); err != nil {
			return err
		}
	}
	return nil
}

// crashSeeds is the number of runs.
func crashSeeds() uint64 {
	switch {
	case os.Getenv("SSE_TEST_SOAK") != "":
		return 10_000
	case testing.Short():
		return 30
	}
	return 300
}

// TestCrashes runs publishers, Delete and retention on a machine that crashes. To repeat
// a run, set SSE_TEST_SEED.
func TestCrashes(t *testing.T) {
	for seed := range testrand.Seeds(t, 0, crashSeeds()) {
		script := newCrashScript(seed)
		err := script.run(t, segmentlog.Prepare)
		if err == nil {
			continue
		}
		less := script.shrink(t, segmentlog.Prepare)
		t.Fatalf("seed %d: %v\nof %d steps, these are needed: %v: %v", seed, err,
			len(script.steps), less, less.run(t, segmentlog.Prepare))
	}
}

// noSyncDir is a file system on which the names of files are not synced.
type noSyncDir struct{ vfs.FS }

func (noSyncDir) SyncDir(string) error { return nil }

// TestCrashesFindFlaws shows that TestCrashes fails if the log is wrong.
func TestCrashesFindFlaws(t *testing.T) {
	for name, open := range map[string]opener{
		"appends do not sync":      segmentlog.PrepareWithoutSync,
		"a torn group is accepted": segmentlog.PrepareWithoutSums,
		"directories are not synced": func(dir string, o *segmentlog.Options) (
			*segmentlog.Prepared, error) {
			flawed := *o
			flawed.FS = noSyncDir{o.FS}
			return segmentlog.Prepare(dir, &flawed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2000) { // a torn group is accepted in about one run of 70
				if err := newCrashScript(seed).run(t, open); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no run fails")
		})
	}
}
