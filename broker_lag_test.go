package sse_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/heap"
)

// Stalled subscribers, which read nothing, delay neither publishers nor healthy
// subscribers, which read everything at once.
func TestStallDelaysNoOther(t *testing.T) {
	subscribers, events := 1000, 10
	switch {
	case brokertest.Soak:
		events = 2000
	case testing.Short():
		subscribers = 100
	}
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil // so that stalled streams stay open
		}
		f.Serve()
		stalled := f.Readers(subscribers/10, "")
		healthy := f.Readers(subscribers-len(stalled), "")
		for _, r := range healthy {
			r.Start()
		}
		start := time.Now()
		for i := range events {
			f.Publish(brokertest.Numbered(i, 16<<10))
			synctest.Wait() // so that the healthy subscribers do not fall behind
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("publishing took %v, want no waiting", waited)
		}
		for i, r := range healthy {
			got := r.Data()
			for k := range events {
				if k >= len(got) || got[k] != fmt.Sprint(k) {
					t.Fatalf("healthy subscriber %d received %q, want event %d next", i, got, k)
				}
			}
		}
		behind := 0
		for _, s := range f.Broker.Subscribers() {
			if s.Lag > 0 && s.LagBytes >= int64(s.Lag)*16<<10 {
				behind++
			}
		}
		if behind != len(stalled) {
			t.Errorf("%d subscribers are behind, want %d", behind, len(stalled))
		}
	})
}

// Subscribers that read nothing need no more memory as time passes. When they read
// again, each of them receives one gap, or its stream has ended.
func TestStallForTenMinutes(t *testing.T) {
	subscribers := 200
	switch {
	case brokertest.Soak:
		subscribers = 1000
	case testing.Short():
		subscribers = 50
	}
	const retained, perSecond = 100, 10
	for _, test := range []struct {
		name   string
		lag    sse.LagPolicy
		maxLag int
		want   []string // after the events that were in the buffers of the connection
		reason error    // why the streams have ended; nil if they have not
	}{
		{"disconnect", sse.LagDisconnect, retained / 2, nil, sse.ErrLagging},
		{"disconnect, a limit above the retention", sse.LagDisconnect, 0,
			append([]string{"gap: trimmed"}, numbers(5900, 6000)...), nil},
		{"skip", sse.LagSkip, retained / 2, []string{"gap: lagging", "5999"}, nil},
		{"latest", sse.LagLatest, retained / 2, []string{"gap: lagging", "5999"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
				f.Broker.Retention.Events = retained
				f.Broker.Streams.WriteTimeout = time.Hour
				f.Broker.Select = func(*http.Request) (sse.Selection, error) {
					return sse.Selection{Lag: test.lag, MaxLag: test.maxLag}, nil
				}
				ends := brokertest.RecordEnds(&f.Broker)
				f.Options.BufferSize = 4 << 10
				f.Serve()
				stalled := f.Readers(subscribers, "")
				var before uint64
				for i := range 600 * perSecond {
					f.Publish(brokertest.Numbered(i, 1<<10))
					if i%perSecond == 0 {
						time.Sleep(time.Second)
					}
					if i == 60*perSecond {
						before = heap.InUse()
					}
				}
				if after := heap.InUse(); after > before+1<<20 {
					t.Errorf("the heap has grown from %d to %d bytes", before, after)
				}
				for i, r := range stalled {
					r.Start()
					synctest.Wait()
					got := r.Data()
					n := 0
					for n < len(got) && got[n] == fmt.Sprint(n) {
						n++
					}
					if fmt.Sprint(got[n:]) != fmt.Sprint(test.want) {
						t.Fatalf("subscriber %d received %q and then %q, want %q", i, got[:n], got[n:],
							test.want)
					}
				}
				ends.Want(t, test.reason, map[bool]int{true: subscribers}[test.reason != nil])
			})
		})
	}
}

func numbers(from, to int) []string {
	var texts []string
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprint(i))
	}
	return texts
}

