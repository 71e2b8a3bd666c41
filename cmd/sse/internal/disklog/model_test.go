package disklog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
	"github.com/sse-go/sse/internal/testrand"
)

// shared is for noise where it does not matter which.
var shared = rand.New(rand.NewPCG(11, 12))

// model is what is known of a log: all entries that it has kept.
type model struct {
	*testing.T
	rng *rand.Rand
	log *disklog.Log
	all []sse.Entry
	now *clock
}

// TestModel compares a log with a list, through all the ways in which it reads:
// few and many topics, dense and rare ones, near the end and from far away.
func TestModel(t *testing.T) {
	seeds, looks := uint64(4), 15
	if soak {
		seeds, looks = 16, 50
	}
	for seed := range testrand.Seeds(t, 0, seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{T: t, rng: testrand.WithSeed(seed), now: &clock{}}
			m.now.advance(time.Hour)
			disk := vfs.NewMem()
			opts := disklog.Options{FS: disk, Reserve: -1, Now: m.now.now}
			if seed%2 == 1 {
				opts.Retention = []disklog.Retention{
					{Pattern: pattern("rare/**"), Age: 100 * time.Second},
					{Pattern: pattern("often/*"), Count: 30},
					{Count: 3000},
				}
			}
			m.log = open(t, dir, opts)
			for range 8 {
				m.append(1000)
				if m.rng.IntN(2) == 0 {
					if err := m.log.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				m.forget()
				for range looks {
					m.read()
					m.locate()
				}
				if m.rng.IntN(3) == 0 {
					if err := m.log.Close(); err != nil {
						t.Fatal(err)
					}
					m.log = open(t, dir, opts)
				}
			}
		})
	}
}

func (m *model) topic() string {
	switch m.rng.IntN(10) {
	case 0:
		return fmt.Sprintf("rare/%d/%d", m.rng.IntN(300), m.rng.IntN(3))
	case 1:
		return ""
	case 2, 3, 4:
		return fmt.Sprint("often/", m.rng.IntN(5))
	}
	return fmt.Sprint("room/", m.rng.IntN(40))
}

func (m *model) append(n int) {
	for n > 0 {
		some := make([]sse.Entry, 1+m.rng.IntN(20))
		for i := range some {
			m.now.advance(time.Duration(m.rng.IntN(int(time.Second))) - 100*time.Millisecond)
			some[i] = sse.Entry{Time: m.now.now(), Topics: []string{m.topic()}}
			for m.rng.IntN(5) == 0 {
				some[i].Topics = append(some[i].Topics, m.topic())
			}
			some[i].Event.Data = fmt.Sprint(m.rng.Uint64())
			if m.rng.IntN(3) == 0 {
				some[i].Event.ID = fmt.Sprint(m.rng.IntN(500))
			}
		}
		m.all = append(m.all, put(m, m.log, some...)...)
		n -= len(some)
	}
}

// forget removes from the list what the log has removed, as Follow tells.
func (m *model) forget() {
	if err := m.log.Trim(); err != nil {
		m.Fatal(err)
	}
	var kept []sse.Entry
	known := map[uint64]sse.Entry{}
	for _, e := range m.all {
		known[e.Position.Seq] = e
	}
	last := m.all[len(m.all)-1].Position.Seq
	for e, err := range m.log.Follow(m.Context(), sse.Position{}) {
		if err != nil {
			m.Fatal(err)
		}
		if !same(e, known[e.Position.Seq]) {
			m.Fatalf("%v, want %v", e, known[e.Position.Seq])
		}
		kept = append(kept, e)
		if e.Position.Seq == last {
			break
		}
	}
	m.all = kept
	if count, _ := m.log.Entries(); count != uint64(len(kept)) {
		m.Errorf("%d entries are counted, %d are there", count, len(kept))
	}
}

func same(a, b sse.Entry) bool {
	return a.Position == b.Position && a.Time.Equal(b.Time) && a.Event == b.Event &&
		slices.Equal(a.Topics, b.Topics)
}

