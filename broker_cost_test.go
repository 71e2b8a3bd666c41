package sse

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/heap"
	"github.com/sse-go/sse/internal/poll"
	"github.com/sse-go/sse/internal/testrand"
)

// These tests check that the cost of a subscriber depends on the events that it
// receives, not on the number of other events. The last tests check the memory of
// the window. The window is the recent part of the log, in the broker's memory.

// fill publishes events, each on the next of groups × topicsEach topics. A topic is
// a group and a number in the group, for example "3/42".
func fill(tb testing.TB, b *Broker, events, groups, topicsEach int) {
	tb.Helper()
	topics := make([]string, groups*topicsEach)
	for i := range topics {
		topics[i] = fmt.Sprintf("%d/%d", i%groups, i/groups)
	}
	for i := range events {
		mustPublish(tb, b, topics[i%len(topics)])
	}
}

func mustPublish(tb testing.TB, b *Broker, topic string) Position {
	tb.Helper()
	p, err := b.Publish(context.Background(), Event{Data: "hello"}, topic)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// publishRare publishes 10 events on the topic "rare", and a number of foreign events
// evenly between them. Foreign events are on 100 other topics.
func publishRare(tb testing.TB, b *Broker, foreign int) {
	tb.Helper()
	for range 10 {
		mustPublish(tb, b, "rare")
		for i := range foreign / 10 {
			mustPublish(tb, b, fmt.Sprint("foreign/", i%100))
		}
	}
}

// take subscribes, and unsubscribes after n events.
func take(tb testing.TB, b *Broker, sel Selection, start Start, n int) {
	tb.Helper()
	for event, err := range b.Subscribe(context.Background(), sel, start) {
		if err != nil || event.Type != "" {
			tb.Fatalf("got %+v, %v", event, err)
		}
		if n--; n == 0 {
			return
		}
	}
}

// resumes returns subscriptions of several kinds. Each starts in the past, and
// selects at least 10 stored events from there on.
func resumes(tb testing.TB, b *Broker) []resume {
	tb.Helper()
	pattern := func(text string) Selection {
		p, err := ParsePattern(text)
		if err != nil {
			tb.Fatal(err)
		}
		return Selection{Patterns: []Pattern{p}}
	}
	before := func(n uint64) Start {
		last := b.state.window.last.Seq
		return Start{After: b.state.window.positionAt(last - n)}
	}
	return []resume{
		{"topic", Selection{Topics: []string{"0/7"}}, Start{Last: 10}},
		{"rare-topic", Selection{Topics: []string{"rare"}}, Start{Earliest: true}},
		{"pattern-of-100-topics", pattern("0/*"), Start{Last: 10}},
		{"pattern-of-100-topics-after-id", pattern("0/*"), before(1000)},
		{"all-topics-after-id", pattern("**"), before(10)},
	}
}

type resume struct {
	name  string
	sel   Selection
	start Start
}

func BenchmarkResume(b *testing.B) {
	for _, groups := range []int{1, 100} {
		events := groups * 10_000 // 100 of each topic
		broker := &Broker{Retention: Retention{Events: -1, Bytes: -1}}
		publishRare(b, broker, 0)
		fill(b, broker, events, groups, 100)
		for _, r := range resumes(b, broker) {
			b.Run(fmt.Sprint(events, "/", r.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					take(b, broker, r.sel, r.start, 10)
				}
			})
		}
	}
}