// A subscriber that accepts no bytes for WriteTimeout is removed. The broker checks a
// parked stream only at the next tick: a sixteenth of the heartbeat interval, but at
// most a second, and a second without heartbeats. Ticks are counted from the time at
// which the first stream begins.
func TestStallIsFreed(t *testing.T) {
	const n, ms = 20, 1e6
	for _, test := range []struct {
		heartbeat, timeout time.Duration
		publish            time.Duration // time of the event that the subscribers do not read
		held, parked       time.Duration // how long the subscribers then stay
	}{
		{0, 5000 * ms, 7000 * ms, 5000 * ms, 5187.5 * ms}, // until the end of tick 13
		{16_000 * ms, 5000 * ms, 7000 * ms, 5000 * ms, 5000 * ms},
		{16_000 * ms, 5000 * ms, 7500 * ms, 5000 * ms, 5500 * ms},
		{1000 * ms, 5000 * ms, 7000 * ms, 6000 * ms, 5000 * ms}, // held: with a grace of a second
		{-1, 5000 * ms, 7250 * ms, 5000 * ms, 5750 * ms},
		{-1, 100_000 * ms, 7000 * ms, 100_000 * ms, 100_000 * ms},
		{-1, 1, 7500 * ms, 1, 500 * ms},
	} {
		inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
			f.Broker.Streams.Heartbeat, f.Broker.Streams.WriteTimeout = test.heartbeat, test.timeout
			ends := brokertest.RecordEnds(&f.Broker)
			f.Serve()
			f.Readers(n, "")
			time.Sleep(test.publish)
			start := time.Now()
			f.Publish(brokertest.Numbered(0, 1<<20))
			time.Sleep(10 * time.Minute)
			ends.Want(t, sse.ErrPeerGone, n)
			want := test.held
			if f.Broker.Park {
				want = test.parked
			}
			for _, at := range ends.Times() {
				if stayed := at.Sub(start); stayed != want {
					t.Fatalf("%+v: a subscriber was removed after %v, want %v", test, stayed, want)
				}
			}
			if left := f.Broker.Subscribers(); len(left) != 0 {
				t.Errorf("%d subscribers are left", len(left))
			}
		})
	}
}

// An event postpones the next heartbeat. After a blocked write, the heartbeats continue
// at the same interval, however long WriteTimeout is. A heartbeat that was due during the
// write is sent after it if the stream is held, and not sent if the stream is parked.
func TestHeartbeatAfterBlockedWrite(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		heartbeat, writeTimeout time.Duration
		held, parked            []time.Duration
	}{
		{16 * second, time.Hour, []time.Duration{36 * second, 56 * second, 72 * second},
			[]time.Duration{33 * second, 56 * second, 72 * second}},
		{16 * second, -1, []time.Duration{36 * second, 56 * second, 72 * second},
			[]time.Duration{33 * second, 56 * second, 72 * second}},
		{-1, 30 * second, nil, nil},
		{-1, -1, nil, nil},
	} {
		inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
			f.Broker.Streams.Heartbeat, f.Broker.Streams.WriteTimeout = test.heartbeat, test.writeTimeout
			f.Broker.Cursor = sse.CursorOff
			f.Serve()
			start := time.Now()
			begin := make(chan struct{})
			s := listenRaw(t, f, "", begin)
			time.Sleep(second)
			f.Publish(strings.Repeat("x", 8<<20)) // more than an HTTP/2 client reads ahead
			time.Sleep(19 * second)
			close(begin)
			s.takeHeartbeats(start)
			time.Sleep(20 * second)
			f.Publish("y")
			time.Sleep(40 * second)
			want := test.held
			if f.Broker.Park {
				want = test.parked
			}
			if got := s.takeHeartbeats(start); !slices.Equal(got, want) {
				t.Errorf("%v, %v: the heartbeats came after %v, want %v", test.heartbeat,
					test.writeTimeout, got, want)
			}
		})
	}
}

// A heartbeat that is due while a slow filter runs is sent when the filter has rejected
// the event, even if a second event follows.
func TestHeartbeatAfterSlowFilter(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Streams.Heartbeat, f.Broker.Cursor = 16*time.Second, sse.CursorOff
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Filter: func(e *sse.Entry) bool {
				if e.Event.Data == "slow" {
					time.Sleep(20 * time.Second)
				}
				return false
			}}, nil
		}
		f.Serve()
		start := time.Now()
		s := listenRaw(t, f, "", nil)
		f.Publish("slow")
		f.Publish("fast")
		time.Sleep(time.Minute)
		want := []time.Duration{0, 20 * time.Second, 36 * time.Second, 52 * time.Second}
		if got := s.takeHeartbeats(start); !slices.Equal(got, want) {
			t.Errorf("the heartbeats came after %v, want %v", got, want)
		}
	})
}