func (m *model) selection() sse.Selection {
	var sel sse.Selection
	for m.rng.IntN(2) == 0 {
		sel.Topics = append(sel.Topics, m.topic())
	}
	some := []string{"**", "*", "room/*", "rare/**", "rare/*/1", "*/1", "often/1", "rare/1/*", "x/**"}
	for m.rng.IntN(2) == 0 {
		sel.Patterns = append(sel.Patterns, pattern(some[m.rng.IntN(len(some))]))
	}
	return sel
}

// matching are the entries of the list that are selected, in a range.
func (m *model) matching(sel *sse.Selection, after, through uint64) []sse.Entry {
	var some []sse.Entry
	for _, e := range m.all {
		if e.Position.Seq > after && e.Position.Seq <= through && sel.Match(e.Topics) {
			some = append(some, e)
		}
	}
	return some
}

func (m *model) read() {
	sel := m.selection()
	last := m.all[len(m.all)-1].Position
	after, through := sse.Position{Seq: m.rng.Uint64N(last.Seq)}, sse.Position{}
	upto := last.Seq
	if m.rng.IntN(2) == 0 {
		upto = after.Seq + m.rng.Uint64N(last.Seq-after.Seq+1)
		through = sse.Position{Epoch: last.Epoch, Seq: upto}
	}
	want := m.matching(&sel, after.Seq, upto)
	var got []sse.Entry
	for limit := 1 + m.rng.IntN(5000); ; {
		page, err := m.log.Read(m.Context(), after, through, sel, limit)
		if err != nil {
			m.Fatal(err)
		}
		if len(page.Entries) == 0 {
			break
		}
		got = append(got, page.Entries...)
		after = page.Next
	}
	if !slices.EqualFunc(got, want, same) {
		m.Fatalf("%v up to %d: %d entries, want %d", sel, upto, len(got), len(want))
	}
}

func (m *model) locate() {
	sel := m.selection()
	last := m.all[len(m.all)-1].Position.Seq
	all := m.matching(&sel, 0, last)
	n := 1 + m.rng.IntN(200)
	m.begins(sse.Start{Last: n}, sel, all[max(0, len(all)-n):])
	m.begins(sse.Start{Earliest: true}, sel, all)

	// The times go back and forth: the first entry that is not older counts. Where
	// entries were removed, the place may be before it, so that this is told.
	t := m.all[m.rng.IntN(len(m.all))].Time
	first := slices.IndexFunc(all, func(e sse.Entry) bool { return !e.Time.Before(t) })
	if first < 0 {
		first = len(all)
	}
	m.begins(sse.Start{Time: t}, sel, all[first:])

	id := fmt.Sprint(m.rng.IntN(500))
	named := slices.IndexFunc(all, func(e sse.Entry) bool { return e.Event.ID == id })
	got, err := m.log.Locate(m.Context(), sse.Start{ID: id}, sel)
	if named < 0 && err == nil || named >= 0 && (err != nil || got != all[named].Position) {
		m.Errorf("id %q: %v %v, at %d of the list", id, got, err, named)
	}
}

// begins checks what follows the place that is found.
func (m *model) begins(start sse.Start, sel sse.Selection, want []sse.Entry) {
	p, err := m.log.Locate(m.Context(), start, sel)
	if err != nil {
		m.Fatal(err)
	}
	page, err := m.log.Read(m.Context(), p, sse.Position{}, sel, 1<<30)
	if err != nil {
		m.Fatal(err)
	}
	more := len(page.Entries) - len(want)
	if !start.Time.IsZero() && more > 0 && page.Lost.Seq > 0 {
		page.Entries = page.Entries[more:]
	}
	if !slices.EqualFunc(page.Entries, want, same) {
		m.Fatalf("%+v of %v begins after %d: %d entries, want %d",
			start, sel, p.Seq, len(page.Entries), len(want))
	}
}