// BenchmarkPatternStart finds where a pattern starts beside a growing number of foreign
// topics: half of them have subscribers and no events, and the pattern selects these as
// well; the other half have events that the pattern does not select.
func BenchmarkPatternStart(b *testing.B) {
	for _, foreign := range []int{1000, 100_000} {
		broker := &Broker{Retention: Retention{Events: -1, Bytes: -1}}
		var idle subscriber
		var topics []string
		for i := range foreign / 2 {
			topics = append(topics, fmt.Sprint("room/quiet-", i))
			mustPublish(b, broker, fmt.Sprint("foreign/", i))
		}
		idle.join(&broker.state.window, topics, nil)
		for i := range 10 {
			mustPublish(b, broker, fmt.Sprint("room/", i))
		}
		last := broker.state.window.last
		rooms := Selection{Patterns: []Pattern{{"room/*"}}}
		for name, start := range map[string]Start{
			"last": {Last: 10}, "after": {After: broker.state.window.positionAt(last.Seq - 10)},
			"time": {Time: time.Unix(0, broker.state.window.lastTime)},
		} {
			b.Run(fmt.Sprint(foreign, "/", name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					take(b, broker, rooms, start, 1)
				}
			})
		}
	}
}

func BenchmarkResumeRare(b *testing.B) {
	for _, foreign := range []int{0, 1_000_000} {
		broker := &Broker{Retention: Retention{Events: -1, Bytes: -1}}
		publishRare(b, broker, foreign)
		b.Run(fmt.Sprint(foreign), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				take(b, broker, Selection{Topics: []string{"rare"}}, Start{Earliest: true}, 10)
			}
		})
	}
}

// BenchmarkPublishToOne has n parked subscribers, each with its own topic. It
// publishes events on one of the topics. After each event, it waits until the broker
// has written the event. The network accepts all bytes.
func BenchmarkPublishToOne(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			network := newNowhere()
			broker := &Broker{Park: true, Streams: StreamOptions{Heartbeat: -1}}
			broker.state.loops.newPoller = func() (poll.Poller, error) { return network, nil }
			subscribeNowhere(b, broker, n, func(i int) string { return fmt.Sprint("topic-", i) })
			b.ReportAllocs()
			for b.Loop() {
				network.want = network.written.Load() + 1
				mustPublish(b, broker, "topic-5")
				<-network.reached
			}
			b.StopTimer()
			if err := broker.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// A subscriber that starts in the past receives exactly the events that it selects.
// The number of allocations does not grow with the number of other events.
func TestResumeCost(t *testing.T) {
	measure := func(groups int) map[string]float64 {
		b := &Broker{Retention: Retention{Events: -1, Bytes: -1}}
		publishRare(t, b, 0)
		fill(t, b, groups*1000, groups, 100)
		costs := make(map[string]float64)
		for _, r := range resumes(t, b) {
			got, want := receive(t, b, r, 10), scanWindow(t, b, r, 10)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", r.name, got, want)
			}
			costs[r.name] = testing.AllocsPerRun(100, func() { take(t, b, r.sel, r.start, 10) })
		}
		return costs
	}
	few, many := measure(5), measure(50) // both have more topics than maxSelected
	for name, cost := range many {
		if cost > few[name]+3 { // a few more are no fault, because slices grow in steps
			t.Errorf("%s: %v allocations, but %v with a tenth of the other events",
				name, cost, few[name])
		}
	}
}