// A subscriber that is exactly MaxLag events or MaxLagBytes behind receives all events.
// With one event or byte more, it ends with ErrLagging. An event counts once for each
// selected topic.
func TestLagLimits(t *testing.T) {
	const size = int64(len("22\r\nid: ~1.0123456789abcdef\ndata: x\n\n\r\n")) // of an event
	a, ab := []string{"a"}, []string{"a", "b"}
	for _, test := range []struct {
		name           string
		sel            sse.Selection
		topics         []string // of each event
		events, others int      // numbers of the events, and of unselected events before them
		want           error
	}{
		{"MaxLag", sse.Selection{Topics: a, MaxLag: 3}, a, 3, 9, nil},
		{"above MaxLag", sse.Selection{Topics: a, MaxLag: 3}, a, 4, 0, sse.ErrLagging},
		{"MaxLag in two topics", sse.Selection{Topics: ab, MaxLag: 4}, ab, 2, 9, nil},
		{"above MaxLag in two topics", sse.Selection{Topics: ab, MaxLag: 3}, ab, 2, 0, sse.ErrLagging},
		{"MaxLagBytes", sse.Selection{Topics: a, MaxLag: -1, MaxLagBytes: 3 * size}, a, 3, 0, nil},
		{"above MaxLagBytes", sse.Selection{Topics: a, MaxLag: -1, MaxLagBytes: 3*size - 1}, a, 3, 0,
			sse.ErrLagging},
		{"default", sse.Selection{Topics: a}, a, 4096, 0, nil},
		{"above the default", sse.Selection{Topics: a}, a, 4097, 0, sse.ErrLagging},
		{"no limit", sse.Selection{Topics: a, MaxLag: -1, MaxLagBytes: -1}, a, 4097, 0, nil},
	} {
		for _, subscribers := range []int{1, 9} { // a publisher itself wakes up to 8
			t.Run(fmt.Sprint(test.name, ", ", subscribers), func(t *testing.T) {
				var broker sse.Broker
				publishAll(t, &broker, "first a")
				var loops []*slowLoop
				for range subscribers {
					loops = append(loops, newSlowLoop(t, &broker, test.sel))
				}
				entries := slices.Repeat([]sse.Entry{{Topics: []string{"other"}}}, test.others)
				event := sse.Entry{Topics: test.topics, Event: sse.Event{Data: "x"}}
				entries = append(entries, slices.Repeat([]sse.Entry{event}, test.events)...)
				if _, err := broker.Append(t.Context(), sse.AppendRequest{Entries: entries}); err != nil {
					t.Fatal(err)
				}
				for _, l := range loops {
					var err error
					for i := 0; i < test.events && err == nil; i++ {
						_, err, _ = l.pull()
					}
					if !errors.Is(err, test.want) {
						t.Fatalf("the subscription ended with %v, want %v", err, test.want)
					}
				}
			})
		}
	}
}

// skipping is a case of TestLagSkips. The words of an event in published and later are its
// data and its topics.
type skipping struct {
	name      string
	lag       sse.LagPolicy
	retained  int      // if not 0, older events are only in the log
	published []string // while the subscriber is busy with an event on the topic a
	forget    string   // topic of which all events are then removed, or empty
	want      []string
	later     []string // published after the first of want was received, and before "end e"
	dropped   int      // sum of the numbers that OnDrop receives
}

var skippings = []skipping{
	{name: "latest", lag: sse.LagLatest, published: []string{"1 b", "2 a", "3 a", "4 c"},
		want: []string{"gap: lagging", "1", "3", "4"}, dropped: 1},
	{name: "latest, nothing to skip", lag: sse.LagLatest,
		published: []string{"1 a", "2 b", "3 c", "4 d"}, want: []string{"1", "2", "3", "4"}},
	{name: "latest, with events on several topics", lag: sse.LagLatest,
		published: []string{"1 a b", "2 c a", "3 a unselected", "4 a"},
		want:      []string{"gap: lagging", "1", "2", "4"}, dropped: 1},
	{name: "latest, and all later events", lag: sse.LagLatest,
		published: []string{"1 b", "2 a", "3 a", "4 e"}, later: []string{"5 a", "6 a"},
		want: []string{"gap: lagging", "1", "5", "6"}, dropped: 3},
	{name: "latest, with older events in a log", lag: sse.LagLatest, retained: 4,
		published: []string{"1 c", "2 a", "3 b", "4 a", "5 a", "6 a", "7 a"},
		want:      []string{"gap: lagging", "1", "3", "7"}, dropped: 4},
	{name: "latest, nothing to skip, with a log", lag: sse.LagLatest, retained: 4,
		published: []string{"1 a", "2 b", "3 c", "4 d"}, want: []string{"1", "2", "3", "4"}},
	{name: "newest, after a gap for the same events", lag: sse.LagSkip, published: []string{"1 a", "2 a", "3 a", "4 b"},
		forget: "b", want: []string{"gap: trimmed"}, dropped: 3},
	{name: "newest, all others removed", lag: sse.LagSkip,
		published: []string{"1 a b", "2 a b", "3 a b", "4 a b"}, forget: "b", later: []string{"5 a"},
		want: []string{"gap: trimmed", "5"}},
	{name: "latest, all others removed", lag: sse.LagLatest,
		published: []string{"1 a b", "2 a b", "3 a b", "4 a b"}, forget: "b", later: []string{"5 a"},
		want: []string{"gap: trimmed", "5"}},
	{name: "newest, only one event", lag: sse.LagSkip, published: []string{largeData + " a"},
		want: []string{largeData}},
	{name: "latest, only one event", lag: sse.LagLatest, published: []string{largeData + " a"},
		want: []string{largeData}},
}

