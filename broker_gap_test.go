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
)

// A gap is sent before all stored events, even before events that are older than some
// of the lost events. Here the events 2 and 4 are lost, and the gap precedes event 3.
// So a client whose connection ends after event 3 has received the gap. When the
// client resumes, it receives a second gap for the rest, event 4.
func TestGapComesFirst(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.TopicRetention = []sse.TopicRetention{{Pattern: mustPattern(t, "short"), Events: 1}}
		f.Serve()
		first := f.Publish("1", "long")
		f.Publish("2", "short")
		third := f.Publish("3", "long")
		lost := f.Publish("4", "short")
		f.Publish("5", "short")
		sel := sse.Selection{Topics: []string{"long", "short"}}
		var got []string
		var gap sse.Gap
		start := sse.Start{After: first}
		for len(got) < 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			for event, err := range f.Broker.Subscribe(ctx, sel, start) {
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
				break // the outer loop subscribes again
			}
			cancel()
		}
		if gap.Asked != third.String() {
			t.Errorf("the second gap is after %q, want after %q: the rest of the first gap",
				gap.Asked, third)
		}
		want := []string{"3 after the gap up to " + lost.String(), "5 after the gap up to " + lost.String()}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Two subscribers select the same pattern. If the second subscriber starts at an
// earlier position than the first, the second receives a gap for the removed events.
func TestSecondSubscriberOfPatternStartsEarlier(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Retention.Events = 3
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Patterns: []sse.Pattern{mustPattern(t, "room/*")}}, nil
		}
		f.Serve()
		before := f.Publish("0", "elsewhere")
		f.Publish("1", "room/1")
		f.Publish("2", "room/1")
		live := f.Listen("")
		f.Publish("3", "room/1")
		f.Publish("4", "room/1") // 1 is removed
		late := f.Listen("", func(c *sse.Client) { c.LastEventID = before.String() })
		live.Want(t, "3", "4")
		late.Want(t, "gap: trimmed", "2", "3", "4")
	})
}

// A stream that starts at the earliest event receives no gap for events removed
// before the start, but a gap for events that are lost later.
func TestGapAfterEarliestStart(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		log := brokertest.NewFakeLog()
		f.Broker.Log = log
		f.Broker.Retention.Events = 2
		f.Serve()
		f.Publish("1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sel := sse.Selection{MaxLag: -1, MaxLagBytes: -1}
		var all []sse.Event
		for e, err := range f.Broker.Subscribe(ctx, sel, sse.Start{Earliest: true}) {
			if err != nil {
				break
			}
			if all = append(all, e); len(all) > 1 {
				continue
			}
			for i := range 6 {
				f.Publish(fmt.Sprint(i + 2))
			}
			log.Remove(4)
		}
		want := []string{"1", "gap: trimmed", "5", "6", "7"}
		if got := brokertest.DataAndGaps(all); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// If the log has returned a gap without Available, the broker sets Available. The ID of
// the gap is the position at which the stream begins.
func TestGapWithoutLostPosition(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		log := brokertest.NewFakeLog()
		f.Broker.Log = log
		f.Broker.Retention.Events = 1
		f.Serve()
		for i := range 3 {
			f.Publish(fmt.Sprint(i))
		}
		l := f.Listen("", func(c *sse.Client) { c.LastEventID = "mine" })
		l.Want(t, "gap: unknown", "0", "1", "2")
		if id := l.Events()[0].ID; !strings.HasPrefix(id, "~0.") {
			t.Errorf("the gap has the id %q, want the position before the first event", id)
		}
		gap, _ := sse.Decode[sse.Gap](l.Events()[0])
		if gap.Available == "" {
			t.Errorf("the field Available of the gap is empty: %+v", gap)
		}
	})
}