// receive returns the ids of the first n events that a subscriber receives.
func receive(t *testing.T, b *Broker, r resume, n int) []string {
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

// scanWindow returns the ids that receive must return. It finds them without the
// broker's indexes: it looks at every entry of the window.
func scanWindow(t *testing.T, b *Broker, r resume, n int) []string {
	t.Helper()
	var ids []string
	for _, e := range b.state.window.entries {
		if r.sel.Match(e.topicNames()) && e.seq > r.start.After.Seq {
			ids = append(ids, e.position(b.state.window.epoch).String())
		}
	}
	if r.start.Last > 0 {
		return ids[len(ids)-r.start.Last:]
	}
	return ids[:n]
}

// An event is written only to the subscribers of its topic.
func TestPublishReachesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNowhere()
		b := &Broker{Park: true, Streams: StreamOptions{Heartbeat: -1}}
		b.state.loops.newPoller = func() (poll.Poller, error) { return network, nil }
		subscribeNowhere(t, b, 1000, func(i int) string { return fmt.Sprint("topic-", i) })
		synctest.Wait()
		before := network.written.Load()
		mustPublish(t, b, "topic-5")
		mustPublish(t, b, "without subscribers")
		synctest.Wait()
		if n := network.written.Load() - before; n != 1 {
			t.Errorf("got %d writes, want 1", n)
		}
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkPublish publishes without subscribers, and with one subscription by
// Broker.Subscribe.
func BenchmarkPublish(b *testing.B) {
	event := Event{Data: strings.Repeat("x", 100)}
	b.Run("nobody", func(b *testing.B) {
		var broker Broker
		b.ReportAllocs()
		for b.Loop() {
			if _, err := broker.Publish(context.Background(), event, "news"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("called", func(b *testing.B) {
		var broker Broker
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		ready := make(chan struct{})
		broker.OnConnect = func(Subscriber) { close(ready) }
		go func() {
			defer close(done)
			sel := Selection{Topics: []string{"news"}, MaxLag: -1, MaxLagBytes: -1}
			for range broker.Subscribe(ctx, sel, Start{}) {
			}
		}()
		<-ready
		b.ReportAllocs()
		for b.Loop() {
			if _, err := broker.Publish(context.Background(), event, "news"); err != nil {
				b.Fatal(err)
			}
		}
		cancel()
		<-done
	})
}

// The window takes at most about twice Retention.Bytes, even if topics need most of
// this memory. The second half is for topics and bookkeeping. This test is not
// parallel, because it measures the heap.
func TestWindowMemory(t *testing.T) {
	const limit, events = 8 << 20, 60
	for _, lossless := range []bool{true, false} {
		before := heap.InUse()
		w := newWindow(Retention{Bytes: limit}, nil)
		w.lossless = lossless
		for i := range events {
			topics := make([]string, maxTopics)
			for j := range topics {
				topics[j] = fmt.Sprintf("group/%d/%d", i, j)
			}
			event := Event{Data: "x"}
			d := newDraft(&event)
			w.publish(&d, topics, time.Unix(int64(i), 0))
		}
		most := int64(2 * limit)
		if !lossless {
			// Without a log, the window also stores topics that have only a loss
			// mark: the position of the newest event that was lost.
			most += 2 * maxUnusedBytes
		}
		if used := int64(heap.InUse() - before); used > most || w.live < 2 {
			t.Errorf("lossless %t: %d events with %d new topics each take %d bytes, "+
				"and the last %d are retained; want at most %d bytes, and more than 1 event",
				lossless, events, maxTopics, used, w.live, most)
		}
		runtime.KeepAlive(&w)
	}
}

// The window counts the memory of the patterns' chains. Without that, these patterns
// would take 32 MiB, because each of 1,023 patterns selects each of 2,000 events. This
// test is not parallel, because it measures the heap.
func TestPatternMemory(t *testing.T) {
	const limit = 2 << 20
	topic := strings.Repeat("a/", 9) + "a"
	w := newWindow(Retention{Bytes: limit}, nil)
	var s subscriber
	s.join(&w, nil, allPatterns(topic))
	before := heap.InUse()
	for range 2000 {
		event := Event{Data: "x"}
		d := newDraft(&event)
		w.publish(&d, []string{topic}, time.Unix(0, 0))
	}
	if used := int64(heap.InUse() - before); used > 3*limit || w.live < 2 {
		t.Errorf("the entries take %d bytes, and %d of them are retained; want at most %d bytes, "+
			"and more than 1 entry", used, w.live, 3*limit)
	}
	s.leave(&w)
	if want := int64(w.live)*w.entries[w.first].overhead() + w.topics[topic].memory; w.overhead != want {
		t.Errorf("without patterns, the overhead is %d, want %d", w.overhead, want)
	}
}

// The overhead of the window is its memory in addition to the encoded events. After each
// event, it is the sum for the entries and topics that the window has at that time.
func TestWindowCountsMemory(t *testing.T) {
	t.Parallel()
	rng := testrand.New(t)
	rules := []TopicRetention{{Pattern: Pattern{"rule/*"}, Events: 2}}
	w := newWindow(Retention{Events: 20, Age: time.Hour}, rules)
	check := func() {
		t.Helper()
		var want int64
		topics := map[*topicState]bool{}
		for _, e := range w.entries[w.first:] {
			if !e.removed {
				want += e.overhead()
				for _, topic := range e.topics {
					topics[topic] = true
				}
				for _, c := range w.chainsOf(e) {
					want += c.itemOverhead()
				}
			}
		}
		for topic := range topics {
			want += topic.memory
		}
		if w.overhead != want || w.usedTopics != len(topics) {
			t.Fatalf("the overhead is %d with %d topics, want %d with %d",
				w.overhead, w.usedTopics, want, len(topics))
		}
	}
	now := time.Unix(0, 0)
	var members []*subscriber
	for i := range 500 {
		switch rng.IntN(10) {
		case 0:
			m := &subscriber{cursor: Position{Seq: rng.Uint64N(w.last.Seq + 1)}}
			m.join(&w, nil, []Pattern{{"rule/*"}, {fmt.Sprint("other/", rng.IntN(3), "/**")}, {"**"}})
			members = append(members, m)
		case 1, 2:
			for _, m := range members {
				m.leave(&w)
			}
			members = nil
		}
		check()
		topics := []string{fmt.Sprint("rule/", rng.IntN(5))}
		for range rng.IntN(3) {
			topics = append(topics, fmt.Sprint("other/", rng.IntN(30)))
		}
		event := Event{Data: "x"}
		if rng.IntN(2) == 0 {
			event.ID = fmt.Sprint(i)
		}
		d := newDraft(&event)
		now = now.Add(time.Minute)
		w.publish(&d, topics, now)
		check()
	}
	w.expire(now.Add(2 * time.Hour))
	check()
	if w.overhead != 0 || w.usedTopics != 0 {
		t.Errorf("the overhead without entries is %d with %d topics, want 0", w.overhead, w.usedTopics)
	}
}

// A broker has at most a million topics. An event on one more topic removes the
// oldest events, even if Retention has no limits. A subscriber with one more topic is
// refused.
func TestLimitOfAllTopics(t *testing.T) {
	synctest.Test(t, testLimitOfAllTopics)
}

func testLimitOfAllTopics(t *testing.T) {
	w := newWindow(Retention{Events: -1, Bytes: -1}, nil)
	publish := func(topics ...string) {
		event := Event{Data: "x"}
		d := newDraft(&event)
		w.publish(&d, topics, time.Unix(0, 0))
	}
	publish("a")
	publish("b")
	w.usedTopics += maxAllTopics - 2 // as if other events had all the other topics
	if publish("a"); w.live != 3 {
		t.Errorf("at the limit, %d events are retained, want 3", w.live)
	}
	if publish("c"); w.live != 2 || w.topics["b"].chain.last() != nil {
		t.Errorf("above the limit, %d events are retained, want 2, of the topics a and c", w.live)
	}

	st := &state{window: newWindow(Retention{Age: time.Minute}, nil)}
	for i := range maxAllTopics - 1 {
		st.window.topics[fmt.Sprint(i)] = nil
	}
	if err := st.checkTopicCount(1); err != nil {
		t.Errorf("up to the limit: %v", err)
	}
	if err := st.checkTopicCount(2); err == nil {
		t.Error("above the limit, a subscriber is accepted")
	}
	event := Event{Data: "x"}
	d := newDraft(&event)
	st.window.lossless = true // so that no loss mark of the topic is stored
	st.window.publish(&d, []string{"short"}, time.Now())
	if err := st.checkTopicCount(1); err == nil {
		t.Error("with one more topic that has an event, a subscriber is accepted")
	}
	time.Sleep(time.Minute + 1)
	if err := st.checkTopicCount(1); err != nil {
		t.Errorf("the event is too old, but its topic counts: %v", err)
	}
}
