package sse_test

import (
	"context"
	"errors"
	"fmt"
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

// LagSkip and LagLatest skip nothing if a subscriber is only one event behind, however
// large that event is.
func TestSkipOfNothing(t *testing.T) {
	for _, lag := range []sse.LagPolicy{sse.LagSkip, sse.LagLatest} {
		synctest.Test(t, func(t *testing.T) {
			f := &brokertest.Fixture{T: t}
			f.Serve()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sel := sse.Selection{Topics: []string{"a"}, Lag: lag, MaxLagBytes: 100}
			var got []sse.Event
			var wait bool
			go func() {
				for event, err := range f.Broker.Subscribe(ctx, sel, sse.Start{}) {
					if err != nil {
						return
					}
					if got = append(got, event); len(got) > 10 {
						return
					}
					if wait {
						time.Sleep(time.Second)
					}
				}
			}()
			synctest.Wait()
			wait = true
			f.Publish("first", "a")
			synctest.Wait()
			f.Publish(strings.Repeat("x", 1000), "a")
			time.Sleep(time.Minute)
			synctest.Wait()
			if data := brokertest.DataAndGaps(got); len(data) != 2 || data[0] != "first" || len(data[1]) != 1000 {
				t.Errorf("%s: got %.60q, want two events", lag, data)
			}
		})
	}
}

// A subscriber that exceeds MaxLagBytes ends with ErrLagging, however few
// events it is behind.
func TestLagInBytes(t *testing.T) {
	for _, tt := range []struct {
		size int
		want error
	}{{300, nil}, {600, sse.ErrLagging}} {
		synctest.Test(t, func(t *testing.T) {
			var broker sse.Broker
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var reason error
			done, busy := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for event, err := range broker.Subscribe(ctx, sse.Selection{MaxLagBytes: 2000}, sse.Start{}) {
					if err != nil {
						reason = err
					} else if event.Data == "first" {
						<-busy
					}
				}
			}()
			synctest.Wait()
			data := strings.Repeat("x", tt.size)
			for _, data := range []string{"first", data, data, data, data} {
				if _, err := broker.Publish(ctx, sse.Event{Data: data}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			close(busy)
			synctest.Wait()
			if !errors.Is(reason, tt.want) || tt.want == nil && reason != nil {
				t.Errorf("after 4 events of %d bytes the subscription ended with %v, want %v",
					tt.size, reason, tt.want)
			}
			cancel()
			<-done
		})
	}
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
