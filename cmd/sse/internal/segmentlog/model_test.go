package segmentlog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

// model is a log with a list of all its entries.
type model struct {
	*testing.T
	rng *rand.Rand
	log *segmentlog.Log
	all []sse.Entry
	now *clock

	rules []segmentlog.Retention
}

// TestModel compares a log with a list, through all the ways in which a log is read: few
// and many topics, frequent and rare ones, near the end and far away. It crashes
// sometimes.
func TestModel(t *testing.T) {
	seeds, looks := uint64(8), 10
	switch {
	case soak:
		seeds, looks = 100, 50
	case testing.Short():
		seeds = 2
	}
	for seed := range testrand.Seeds(t, 0, seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testModel(t, seed, looks) })
	}
}

func testModel(t *testing.T, seed uint64, looks int) {
	m := &model{T: t, rng: testrand.WithSeed(seed), now: &clock{}}
	m.now.advance(time.Hour)
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1, Now: m.now.now, Logger: quiet, OpenFiles: 3}
	opts.SegmentSize = []int64{2000, 20_000, 1 << 20}[m.rng.IntN(3)]
	opts.Cache = []int64{1, 1 << 20}[m.rng.IntN(2)]
	if seed%2 == 1 {
		opts.Retention = []segmentlog.Retention{
			{Pattern: pattern("rare/**"), Age: 100 * time.Second},
			{Pattern: pattern("often/*"), Count: 30},
			{Pattern: pattern("large/*"), Bytes: 2000},
			{Count: 3000},
		}
	}
	m.log, m.rules = open(t, dir, opts), opts.Retention
	for range 8 {
		m.append(1000)
		m.trim()
		if m.rng.IntN(3) == 0 {
			m.delete(m.topic())
		}
		for range looks {
			m.read()
			m.locate()
		}
		switch m.rng.IntN(3) {
		case 0:
			m.log, _ = reopenWith(t, m.log, opts)
		case 1:
			fsys = fsys.Crash(m.rng)
			opts.FS = fsys
			m.log = open(t, dir, opts)
		}
	}
}

