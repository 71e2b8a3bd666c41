package sse

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// Who resumes gets exactly what there is for it, and no more is allocated when there
// is more of what it does not get.
func TestResumeCost(t *testing.T) {
	measure := func(groups int) map[string]float64 {
		b := &Broker{Retention: Retention{Events: -1, Bytes: -1}}
		publishRare(t, b, 0)
		fill(t, b, groups*1000, groups, 100)
		costs := make(map[string]float64)
		for _, r := range resumes(t, b) {
			if got, want := taken(t, b, r, 10), keptFor(t, b, r, 10); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", r.name, got, want)
			}
			costs[r.name] = testing.AllocsPerRun(100, func() { take(t, b, r.sel, r.start, 10) })
		}
		return costs
	}
	few, many := measure(1), measure(20)
	for name, cost := range many {
		if cost > few[name]+3 { // slices grow in steps
			t.Errorf("%s: %v allocations, but %v with a 20th of the events", name, cost, few[name])
		}
	}
}

// taken is what a subscriber gets: the ids of n events.
func taken(t *testing.T, b *Broker, r resume, n int) []string {
	t.Helper()
	var ids []string
	for event, err := range b.Subscribe(context.Background(), r.sel, r.start) {
		if err != nil {
			t.Fatal(err)
		}
		if ids = append(ids, event.ID); len(ids) == n {
			break
		}
	}
	return ids
}

// keptFor is what it ought to get, by looking at everything.
func keptFor(t *testing.T, b *Broker, r resume, n int) []string {
	t.Helper()
	var ids []string
	for _, e := range b.core.win.entries {
		if r.sel.Match(e.names()) && e.seq > r.start.After.Seq {
			ids = append(ids, e.position(b.core.win.epoch).String())
		}
	}
	if r.start.Last > 0 {
		return ids[len(ids)-r.start.Last:]
	}
	return ids[:n]
}

// An event is written to those who have selected it, and to nobody else.
func TestPublishReachesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newNowhere()
		b := &Broker{Park: true, Stream: AcceptOptions{Heartbeat: -1}}
		b.core.loops.create = func() (poller, error) { return to, nil }
		subscribeNowhere(t, b, 1000, func(i int) string { return fmt.Sprint("topic-", i) })
		synctest.Wait()
		before := to.written.Load()
		mustPublish(t, b, "topic-5")
		mustPublish(t, b, "nobody's")
		synctest.Wait()
		if n := to.written.Load() - before; n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