// With LossRefuse, an open stream ends with ErrLagging if an event was removed before
// the subscriber had received it, even if the subscriber is not far behind.
func TestLossRefuseInOpenStream(t *testing.T) {
	for _, test := range []struct {
		name      string
		retention sse.Retention
		forget    bool
	}{
		{"Forget", sse.Retention{}, true},
		{"Retention", sse.Retention{Events: 1}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			broker := sse.Broker{Retention: test.retention}
			publish := func(data string) sse.Position {
				p, err := broker.Publish(t.Context(), sse.Event{Data: data})
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			publish("first")
			var got []string
			var reason error
			sel := sse.Selection{Loss: sse.LossRefuse}
			for event, err := range broker.Subscribe(t.Context(), sel, sse.Start{Last: 1}) {
				if reason = err; err != nil {
					break
				}
				if got = append(got, event.Data); len(got) > 1 {
					break
				}
				second := publish("second")
				if test.forget {
					if err := broker.Forget(t.Context(), "", second); err != nil {
						t.Fatal(err)
					}
				}
				publish("third")
			}
			if !slices.Equal(got, []string{"first"}) || !errors.Is(reason, sse.ErrLagging) {
				t.Errorf("got the events %q and the error %v, want the first and ErrLagging", got, reason)
			}
		})
	}
}

func TestBrokerGap(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Retention.Events = 3
		f.Serve()
		first := f.Publish("1", "a")
		for _, data := range []string{"2", "3", "4", "5"} {
			f.Publish(data, "a")
		}
		f.Publish("b", "b")
		// The broker stores 4, 5 and b.
		id := func(id string) func(*sse.Client) {
			return func(c *sse.Client) { c.LastEventID = id }
		}
		f.Listen("?topic=a", id(first.String())).Want(t, "gap: trimmed", "4", "5")
		f.Listen("?topic=b", id(first.String())).Want(t, "b")
		f.Listen("?topic=a", id("mine")).Want(t, "gap: unknown", "4", "5")
		foreign := first
		foreign.Epoch++
		f.Listen("?topic=a", id(foreign.String())).Want(t, "gap: epoch", "4", "5")
		foreign = first
		foreign.Seq = 99
		f.Listen("?topic=a", id(foreign.String())).Want(t, "gap: future", "4", "5")
		foreign = first
		foreign.Seq = 5
		f.Listen("?topic=a", id(foreign.String())).Want(t, "gap: check", "4", "5")
	})
}

// OnGap receives the gap that a stream receives. OnDrop is not called, because
// no lag policy has skipped an event.
func TestOnGap(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Retention.Events = 2
		var calls []string
		f.Broker.OnGap = func(s sse.Subscriber, gap sse.Gap) {
			calls = append(calls, fmt.Sprintf("%d %s %+v", s.ID, s.Topics, gap))
		}
		f.Broker.OnDrop = func(s sse.Subscriber, events int) {
			calls = append(calls, fmt.Sprint("drop ", s.ID, events))
		}
		f.Serve()
		first := f.Publish("1", "a")
		f.Publish("2", "a")
		lost := f.Publish("3", "a")
		f.Publish("4", "a")
		f.Publish("5", "a")
		f.Listen("?topic=a&lastEventId="+first.String()).Want(t, "gap: trimmed", "4", "5")
		want := []string{fmt.Sprintf("1 [a] %+v",
			sse.Gap{Asked: first.String(), Available: lost.String(), Why: sse.GapTrimmed})}
		if !slices.Equal(calls, want) {
			t.Errorf("got the calls %q, want %q", calls, want)
		}
	})
}

