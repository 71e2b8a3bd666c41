package sse

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/sse-go/sse/internal/testrand"
)

// appendAt appends an entry with a time that may be before the time of earlier entries.
func appendAt(w *window, at time.Duration, topics ...string) *entry {
	d := newDraft(&Event{Data: "x"})
	seq := w.last.Seq + 1
	e := d.entry(Position{w.epoch, seq, w.check(seq, int64(at))}, int64(at))
	w.append(e, topics)
	return e
}

// A view has the chains of the selected topics. If the patterns select more than
// maxSelected topics together, the view instead compares the topics of each entry. It
// remembers the result only for topics of entries with several topics, because all other
// topics would take too much memory.
func TestWindowViewSearches(t *testing.T) {
	w := newWindow(Retention{}, nil)
	w.maxSelected = 4
	for _, topic := range []string{"a/1", "a/2", "b/1", "b/2", "c/1", "c/2", "c/3"} {
		appendAt(&w, 0, topic)
	}
	appendAt(&w, 0, "a/1", "d")
	for _, test := range []struct {
		patterns string
		searches bool
	}{{"a", false}, {"ab", false}, {"ac", true}, {"abc", true}} {
		sel := &Selection{Topics: []string{"d", "c/1", "c/2", "c/3"}}
		for _, name := range test.patterns {
			sel.Patterns = append(sel.Patterns, Pattern{string(name) + "/*"})
		}
		v := newSelectionView(&w, sel, time.Unix(0, 0))
		if got := v.match != nil; got != test.searches {
			t.Errorf("%s: the view compares topics: %t, want %t", test.patterns, got, test.searches)
		}
		if all := sequences(v.between(0, math.MaxUint64)); v.match != nil && len(v.match.known) != 1 {
			t.Errorf("%s: the view remembers %d topics, want only a/1: %v", test.patterns,
				len(v.match.known), all)
		}
	}
}

// A view of topics allocates memory for itself and for its list of chains, once each.
func TestWindowViewAllocates(t *testing.T) {
	w := newWindow(Retention{}, nil)
	sel := &Selection{Topics: []string{"a", "b", "c"}}
	for _, topic := range sel.Topics {
		appendAt(&w, 0, topic)
	}
	now := time.Unix(0, 0)
	var v *selectionView
	if n := testing.AllocsPerRun(10, func() { v = newSelectionView(&w, sel, now) }); n > 2 {
		t.Errorf("a view of %d topics allocates %v times, want at most 2", len(v.chains), n)
	}
}

// A page has at most limit bytes, or one entry.
func TestWindowReadLimit(t *testing.T) {
	w := newWindow(Retention{}, nil)
	w.begin(Position{Epoch: 7})
	size := len(appendAt(&w, 0, "a").framed)
	appendAt(&w, 0, "a")
	for limit, want := range map[int]int{0: 1, size: 1, 2*size - 1: 1, 2 * size: 2, 3 * size: 2} {
		page := w.read(Position{}, Position{}, &Selection{Topics: []string{"a"}}, limit, time.Unix(0, 0))
		if len(page.Entries) != want || page.Next.Seq != uint64(want) {
			t.Errorf("with %d bytes for entries of %d bytes, the page has %d entries and ends at %d, want %d",
				limit, size, len(page.Entries), page.Next.Seq, want)
		}
	}
}

// With a log, the window covers a position or a time if it has all entries that follow.
// Otherwise the log must be read. Here the window has the entries 3, 4 and 5 of the
// seconds 3, 4 and 5; the time of entry 1 is greater than all of them.
func TestWindowCovers(t *testing.T) {
	w := newWindow(Retention{Events: 3}, nil)
	w.lossless = true
	w.begin(Position{Epoch: 7})
	if w.coversTime(time.Unix(1, 0)) {
		t.Error("a window without entries covers a time")
	}
	for _, second := range []time.Duration{8, 2, 3, 4, 5} {
		appendAt(&w, second*time.Second, "a")
	}
	covers := func(nanoseconds int64, want bool) {
		t.Helper()
		if got := w.coversTime(time.Unix(0, nanoseconds)); got != want {
			t.Errorf("the window covers the time %d: %t, want %t", nanoseconds, got, want)
		}
	}
	covers(6e9, false)
	covers(8e9, false)
	covers(8e9+1, true)
	w.baseTime = 2e9
	covers(25e8, false)
	covers(3e9, false)
	covers(3e9+1, true)
	if w.coversTime(time.Time{}) {
		t.Error("the window covers the zero time")
	}
	for p, want := range map[Position]bool{
		{7, 1, 0}: false, {7, 2, 0}: true, {7, 5, 0}: true, {7, 6, 0}: false, {8, 3, 0}: false,
	} {
		if got := w.covers(p); got != want {
			t.Errorf("the window covers %+v: %t, want %t", p, got, want)
		}
	}
	// A start at a time is not before base, so that a subscriber reads nothing twice.
	at, _ := w.locate(Start{Time: time.Unix(0, 1)}, &Selection{Topics: []string{"a"}}, time.Unix(0, 0))
	if at != w.base || at.Seq != 2 {
		t.Errorf("the start is %+v, want the base %+v", at, w.base)
	}
	w.base = Position{Epoch: 7, Seq: 4} // as if the log had left out numbers after it
	covers(45e8, false)
	covers(5e9+1, true)
}