var largeData = strings.Repeat("x", 1000)

// If a subscriber exceeds MaxLag or MaxLagBytes, LagSkip skips all events before the
// newest, and LagLatest skips the events for which each selected topic has a newer event.
// A gap precedes the other events, unless the client has received a gap for the skipped
// events already. OnDrop receives the number of skipped events.
func TestLagSkips(t *testing.T) {
	for _, test := range skippings {
		t.Run(test.name, func(t *testing.T) {
			dropped := 0
			broker := sse.Broker{OnDrop: func(_ sse.Subscriber, events int) { dropped += events }}
			if test.retained > 0 {
				broker.Log, broker.Retention.Events = brokertest.NewFakeLog(), test.retained
				t.Cleanup(func() { _ = broker.Shutdown(context.Background()) })
			}
			publishAll(t, &broker, "first a")
			topics := []string{"a", "b", "c", "d", "e"}
			l := newSlowLoop(t, &broker,
				sse.Selection{Topics: topics, Lag: test.lag, MaxLag: 3, MaxLagBytes: 500})
			last := publishAll(t, &broker, test.published...)
			if test.forget != "" {
				if err := broker.Forget(t.Context(), test.forget, last); err != nil {
					t.Fatal(err)
				}
			}
			got := []string{l.take()}
			publishAll(t, &broker, append(test.later, "end e")...)
			for got[len(got)-1] != "end" {
				got = append(got, l.take())
			}
			if want := slices.Concat(test.want, []string{"end"}); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if dropped != test.dropped {
				t.Errorf("OnDrop was called for %d events, want %d", dropped, test.dropped)
			}
		})
	}
}

// slowLoop is a loop over Broker.Subscribe that takes an event only when pull is called.
// The events after that event count as lag.
type slowLoop struct {
	t    *testing.T
	pull func() (sse.Event, error, bool)
}

// newSlowLoop returns a slowLoop that has taken the newest event.
func newSlowLoop(t *testing.T, b *sse.Broker, sel sse.Selection) *slowLoop {
	t.Helper()
	pull, stop := iter.Pull2(b.Subscribe(t.Context(), sel, sse.Start{Last: 1}))
	t.Cleanup(stop)
	l := &slowLoop{t, pull}
	l.take()
	return l
}

// take takes the next event. It returns the data of the event, or for a gap "gap: " and
// its reason.
func (l *slowLoop) take() string {
	l.t.Helper()
	event, err, _ := l.pull()
	if err != nil {
		l.t.Fatal(err)
	}
	return brokertest.DataAndGaps([]sse.Event{event})[0]
}

// publishAll publishes events, and returns the position of the last one. The words of
// each event are its data and its topics.
func publishAll(t *testing.T, b *sse.Broker, events ...string) (last sse.Position) {
	t.Helper()
	for _, event := range events {
		words := strings.Fields(event)
		var err error
		if last, err = b.Publish(t.Context(), sse.Event{Data: words[0]}, words[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// MaxLag does not apply to a subscriber that has not caught up yet: such a subscriber
// may be more than MaxLag stored events behind.
func TestCatchingUpIsNoLag(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = selectLag(sse.LagDisconnect, 3)
		f.Options.BufferSize = 1 << 10
		var ends []error
		f.Broker.OnDisconnect = func(_ sse.Subscriber, err error) { ends = append(ends, err) }
		f.Serve()
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			f.Publish(want[i], "a")
		}
		f.Listen("?since=earliest").Want(t, want...)
		if len(ends) > 0 {
			t.Errorf("the stream ended: %v", ends)
		}
	})
}

// selectLag returns a Broker.Select for the topic a. most is the MaxLag.
func selectLag(lag sse.LagPolicy, most int) func(*http.Request) (sse.Selection, error) {
	return func(*http.Request) (sse.Selection, error) {
		return sse.Selection{Topics: []string{"a"}, Lag: lag, MaxLag: most}, nil
	}
}