// When a lag policy skips events, OnDrop receives their number, and OnGap the gap
// that covers them. Before that, Lag and LagBytes in a Subscriber count the events that
// the subscriber has not received.
func TestOnDrop(t *testing.T) {
	for _, test := range []struct {
		lag     sse.LagPolicy
		dropped int
		want    []string
	}{
		{sse.LagSkip, 5, []string{"first", "gap: lagging", "6"}},
		{sse.LagLatest, 4, []string{"first", "gap: lagging", "5", "6"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var broker sse.Broker
			var calls []string
			broker.OnDrop = func(s sse.Subscriber, events int) {
				calls = append(calls, fmt.Sprint("drop ", s.Key, " ", events))
			}
			broker.OnGap = func(s sse.Subscriber, gap sse.Gap) {
				calls = append(calls, fmt.Sprintf("gap %s %+v", s.Key, gap))
			}
			ctx, cancel := context.WithCancel(t.Context())
			busy, done := make(chan struct{}), make(chan struct{})
			var got []sse.Event
			go func() {
				defer close(done)
				sel := sse.Selection{Topics: []string{"a", "b"}, Lag: test.lag, MaxLag: 3, Key: "k"}
				for event, err := range broker.Subscribe(ctx, sel, sse.Start{}) {
					if err != nil {
						return
					}
					if got = append(got, event); event.Data == "first" {
						<-busy
					}
				}
			}()
			synctest.Wait()
			publish := func(data, topic string) sse.Position {
				p, err := broker.Publish(ctx, sse.Event{Data: data}, topic)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				return p
			}
			first := publish("first", "a")
			publish("1", "a")
			one := broker.Subscribers()[0]
			publish("2", "b")
			publish("3", "a")
			publish("4", "b")
			before := publish("5", "a")
			last := publish("6", "b")
			s := broker.Subscribers()[0]
			if one.Lag != 1 || one.LagBytes <= int64(len("data: 1\n\n")) || s.Lag != 6 ||
				s.LagBytes != 6*one.LagBytes || s.Position != first {
				t.Errorf("got lags %d and %d, %d and %d bytes, at %v", one.Lag, s.Lag, one.LagBytes,
					s.LagBytes, s.Position)
			}
			close(busy)
			synctest.Wait()
			available := map[sse.LagPolicy]sse.Position{sse.LagSkip: before, sse.LagLatest: last}[test.lag]
			want := []string{fmt.Sprint("drop k ", test.dropped), fmt.Sprintf("gap k %+v",
				sse.Gap{Asked: first.String(), Available: available.String(), Why: sse.GapLagging})}
			if data := brokertest.DataAndGaps(got); !slices.Equal(data, test.want) ||
				!slices.Equal(calls, want) {
				t.Errorf("%s: got %q and the calls %q, want %q and %q", test.lag, data, calls,
					test.want, want)
			}
			cancel()
			<-done
		})
	}
}

// Broker.Subscribers returns the right value in every field of Subscriber, for held
// and for parked streams.
func TestSubscriberFields(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		pattern := mustPattern(t, "b/*")
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{
				Topics: []string{"a", "c"}, Patterns: []sse.Pattern{pattern}, Key: "ann",
			}, nil
		}
		serveRemotes(f)
		time.Sleep(time.Hour)
		since := time.Now()
		open(t, f, "remote=192.0.2.7:1234")
		time.Sleep(time.Minute)
		f.Publish("1", "b/1")
		synctest.Wait()
		at := f.Publish("2", "other") // not selected: the first stream's position stays before it
		open(t, f, "remote=pipe")
		list := f.Broker.Subscribers()
		if len(list) != 2 {
			t.Fatalf("got %d subscribers, want 2", len(list))
		}
		s := list[0]
		wait := map[bool]string{true: "parked", false: "held"}[f.Broker.Park]
		if s.ID != 1 || s.Key != "ann" || s.Remote != "192.0.2.7:1234" || !s.Since.Equal(since) ||
			!slices.Equal(s.Topics, []string{"a", "c"}) || !slices.Equal(s.Patterns, []sse.Pattern{pattern}) ||
			s.Lag != 0 || s.LagBytes != 0 || s.Wait != wait || s.Why != "" || s.Position.Seq != at.Seq-1 {
			t.Errorf("got %+v", s)
		}
		if list[1].ID != 2 || list[1].Remote != "pipe" || !list[1].Since.Equal(since.Add(time.Minute)) ||
			list[1].Position != at {
			t.Errorf("the second: got %+v", list[1])
		}
	})
}