// The window finds the topics whose oldest entry is too old, in any order of ages and
// times.
func TestAgingTopics(t *testing.T) {
	rules := []TopicRetention{
		{Pattern: Pattern{"1/*"}, Age: 1}, {Pattern: Pattern{"2/*"}, Age: 20},
		{Pattern: Pattern{"3/*"}, Age: math.MaxInt64}, {Pattern: Pattern{"4/*"}, Events: 100},
	}
	ages := []time.Duration{1, 20, math.MaxInt64, math.MaxInt64}
	rng := testrand.New(t)
	w := newWindow(Retention{}, rules)
	var all []*entry
	var most []time.Duration
	now := time.Duration(1)
	for range 1000 {
		for range rng.IntN(4) {
			i := rng.IntN(len(ages))
			all = append(all, appendAt(&w, now, fmt.Sprintf("%d/%d", i+1, rng.IntN(9))))
			most = append(most, ages[i])
		}
		now += time.Duration(rng.IntN(9))
		w.expire(time.Unix(0, int64(now)))
		for i, e := range all {
			if age := now - time.Duration(e.time); e.removed != (age > most[i]) {
				t.Fatalf("an entry of %v of age %d is removed: %t, want after %d", e.topicNames(),
					age, e.removed, most[i])
			}
		}
	}
}

// An entry of a log may be too old when it is appended, because the clock was set back.
func TestAppendTooOld(t *testing.T) {
	w := newWindow(Retention{Age: time.Hour}, []TopicRetention{{Pattern: Pattern{"*"}, Age: time.Hour}})
	appendAt(&w, 2*time.Hour, "a")
	appendAt(&w, 2*time.Hour, "b")
	appendAt(&w, 0, "c")
	w.remove(w.entries[w.first])
	w.expire(time.Unix(0, int64(3*time.Hour)+1))
	if w.live != 0 || len(w.aging) != 0 {
		t.Errorf("%d entries are left, of %d topics, want none", w.live, len(w.aging))
	}
}

// An event that is too old is not found by its ID.
func TestAgeOfID(t *testing.T) {
	w := newWindow(Retention{}, []TopicRetention{{Pattern: Pattern{"*"}, Age: time.Minute}})
	d := newDraft(&Event{ID: "mine"})
	w.publish(&d, []string{"a"}, time.Unix(0, 0))
	sel := &Selection{Topics: []string{"a"}}
	for _, test := range []struct {
		after time.Duration
		why   GapReason
	}{{time.Minute, ""}, {time.Minute + 1, GapUnknown}} {
		var why GapReason
		if _, gap := w.locate(Start{ID: "mine"}, sel, time.Unix(0, int64(test.after))); gap != nil {
			why = gap.Why
		}
		if why != test.why {
			t.Errorf("after %v: got the gap %q, want %q", test.after, why, test.why)
		}
	}
}

// The window frees the room of removed entries behind an old one, if they are many.
func TestWindowCompacts(t *testing.T) {
	w := newWindow(Retention{}, []TopicRetention{{Pattern: Pattern{"hot"}, Events: 1}})
	if w.limits.Events != 16384 || w.limits.Bytes != 64<<20 {
		t.Errorf("the default limits are %+v", w.limits)
	}
	appendAt(&w, 0, "old")
	for i := range 2100 {
		last := appendAt(&w, 0, "hot")
		if removed := len(w.entries) - w.live; removed > min(i, 1024) {
			t.Fatalf("the window has %d entries, and %d of them are removed", len(w.entries), removed)
		}
		if w.newestUpTo(1) == nil || w.newestUpTo(math.MaxUint64) != last {
			t.Fatal("the window has lost an entry that is not removed")
		}
	}
}

// The name of a topic does not retain the memory of the request that it was a part of.
func TestTopicNameIsCopied(t *testing.T) {
	w := newWindow(Retention{}, nil)
	request := "a large request"
	if name := request[:1]; unsafe.StringData(w.topicState(name).name) == unsafe.StringData(name) {
		t.Error("the topic shares the memory of the request")
	}
}