func (m *model) topic() string {
	switch m.rng.IntN(10) {
	case 0:
		return fmt.Sprintf("rare/%d/%d", m.rng.IntN(300), m.rng.IntN(3))
	case 1:
		return ""
	case 2:
		return fmt.Sprint("large/", m.rng.IntN(2))
	case 3, 4, 5:
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

// trim removes from the list what retention has removed from the log.
func (m *model) trim() {
	last := put(m, m.log, sse.Entry{Time: m.now.now(), Topics: []string{"last"}})[0]
	m.all = append(m.all, last)
	trim(m, m.log)
	before := m.all
	m.all = m.follow()
	stored := map[uint64]bool{}
	for _, e := range m.all {
		stored[e.Position.Seq] = true
	}
	if m.rules == nil && len(m.all) != len(before) || len(m.all) > 3000 && m.rules != nil {
		m.Fatalf("%d of %d entries are there", len(m.all), len(before))
	}
	newer := map[string]int{}
	// The times do not always increase, and a sweep ends at the first entry that is not
	// old: it does not look at those after it.
	young := slices.IndexFunc(before, func(e sse.Entry) bool { return !m.isOld(&e) })
	for i, e := range slices.Backward(before) {
		if !stored[e.Position.Seq] && m.needed(&e, newer, 0) && len(before) <= 3000 {
			m.Fatalf("%v was removed, but %d entries are newer", e, newer[e.Topics[0]])
		}
		hidden := young >= 0 && young < i && slices.ContainsFunc(e.Topics, isRare)
		if stored[e.Position.Seq] && !m.needed(&e, newer, 1) && !hidden {
			m.Fatalf("%v was not removed, but %d entries are newer", e, newer[e.Topics[0]])
		}
		for i, topic := range e.Topics {
			if !slices.Contains(e.Topics[:i], topic) {
				newer[topic]++
			}
		}
	}
}

// limits say how many entries of a topic a rule allows, at least and at most.
var limits = map[string][2]int{"often/": {30, 30}, "large/": {15, 35}}

// needed reports whether a topic of an entry needs it, if so many newer entries have
// been in each topic.
func (m *model) needed(e *sse.Entry, newer map[string]int, most int) bool {
	for _, topic := range e.Topics {
		if m.rules == nil {
			return true
		}
		if isRare(topic) {
			if !m.isOld(e) {
				return true
			}
			continue
		}
		limit, ok := limits[topic[:min(len(topic), 6)]]
		if !ok || newer[topic] < limit[most] {
			return true
		}
	}
	return false
}

func isRare(topic string) bool { return strings.HasPrefix(topic, "rare/") }

// isOld reports whether the rule of the rare topics does not allow an entry any more.
func (m *model) isOld(e *sse.Entry) bool { return m.now.now().Sub(e.Time) > 100*time.Second }

// delete removes a topic.
func (m *model) delete(topic string) {
	if err := m.log.Delete(m.Context(), topic, sse.Position{}); err != nil {
		m.Fatal(err)
	}
	m.all = slices.DeleteFunc(m.all, func(e sse.Entry) bool {
		return slices.Contains(e.Topics, topic)
	})
	if got := m.follow(); len(got) != len(m.all) {
		m.Fatalf("without %q, %d entries are there, want %d", topic, len(got), len(m.all))
	}
}

// follow returns the entries that Follow yields up to the last one. They are on the list.
func (m *model) follow() (entries []sse.Entry) {
	known := map[uint64]sse.Entry{}
	for _, e := range m.all {
		known[e.Position.Seq] = e
	}
	for e, err := range m.log.Follow(m.Context(), sse.ReadRequest{}) {
		if err != nil {
			m.Fatal(err)
		}
		if !same(e, known[e.Position.Seq]) {
			m.Fatalf("%v, want %v", e, known[e.Position.Seq])
		}
		entries = append(entries, e)
		if e.Position == m.all[len(m.all)-1].Position {
			break
		}
	}
	if n, _ := m.log.Entries(); n != uint64(len(entries)) {
		m.Errorf("%d entries are counted, %d are there", n, len(entries))
	}
	return entries
}

func same(a, b sse.Entry) bool {
	return a.Position == b.Position && a.Time.Equal(b.Time) && a.Event == b.Event &&
		slices.Equal(a.Topics, b.Topics)
}

func (m *model) selection() sse.Selection {
	var selection sse.Selection
	for m.rng.IntN(2) == 0 {
		selection.Topics = append(selection.Topics, m.topic())
	}
	some := []string{
		"**", "*", "room/*", "rare/**", "rare/*/1", "*/1", "often/1", "rare/1/*", "x/**",
	}
	for m.rng.IntN(2) == 0 {
		selection.Patterns = append(selection.Patterns, pattern(some[m.rng.IntN(len(some))]))
	}
	return selection
}

// matching returns the entries of the list that are selected, in a range.
func (m *model) matching(selection *sse.Selection, after, through uint64) []sse.Entry {
	var some []sse.Entry
	for _, e := range m.all {
		if e.Position.Seq > after && e.Position.Seq <= through && selection.Match(e.Topics) {
			some = append(some, e)
		}
	}
	return some
}

func (m *model) read() {
	last := m.all[len(m.all)-1].Position
	r := sse.ReadRequest{Selection: m.selection(), Limit: 1 + m.rng.IntN(5000)}
	r.After = sse.Position{Seq: m.rng.Uint64N(last.Seq)}
	upto := last.Seq
	if m.rng.IntN(2) == 0 {
		upto = r.After.Seq + m.rng.Uint64N(last.Seq-r.After.Seq+1)
		r.Through = sse.Position{Epoch: last.Epoch, Seq: upto}
	}
	want := m.matching(&r.Selection, r.After.Seq, upto)
	var got []sse.Entry
	for {
		page, err := m.log.Read(m.Context(), r)
		if err != nil {
			m.Fatal(err)
		}
		if len(page.Entries) == 0 {
			break
		}
		got = append(got, page.Entries...)
		r.After = page.Next
	}
	if !slices.EqualFunc(got, want, same) {
		m.Fatalf("%v up to %d: %d entries, want %d", r.Selection, upto, len(got), len(want))
	}
}

func (m *model) locate() {
	selection := m.selection()
	last := m.all[len(m.all)-1].Position.Seq
	all := m.matching(&selection, 0, last)
	n := 1 + m.rng.IntN(200)
	m.begins(sse.Start{Last: n}, selection, all[max(0, len(all)-n):])
	m.begins(sse.Start{Earliest: true}, selection, all)

	// The times do not always increase: the first entry that is not older counts. Where
	// entries were removed, the place may be before it, so that the loss is reported.
	t := m.all[m.rng.IntN(len(m.all))].Time
	first := slices.IndexFunc(all, func(e sse.Entry) bool { return !e.Time.Before(t) })
	if first < 0 {
		first = len(all)
	}
	m.begins(sse.Start{Time: t}, selection, all[first:])

	id := fmt.Sprint(m.rng.IntN(500))
	named := slices.IndexFunc(all, func(e sse.Entry) bool { return e.Event.ID == id })
	page := locate(m, m.log, sse.Start{ID: id}, selection)
	if found := page.Gap == nil; found != (named >= 0) || found && page.Next != all[named].Position {
		m.Errorf("id %q: %+v, at %d of the list", id, page, named)
	}
}

// begins checks which entries follow the place that Locate finds.
func (m *model) begins(start sse.Start, selection sse.Selection, want []sse.Entry) {
	p := locate(m, m.log, start, selection).Next
	page, err := m.log.Read(m.Context(), sse.ReadRequest{
		After: p, Selection: selection, Limit: 1 << 30,
	})
	if err != nil {
		m.Fatal(err)
	}
	more := len(page.Entries) - len(want)
	if !start.Time.IsZero() && more > 0 && page.Lost.Seq > 0 {
		page.Entries = page.Entries[more:]
	}
	if !slices.EqualFunc(page.Entries, want, same) {
		m.Fatalf("%+v of %v begins after %d: %d entries, want %d",
			start, selection, p.Seq, len(page.Entries), len(want))
	}
}
