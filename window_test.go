package sse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse/internal/epoch"
	"github.com/sse-go/sse/internal/heap"
	"github.com/sse-go/sse/internal/testrand"
)

// WindowLog makes a window an EventLog, so that ssetest.TestEventLog can test it. The
// window is the part of the log that a broker has in memory.
type WindowLog struct {
	now func() time.Time

	mu      sync.Mutex // guards the following
	win     window
	changed chan struct{} // Append closes and replaces it
}

func NewWindowLog(limits Retention, rules []TopicRetention, now func() time.Time) *WindowLog {
	l := &WindowLog{now: now, win: newWindow(limits, rules), changed: make(chan struct{})}
	l.win.begin(Position{Epoch: epoch.New()})
	return l
}

// SearchEntries makes the log search the entries of every selection with a wildcard,
// even if it selects few topics.
func (l *WindowLog) SearchEntries() { l.win.maxSelected = -1 }

func (l *WindowLog) Append(ctx context.Context, r AppendRequest) (AppendResult, error) {
	if err := ctx.Err(); err != nil {
		return AppendResult{}, err
	}
	if r.Key != "" {
		return AppendResult{}, errors.ErrUnsupported
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var positions []Position
	for _, x := range r.Entries {
		seq := l.win.last.Seq + 1
		x.Position = Position{l.win.epoch, seq, l.win.check(seq, x.Time.UnixNano())}
		l.win.append(entryFromLog(&x), x.Topics)
		positions = append(positions, x.Position)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return AppendResult{Positions: positions}, nil
}

func (l *WindowLog) Read(ctx context.Context, r ReadRequest) (Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.win.read(r.After, r.Through, &r.Selection, r.Limit, l.now()), ctx.Err()
}

func (l *WindowLog) Follow(ctx context.Context, r ReadRequest) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		at := r.After.Seq
		for {
			l.mu.Lock()
			var next []Entry
			for _, e := range l.win.entries[l.win.first:] {
				if e.seq > at && !e.removed {
					next = append(next, e.public(l.win.epoch))
				}
			}
			changed := l.changed
			l.mu.Unlock()
			for _, x := range next {
				if ctx.Err() != nil || !yield(x, nil) {
					return
				}
				at = x.Position.Seq
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *WindowLog) Locate(ctx context.Context, start Start, sel Selection) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	after, gap := l.win.locate(start, &sel, l.now())
	return Page{Next: after, Gap: gap}, nil
}

// windowModel has every entry that was appended to a window, to find by a loop over all
// of them what the window finds with its chains and trees.
type windowModel struct {
	st       *state
	rng      *rand.Rand
	now      time.Time
	appended []*entry
	members  []*subscriber
	setBack  bool // the times of entries do not grow
}

func (m *windowModel) topic() string {
	name := fmt.Sprint(string('a'+rune(m.rng.IntN(3))), "/", m.rng.IntN(6))
	if m.rng.IntN(3) == 0 {
		name += "/x"
	}
	return name
}

func (m *windowModel) pattern() Pattern {
	all := []string{"**", "*/*", "a/*", "a/**", "b/**", "*/1/*", "*/*/x", "c/2/*", "d/*", "b/3"}
	return Pattern{all[m.rng.IntN(len(all))]}
}

func (m *windowModel) selection() *Selection {
	sel := &Selection{}
	for range m.rng.IntN(3) {
		sel.Topics = append(sel.Topics, m.topic())
	}
	for range m.rng.IntN(3) {
		sel.Patterns = append(sel.Patterns, m.pattern())
	}
	return sel
}

// step changes the window at random.
func (m *windowModel) step() {
	w := &m.st.window
	m.now = m.now.Add(time.Duration(m.rng.IntN(60)) * time.Second)
	switch m.rng.IntN(12) {
	case 0:
		m.st.forget(m.topic(), Position{w.epoch, m.rng.Uint64N(w.last.Seq + 1), 0})
	case 1:
		s := &subscriber{cursor: Position{Seq: m.rng.Uint64N(w.last.Seq + 1)}}
		s.join(w, []string{m.topic()}, []Pattern{m.pattern(), m.pattern()})
		m.members = append(m.members, s)
	case 2, 3:
		if n := len(m.members); n > 0 {
			i := m.rng.IntN(n)
			m.members[i].leave(w)
			m.members = slices.Delete(m.members, i, i+1)
		}
	default:
		m.append()
	}
}

// append appends an entry. Its time may be before the time of earlier entries, as if the
// clock of a log had been set back.
func (m *windowModel) append() {
	w := &m.st.window
	event := Event{Data: strings.Repeat("x", m.rng.IntN(9))}
	if m.rng.IntN(3) == 0 {
		event.ID = fmt.Sprint(m.rng.IntN(9))
	}
	topics := []string{m.topic(), m.topic(), m.topic()}
	d, at, seq := newDraft(&event), m.now.UnixNano(), w.last.Seq+1
	if m.setBack && m.rng.IntN(10) == 0 {
		at -= int64(m.rng.IntN(600)) * int64(time.Second)
	}
	e := d.entry(Position{w.epoch, seq, w.check(seq, at)}, at)
	w.append(e, topics[:1+m.rng.IntN(3)])
	m.appended = append(m.appended, e)
}

// find returns the sequences of the entries that a selection selects, after a sequence,
// and the newest loss mark.
func (m *windowModel) find(sel *Selection, after uint64) (live []uint64, lost lossMark) {
	for _, e := range m.appended {
		switch {
		case !sel.Match(e.topicNames()):
		case e.removed:
			lost.raise(e.lossMark())
		case e.seq > after:
			live = append(live, e.seq)
		}
	}
	return live, lost
}

func sequences(entries iter.Seq[*entry]) (all []uint64) {
	for e := range entries {
		all = append(all, e.seq)
	}
	return all
}

// check compares a selection, and the chains of all patterns, with the model.
func (m *windowModel) check(t *testing.T) {
	t.Helper()
	w, sel := &m.st.window, m.selection()
	v := newSelectionView(w, sel, m.now)
	all, lost := m.find(sel, 0)
	if got := w.lostOf(sel); got != lost {
		t.Fatalf("%+v: the newest loss is %v, want %v", *sel, got, lost)
	}
	after := m.rng.Uint64N(w.last.Seq + 1)
	want, _ := m.find(sel, after)
	if got := sequences(v.between(after, math.MaxUint64)); !slices.Equal(got, want) {
		t.Fatalf("%+v: after %d: %v, want %v", *sel, after, got, want)
	}
	want = slices.DeleteFunc(slices.Clone(all), func(seq uint64) bool { return seq >= after })
	slices.Reverse(want)
	if got := sequences(v.before(max(1, after))); !slices.Equal(got, want) {
		t.Fatalf("%+v: before %d: %v, want %v", *sel, after, got, want)
	}
	m.checkStarts(t, sel, all, lost)
	if n := len(m.members); n > 0 {
		s := m.members[m.rng.IntN(n)]
		for _, l := range s.links() {
			if l.topic == nil {
				m.checkPattern(t, l.chain)
			}
		}
		m.checkLag(t, s)
	}
}

// checkStarts compares the positions at which a selection starts with the model. live are
// the sequences of the entries that it selects.
func (m *windowModel) checkStarts(t *testing.T, sel *Selection, live []uint64, lost lossMark) {
	t.Helper()
	w := &m.st.window
	check := func(start Start, want uint64) {
		t.Helper()
		p, gap := w.locate(start, sel, m.now)
		if why := w.invalidReason(p); p.Seq != want || gap != nil || why != "" {
			t.Fatalf("%+v, %+v: got %d, %v, %q, want %d", *sel, start, p.Seq, gap, why, want)
		}
	}
	earliest := lost.seq
	if len(live) > 0 && live[0] <= lost.seq {
		earliest = 0
	}
	check(Start{Earliest: true}, earliest)
	if n := 1 + m.rng.IntN(10); n > len(live) {
		check(Start{Last: n}, earliest)
	} else {
		first := live[len(live)-n]
		before := first - 1
		for before > 0 && m.appended[before-1].removed {
			before--
		}
		p, _ := w.locate(Start{Last: n}, sel, m.now)
		if p.Seq < before || p.Seq >= first || w.invalidReason(p) != "" {
			t.Fatalf("%+v: the last %d events begin after %d, want %d", *sel, n, p.Seq, before)
		}
	}
	from := m.appended[m.rng.IntN(len(m.appended))].time + int64(m.rng.IntN(3)) - 1
	at, first := uint64(0), uint64(math.MaxUint64)
	for _, seq := range live {
		if m.appended[seq-1].time >= from {
			first = seq
			break
		}
		at = seq
	}
	if lost.seq < first && lost.time < from {
		at = max(at, lost.seq)
	}
	check(Start{Time: time.Unix(0, from)}, at)
}

// checkLag compares the lag of a subscriber after some sequence with the model.
func (m *windowModel) checkLag(t *testing.T, s *subscriber) {
	t.Helper()
	after := s.cursor.Seq + m.rng.Uint64N(m.st.window.last.Seq-s.cursor.Seq+1)
	events, bytes := 0, int64(0)
	for _, e := range m.appended {
		for _, l := range s.links() {
			selects := func(t *topicState) bool {
				return l.topic == t || l.topic == nil && l.pattern.Match(t.name)
			}
			if e.seq > after && !e.removed && slices.ContainsFunc(e.topics, selects) {
				events, bytes = events+1, bytes+int64(len(e.framed))
			}
		}
	}
	if most, mostBytes := s.lagAtMost(after); most < events || mostBytes < bytes {
		t.Fatalf("after %d, the lag is at most %d and %d bytes, want at least %d and %d bytes",
			after, most, mostBytes, events, bytes)
	}
	if got, gotBytes := s.lag(after); got != events || gotBytes != bytes {
		t.Fatalf("after %d, the lag is %d and %d bytes, want %d and %d bytes",
			after, got, gotBytes, events, bytes)
	}
}

// checkPattern compares the chain of a pattern with the model.
func (m *windowModel) checkPattern(t *testing.T, c *chain) {
	t.Helper()
	want, lost := m.find(&Selection{Patterns: []Pattern{c.pattern}}, c.from)
	var got []uint64
	for _, it := range c.items[c.first:] {
		if !it.removed {
			got = append(got, it.seq)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s after %d: %v, want %v", c.pattern, c.from, got, want)
	}
	if lost.seq > c.from && c.lost.seq != lost.seq {
		t.Fatalf("%s after %d: the newest loss is %d, want %d", c.pattern, c.from, c.lost.seq, lost.seq)
	}
}

// While entries are published, removed by each kind of limit, and forgotten, a selection
// has the entries and the loss mark that a loop over all entries finds.
func TestWindowSelects(t *testing.T) {
	rules := []TopicRetention{
		{Pattern: Pattern{"a/*"}, Events: 3}, {Pattern: Pattern{"b/**"}, Age: 5 * time.Minute},
	}
	for i, maxSelected := range []int{-1, 3, maxSelected, maxSelected} {
		m := &windowModel{st: &state{}, rng: testrand.New(t), now: time.Unix(3600, 0), setBack: i > 2}
		m.st.window = newWindow(Retention{Events: 50}, rules)
		m.st.window.begin(Position{Epoch: 7})
		m.st.window.maxSelected = maxSelected
		m.append()
		for range 500 {
			m.step()
			m.check(t)
		}
	}
}

// Events that a rule has removed do not count as lag. An event on one topic removes the
// events of other topics that have become too old.
func TestRemovedEventsAreNoLag(t *testing.T) {
	w := newWindow(Retention{}, []TopicRetention{{Pattern: Pattern{"old/*"}, Age: time.Minute}})
	publish := func(topic string, at time.Duration) {
		event := Event{Data: "x"}
		d := newDraft(&event)
		w.publish(&d, []string{topic}, time.Unix(0, int64(at)))
	}
	opts := newDeliveryOptions(&Selection{MaxLag: 3}, "")
	s := &subscriber{opts: &opts, caughtUp: true}
	s.join(&w, nil, []Pattern{{"**"}})
	publish("other", 0) // so that the removed events are not the first of the chain
	for range 5 {
		publish("old/1", 0)
	}
	if !s.behind(&w) {
		t.Error("a subscriber that is 6 events behind does not exceed a limit of 3")
	}
	publish("other", time.Minute+1)
	if s.behind(&w) {
		events, bytes := s.lag(0)
		t.Errorf("the lag is %d events and %d bytes, want two events", events, bytes)
	}
}

// An event that is forgotten for one of its topics may be newer than an event that a rule
// of its other topic retains.
func TestForgetBehindRule(t *testing.T) {
	b := &Broker{TopicRetention: []TopicRetention{{Pattern: Pattern{"rule"}, Events: 2}}}
	publish := func(topics ...string) Position {
		p, err := b.Publish(t.Context(), Event{Data: "x"}, topics...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	oldest := publish("rule")
	if err := b.Forget(t.Context(), "other", publish("rule", "other")); err != nil {
		t.Fatal(err)
	}
	publish("rule")
	retained := func() (all []Position) {
		page, err := b.Read(t.Context(), Selection{Topics: []string{"rule"}}, Start{Earliest: true}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Entries {
			all = append(all, x.Position)
		}
		return all
	}
	if got := retained(); len(got) != 2 || got[0] != oldest {
		t.Errorf("the topic has %v, want the first and the last event", got)
	}
	publish("rule")
	if got := retained(); len(got) != 2 || got[0] == oldest {
		t.Errorf("the topic has %v, want the last two events", got)
	}
}

// allPatterns returns every pattern that has a wildcard, selects a topic and does not
// end with "**".
func allPatterns(topic string) []Pattern {
	patterns := []Pattern{{}}
	for i := range topic {
		var longer []Pattern
		for _, p := range patterns {
			longer = append(longer, Pattern{p.text + topic[i:i+1]})
			if topic[i] != '/' {
				longer = append(longer, Pattern{p.text + "*"})
			}
		}
		patterns = longer
	}
	return patterns[1:] // without the topic itself
}

// changingLock is the lock of a window that changes whenever the lock is released.
type changingLock struct {
	released int
	change   func()
}

func (*changingLock) Lock() {}

func (l *changingLock) Unlock() {
	l.released++
	l.change()
}

// Heavy events, here with 1,024 new topics each, displace each other, but no other event.
// The window does not retain their memory. This test is not parallel, because it measures
// the heap.
func TestHeavyEvents(t *testing.T) {
	const limit, heavy, each = 16 << 20, 100, 20
	before := heap.InUse()
	w := newWindow(Retention{Bytes: limit}, nil)
	all := &subscriber{}
	all.join(&w, nil, []Pattern{{"**"}})
	publish := func(topics ...string) *entry {
		d := newDraft(&Event{Data: "x"})
		return w.publish(&d, topics, time.Unix(0, 0))
	}
	first := publish("news").position(w.epoch)
	topics, newest := make([]string, maxTopics), (*entry)(nil)
	for i := range heavy {
		for j := range topics {
			topics[j] = fmt.Sprintf("new/%d/%d", i, j)
		}
		newest = publish(topics...)
		for range each {
			publish("news")
		}
	}
	const want = heavy * each
	read := func(topic string) Page {
		return w.read(first, Position{}, &Selection{Topics: []string{topic}}, 1<<30, time.Unix(0, 0))
	}
	if page := read("news"); len(page.Entries) != want || page.Lost != (Position{}) {
		t.Errorf("%d events are left, want %d; the loss is %v", len(page.Entries), want, page.Lost)
	}
	if used := int64(heap.InUse() - before); used > 2*limit || newest.removed {
		t.Errorf("the window takes %d bytes, want at most %d; newest heavy event removed: %t",
			used, 2*limit, newest.removed)
	}
	// An event that alone exceeds the limit displaces only other heavy events.
	for j := range topics {
		topics[j] = strings.Repeat("a/", 400) + fmt.Sprint(j)
	}
	publish(topics...)
	publish("new/0/0") // was removed; its loss mark is only a part of lossFloor
	if n, lost := w.live, read("new/0/0").Lost; n != want+2 || lost == (Position{}) {
		t.Errorf("%d events are left, want %d; the loss of an old topic is %v", n, want+2, lost)
	}
	runtime.KeepAlive(&w)
}
