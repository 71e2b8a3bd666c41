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
	"github.com/sse-go/sse/internal/reflog"
)

// What the resume property has found, each as small as it can be.

// A connection that ends between what is kept and the gap takes neither along.
func TestGapComesFirst(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.TopicRetention = []sse.Retention{{Pattern: mustPattern(t, "short"), Events: 1}}
		f.serve()
		first := f.publish("1", "long")
		f.publish("2", "short")
		kept := f.publish("3", "long")
		lost := f.publish("4", "short")
		f.publish("5", "short")
		sel := sse.Selection{Topics: []string{"long", "short"}}
		var got []string
		var gap sse.Gap
		start := sse.Start{After: first}
		for len(got) < 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			for event, err := range f.broker.Subscribe(ctx, sel, start) {
				if err != nil {
					t.Fatal(err)
				}
				if event.Type == "sse.gap" {
					if gap, err = sse.Decode[sse.Gap](event); err != nil {
						t.Fatal(err)
					}
					continue
				}
				got = append(got, event.Data+" after the gap up to "+gap.Available)
				if start.After, err = sse.ParsePosition(event.ID); err != nil {
					t.Fatal(err)
				}
				break // and comes back
			}
			cancel()
		}
		if gap.Asked != kept.String() {
			t.Errorf("the second gap is after %q, want the rest of the first", gap.Asked)
		}
		want := []string{"3 after the gap up to " + lost.String(), "5 after the gap up to " + lost.String()}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// LagSkip: where there is nothing before the newest event there is nothing to
// skip, however large that is.
func TestSkipOfNothing(t *testing.T) {
	for _, lag := range []sse.LagPolicy{sse.LagSkip, sse.LagLatest} {
		synctest.Test(t, func(t *testing.T) {
			f := &brokerFixture{t: t}
			f.serve()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sel := sse.Selection{Topics: []string{"a"}, Lag: lag, MaxLagBytes: 100}
			var got []sse.Event
			var wait bool
			go func() {
				for event, err := range f.broker.Subscribe(ctx, sel, sse.Start{}) {
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
			f.publish("first", "a")
			synctest.Wait()
			f.publish(strings.Repeat("x", 1000), "a")
			time.Sleep(time.Minute)
			synctest.Wait()
			if data := dataAndGaps(got); len(data) != 2 || data[0] != "first" || len(data[1]) != 1000 {
				t.Errorf("%s: got %.60q, want two events", lag, data)
			}
		})
	}
}

// One who is over the limit in bytes is told so, however few events those are.
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
				t.Errorf("after 4 events of %d bytes it ended with %v, want %v", tt.size, reason, tt.want)
			}
			cancel()
			<-done
		})
	}
}

// What has become too old for the memory since it was last looked at is in the log.
func TestSinceWhatMemoryLetGo(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Log = reflog.New(&reflog.Options{})
		f.broker.Retention = sse.Retention{Age: time.Second}
		f.serve()
		f.publish("before")
		time.Sleep(time.Millisecond)
		f.publish("1")
		f.publish("2")
		time.Sleep(time.Minute)
		f.listen("?since=1m").want(t, "1", "2")
	})
}

// A log may remove an event before the broker has followed it.
func TestLossBeforeFollow(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		log := reflog.New(&reflog.Options{Retention: []reflog.Retention{{Entries: 1}}})
		f.broker.Log = log
		f.serve()
		l := f.listen("?topic=a")
		f.publish("1", "a")
		l.want(t, "1")
		var entries []sse.Entry
		for _, data := range []string{"2", "3"} {
			entries = append(entries, sse.Entry{
				Time: time.Now(), Topics: []string{"a"}, Event: sse.Event{Data: data},
			})
		}
		if _, err := log.Append(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
		l.want(t, "1", "gap: trimmed", "3")
	})
}

// A start at a time is exact with a log too, and tells what is lost since.
func TestSinceWithLog(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		log := reflog.New(&reflog.Options{Retention: []reflog.Retention{{Entries: 1}}})
		f.broker.Log = log
		f.serve()
		for _, data := range []string{"1", "2", "3"} {
			f.publish(data, "a")
			time.Sleep(10 * time.Second)
		}
		// The broker has all of them, the log only the last.
		f.listen("?topic=a&since=25s").want(t, "2", "3")
		f.listen("?topic=a&since=15s").want(t, "3")
		second := brokerFixture{t: t, opts: f.opts}
		second.broker.Log = log
		second.serve()
		second.listen("?topic=a&since=25s").want(t, "gap: trimmed", "3")
		second.listen("?topic=a&since=15s").want(t, "3")
		second.listen("?topic=a&since=5s").want(t)
	})
}

// A page of the log of which nothing could be written is looked up again.
func TestPageThatFindsNoRoom(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		log := reflog.New(nil)
		f.broker.Log = log
		f.broker.Retention.Events = 1
		f.opts.BufferSize = 1
		f.serve()
		var want []string
		for i := range 40 {
			data := fmt.Sprint(i, strings.Repeat("x", 5000)) // several pages
			want = append(want, data)
			f.publish(data, "a")
		}
		l := f.listen("?topic=a&since=earliest")
		if got := l.data(); !slices.Equal(got, want) {
			t.Errorf("got %d events, want %d", len(got), len(want))
		}
	})
}

// Who catches up does not lag, and what LagLatest has passed over stays so, also
// if the connection has not taken all of it at once.
func TestCatchingUpIsNoLag(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Select = selectLag(sse.LagDisconnect, 3)
		f.opts.BufferSize = 1 << 10
		var ends []error
		f.broker.OnDisconnect = func(_ sse.Subscriber, err error) { ends = append(ends, err) }
		f.serve()
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			f.publish(want[i], "a")
		}
		f.listen("?since=earliest").want(t, want...)
		if len(ends) > 0 {
			t.Errorf("the stream ended: %v", ends)
		}
	})
}

// selectLag is a Broker.Select for the topic a.
func selectLag(lag sse.LagPolicy, most int) func(*http.Request) (sse.Selection, error) {
	return func(*http.Request) (sse.Selection, error) {
		return sse.Selection{Topics: []string{"a"}, Lag: lag, MaxLag: most}, nil
	}
}