// While a view iterates, the window changes between its slices. The view has each entry
// that the window has all the time, at most once, in order.
func TestViewOfChangingWindow(t *testing.T) {
	for _, maxSelected := range []int{-1, maxSelected} {
		m := &windowModel{st: &state{}, rng: testrand.New(t), now: time.Unix(0, 0)}
		w := &m.st.window
		*w = newWindow(Retention{Events: 200}, nil)
		w.maxSelected = maxSelected
		for range 300 {
			m.step()
		}
		lock := &changingLock{}
		lock.change = func() {
			w.mu = nil // m.step must not change the window again
			m.step()
			w.mu = lock
		}
		w.mu = lock
		for range 300 {
			sel, after, through := m.selection(), m.rng.Uint64N(w.last.Seq/2), w.last.Seq
			before, _ := m.find(sel, after)
			v := newSelectionView(w, sel, m.now)
			got := sequences(v.between(after, through))
			if m.rng.IntN(2) == 0 {
				got = sequences(v.before(through + 1))
				slices.Reverse(got)
				got = slices.DeleteFunc(got, func(seq uint64) bool { return seq <= after })
			}
			left, _ := m.find(sel, after)
			missing := slices.ContainsFunc(before, func(seq uint64) bool {
				return slices.Contains(left, seq) && !slices.Contains(got, seq)
			})
			wrong := slices.ContainsFunc(got, func(seq uint64) bool { return !slices.Contains(before, seq) })
			if missing || wrong || !slices.IsSorted(got) || len(slices.Compact(got)) != len(got) {
				t.Fatalf("%+v: after %d: %v, want %v without entries that were removed meanwhile: %v",
					*sel, after, got, before, left)
			}
		}
		if lock.released < 300 {
			t.Errorf("the lock was released only %d times", lock.released)
		}
	}
}

// A read releases the lock after a bounded amount of work: after 512 entries, or after
// entries with 4,096 topics. It encodes the page while it does not hold the lock.
func TestReadReleasesLock(t *testing.T) {
	topics := make([]string, 1024)
	for i := range topics {
		topics[i] = fmt.Sprint("many/", i)
	}
	for _, test := range []struct {
		name           string
		sel            Selection
		entries, least int
		topics         []string
	}{
		{"topics of entries", Selection{Patterns: []Pattern{{"many/*"}}}, 40, 40 * 1024 / 4096, topics},
		{"entries of a topic", Selection{Topics: topics[:1]}, 4000, 4000 / 512, topics[:1]},
		{"one entry", Selection{Topics: topics[:1]}, 1, 1, topics[:1]},
	} {
		w := newWindow(Retention{}, nil)
		for range test.entries {
			event := Event{Data: "x"}
			d := newDraft(&event)
			w.publish(&d, test.topics, time.Now())
		}
		lock := &changingLock{change: func() {}}
		w.mu = lock
		w.maxSelected = 3
		w.read(Position{}, Position{}, &test.sel, math.MaxInt, time.Now())
		if lock.released < test.least || lock.released > 3*test.least+10 {
			t.Errorf("%s: the lock was released %d times, want at least %d",
				test.name, lock.released, test.least)
		}
	}
}

// Append releases the lock after every 64 topics of its events.
func TestAppendReleasesLock(t *testing.T) {
	var b Broker
	if _, err := b.Position(t.Context()); err != nil { // starts the broker
		t.Fatal(err)
	}
	lock := &changingLock{change: func() {}}
	b.state.window.mu = lock
	entries := make([]Entry, 1000)
	for i := range entries {
		entries[i].Event.Data = fmt.Sprint(i)
	}
	result, err := b.Append(t.Context(), AppendRequest{Entries: entries})
	if err != nil || len(result.Positions) != len(entries) {
		t.Fatalf("%d positions, %v", len(result.Positions), err)
	}
	if want := len(entries) / manyTopics; lock.released != want {
		t.Errorf("the lock was released %d times, want %d", lock.released, want)
	}
}

// The window finds the patterns of a topic even if they are too many to be cached, each
// once.
func TestWindowManyPatterns(t *testing.T) {
	w := newWindow(Retention{}, nil)
	s := &subscriber{}
	topic := "a/a/a/a/a/a/a"
	patterns := allPatterns(topic)
	s.join(&w, nil, patterns)
	for range 2 {
		event := Event{Data: "x"}
		d := newDraft(&event)
		e := w.publish(&d, []string{topic, topic + "/b", topic + "/b/c"}, time.Now())
		chains := w.chainsOf(e)
		distinct := map[*chain]bool{}
		for _, c := range chains {
			distinct[c] = true
		}
		if len(chains) != len(patterns)+3 || len(distinct) != len(chains) {
			t.Errorf("%d chains, %d of them distinct; want %d", len(chains), len(distinct), len(patterns)+3)
		}
	}
	if cached := len(w.topics[topic].patternChains); cached != 0 {
		t.Errorf("the topic caches %d patterns, want none", cached)
	}
	s.leave(&w)
	if w.patternCount != 0 {
		t.Errorf("after the subscriber has left, there are %d patterns", w.patternCount)
	}
}
