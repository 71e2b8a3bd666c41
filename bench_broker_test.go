package sse

import (
	"context"
	"fmt"
	"testing"
)

// Issue 4, acceptance 4: what a subscriber costs depends on what it gets, not on
// what there is besides.

// fill publishes events of many topics, "group/topic", in turn.
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

// publishRare publishes 10 events of a topic, spread over others.
func publishRare(tb testing.TB, b *Broker, foreign int) {
	tb.Helper()
	for range 10 {
		mustPublish(tb, b, "rare")
		for i := range foreign / 10 {
			mustPublish(tb, b, fmt.Sprint("foreign/", i%100))
		}
	}
}

// take subscribes, and leaves after n events.
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

// resumes are ways to come back for 10 events.
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
		last := b.core.win.last.Seq
		return Start{After: b.core.win.positionAt(last - n)}
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

// BenchmarkPublishToOne has subscribers with a topic each, parked on a network
// that takes everything: an event is published to one, and reaches it.
func BenchmarkPublishToOne(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			to := newNowhere()
			broker := &Broker{Park: true, Stream: AcceptOptions{Heartbeat: -1}}
			broker.core.loops.create = func() (poller, error) { return to, nil }
			subscribeNowhere(b, broker, n, func(i int) string { return fmt.Sprint("topic-", i) })
			b.ReportAllocs()
			for b.Loop() {
				to.want = to.written.Load() + 1
				mustPublish(b, broker, "topic-5")
				<-to.reached
			}
			b.StopTimer()
			if err := broker.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
