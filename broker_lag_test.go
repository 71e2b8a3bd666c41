package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// A subscriber that accepts no bytes for WriteTimeout is removed. The broker checks
// parked streams only about once a second (at each tick of the timer wheel), so a
// parked subscriber may be removed up to a second later.
func TestStallIsFreed(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Streams.WriteTimeout = 5 * time.Second
		ends := brokertest.RecordEnds(&f.Broker)
		f.Serve()
		const n = 100
		f.Readers(n, "")
		time.Sleep(7 * time.Second)
		start := time.Now()
		f.Publish(brokertest.Numbered(0, 1<<20))
		time.Sleep(15*time.Second + 6*time.Second)
		ends.Want(t, sse.ErrPeerGone, n)
		for _, at := range ends.Times() {
			waited := at.Sub(start)
			if f.Broker.Park && (waited < 5*time.Second || waited > 6*time.Second) ||
				!f.Broker.Park && waited != 5*time.Second {
				t.Fatalf("a subscriber was removed after %v, want 5s, or up to 6s if parked", waited)
			}
		}
		if left := f.Broker.Subscribers(); len(left) != 0 {
			t.Errorf("%d subscribers are left", len(left))
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
