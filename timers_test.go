package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/poll"
	"github.com/sse-go/sse/internal/poll/polltest"
	"github.com/sse-go/sse/internal/testrand"
)

// inTimers runs a test in fake time with n parked subscribers, which the broker accepts
// at the start. The test holds the broker's lock, so that no timer function runs.
func inTimers(t *testing.T, broker *Broker, n int, test func(st *state, start time.Time)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		broker.state.loops.newPoller = func() (poll.Poller, error) { return newNowhere(), nil }
		start := time.Now()
		subscribeNowhere(t, broker, n, func(int) string { return "a" })
		synctest.Wait()
		func() {
			broker.state.mu.Lock()
			defer broker.state.mu.Unlock()
			test(&broker.state, start)
		}()
		if err := broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// If the timer fires late, the broker handles all subscribers for which something was
// due, and each only once, even if a write has been blocked meanwhile. If something was
// due before, the timer fires at the next tick.
func TestLateTimer(t *testing.T) {
	broker := &Broker{Streams: StreamOptions{Heartbeat: 16 * time.Second}}
	inTimers(t, broker, 3, func(st *state, start time.Time) {
		for i, s := range st.subscribers {
			st.timers.remove(s)
			st.timers.add(s, start.Add(time.Duration(10+i)*time.Second))
		}
		late := start.Add(time.Minute)
		st.timers.reschedule(st.subscribers[2], late)
		st.timers.turn(late)
		for i, s := range st.subscribers {
			if !s.heartbeatDue || s.lastActivity != late.UnixNano() {
				t.Errorf("subscriber %d was not handled", i)
			}
		}
		if next := st.timers.next(); !next.After(late) || st.timers.count != 3 {
			t.Errorf("%d subscribers are in the wheel, the next is due at %v, want 3 after %v",
				st.timers.count, next, late)
		}
		st.timers.remove(st.subscribers[0])
		st.timers.add(st.subscribers[0], start)
		if got, want := st.timers.next(), late.Add(time.Second); !got.Equal(want) {
			t.Errorf("the timer fires at %v, want %v", got, want)
		}
	})
}

// If the timer of expiries is late, because the system's clock was set, the wheel ends a
// stream that has expired.
func TestExpiryWhenTheClockWasSet(t *testing.T) {
	inTimers(t, &Broker{MaxAge: time.Minute}, 1, func(st *state, start time.Time) {
		st.timers.turn(start.Add(50 * time.Second))
		if cause := st.subscribers[0].endCause; cause != nil {
			t.Errorf("after 50 seconds: the stream ends with %v", cause)
		}
		st.timers.turn(start.Add(2 * time.Minute))
		if cause := st.subscribers[0].endCause; cause != ErrExpired {
			t.Errorf("after two minutes: got %v, want ErrExpired", cause)
		}
	})
}

// When many streams expire at once, only wakeBatch of them end while the lock is held.
func TestExpiryReleasesTheLock(t *testing.T) {
	const more = 3
	inTimers(t, &Broker{MaxAge: time.Minute}, wakeBatch+more, func(st *state, start time.Time) {
		e := &st.timers.expiries
		for _, want := range []int{more, 0, 0} {
			e.endExpired(start.Add(time.Hour))
			if got := len(e.queue); got != want {
				t.Errorf("%d streams are left, want %d", got, want)
			}
		}
	})
}

// After an hour without streams, the timer for a new stream is not set before its first
// heartbeat.
func TestTimerAfterIdleHour(t *testing.T) {
	inTimers(t, &Broker{Streams: StreamOptions{Heartbeat: 16 * time.Second}}, 0,
		func(st *state, start time.Time) {
			now := start.Add(time.Hour)
			s := &subscriber{opts: &deliveryOptions{}, transport: &called{}, lastActivity: now.UnixNano()}
			st.timers.schedule(s, now)
			if after := st.timers.next().Sub(now); after != 16*time.Second {
				t.Errorf("the timer is set to %v from now, want 16s", after)
			}
			st.timers.remove(s)
		})
}

// If there are neither heartbeats nor blocked writes with a limit, no subscriber is in
// the wheel.
func TestNothingIsDue(t *testing.T) {
	broker := &Broker{Streams: StreamOptions{Heartbeat: -1, WriteTimeout: -1}}
	inTimers(t, broker, 2, func(st *state, start time.Time) {
		p := st.subscribers[0].transport.(*parked)
		p.blocked, p.backlog = true, &backlog{lastProgress: start.UnixNano()}
		st.timers.reschedule(&p.subscriber, start)
		if st.timers.count != 0 || st.timers.timer.Stop() {
			t.Errorf("%d subscribers are in the wheel, want 0 and no timer", st.timers.count)
		}
		p.blocked, p.backlog = false, nil
	})
}

// A tick is the time up to which a slot waits: tickAt rounds up.
func TestTickAt(t *testing.T) {
	start := time.Now()
	for interval, tick := range map[time.Duration]time.Duration{
		0: time.Second, 1: time.Millisecond, 32 * time.Millisecond: 2 * time.Millisecond,
		16 * time.Second: time.Second, time.Hour: time.Second,
	} {
		var w wheel
		w.init(start, interval)
		for after, want := range map[time.Duration]int64{0: 0, 1: 1, tick: 1, tick + 1: 2, 9 * tick: 9} {
			if got := w.tickAt(start.Add(after)); got != want {
				t.Errorf("interval %v: %v is in tick %d, want %d", interval, after, got, want)
			}
		}
	}
}

// The wheel finds each subscriber by its slot and its index, in whatever order
// subscribers are added and removed.
func TestWheelRemoves(t *testing.T) {
	rng, start := testrand.New(t), time.Now()
	w := wheel{timer: newTimer(func() {})}
	w.init(start, 0)
	subscribers := make([]subscriber, 20)
	for range 2000 {
		if s := &subscribers[rng.IntN(len(subscribers))]; s.wheelSlot != 0 {
			w.remove(s)
		} else {
			w.add(s, start.Add(time.Duration(rng.IntN(100))*time.Second))
		}
		found := 0
		for i, slot := range w.slots {
			for k, s := range slot {
				if s.wheelSlot != int32(i)+1 || s.wheelIndex != int32(k) {
					t.Fatalf("slot %d, index %d: got %d and %d", i, k, s.wheelSlot-1, s.wheelIndex)
				}
				found++
			}
		}
		if found != w.count {
			t.Fatalf("the count is %d, want %d", w.count, found)
		}
	}
}

// When the last stream has left, nothing of it is left: its address and its key are not
// counted, and no timer is set.
func TestNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &Broker{MaxPerRemote: 2, MaxPerKey: 2}
		broker.Select = func(*http.Request) (Selection, error) {
			return Selection{Key: "a", Expires: time.Now().Add(time.Hour)}, nil
		}
		st, err := broker.start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			st.mu.Lock()
			defer st.mu.Unlock()
			timers, limits := &st.timers, &st.limits
			if timers.count != 0 || timers.timer.Stop() {
				t.Errorf("%s: the wheel has %d subscribers, want 0 and no timer", when, timers.count)
			}
			if n := len(timers.expiries.queue); n != 0 || timers.expiries.timer.Stop() {
				t.Errorf("%s: %d subscribers wait for their expiry, want 0 and no timer", when, n)
			}
			if limits.total != 0 || len(limits.remotes) != 0 || len(limits.keys) != 0 {
				t.Errorf("%s: the limits count %+v, want nothing", when, limits)
			}
		}
		check("before the first stream")
		h := newLoopHost(broker, polltest.NewFake())
		first, second := h.listen(t), h.listen(t)
		broker.Kick(func(Subscriber) bool { return true })
		synctest.Wait()
		check("after the last stream")
		if err := h.close(first, second); err != nil {
			t.Error(err)
		}
	})
}

// Shutdown spreads the ends of 18,000 streams over DrainOver: it takes exactly that
// long, and at most 2 % of the streams end within any tenth of a second.
func TestDrainMany(t *testing.T) {
	const (
		subscribers = 18_000
		over        = 30 * time.Second
		bucket      = 100 * time.Millisecond
	)
	synctest.Test(t, func(t *testing.T) {
		var start time.Time
		var mu sync.Mutex // guards the following: several goroutines call OnDisconnect
		closes := make(map[time.Duration]int)
		broker := &Broker{Park: true, DrainOver: over}
		broker.OnDisconnect = func(_ Subscriber, err error) {
			mu.Lock()
			defer mu.Unlock()
			if !errors.Is(err, ErrShutdown) {
				t.Errorf("a stream ended with %v, want ErrShutdown", err)
			}
			closes[time.Since(start)/bucket]++
		}
		broker.state.loops.newPoller = func() (poll.Poller, error) { return newNowhere(), nil }
		subscribeNowhere(t, broker, subscribers, func(i int) string { return fmt.Sprint("topic-", i%100) })
		time.Sleep(time.Hour)
		start = time.Now()
		if err := broker.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != over {
			t.Errorf("Shutdown took %v, want %v", took, over)
		}
		most, all := 0, 0
		for _, n := range closes {
			most = max(most, n)
			all += n
		}
		if all != subscribers || most > subscribers*2/100 {
			t.Errorf("%d streams ended, want %d; %d of them within %v, want at most 2 %%",
				all, subscribers, most, bucket)
		}
		t.Logf("at most %d of %d streams ended within %v", most, subscribers, bucket)
	})
}

// The reconnection delay that a client receives at shutdown is random. Its minimum
// leaves time for the next server process to start. With more streams, the minimum
// is longer, and so is the time over which the clients reconnect.
func TestReconnectionDelay(t *testing.T) {
	for _, tt := range []struct {
		streams          int
		soonest, longest time.Duration
	}{
		{1, 700 * time.Millisecond, 1700 * time.Millisecond},
		{18_000, 2300 * time.Millisecond, 11300 * time.Millisecond},
	} {
		spread := spreadFor(tt.streams)
		first, last := tt.longest, tt.soonest
		for range 1000 {
			d := reconnectDelay(spread)
			if d < tt.soonest || d >= tt.longest {
				t.Fatalf("%d streams: got a delay of %v, want from %v to %v",
					tt.streams, d, tt.soonest, tt.longest)
			}
			first, last = min(first, d), max(last, d)
		}
		if least := (tt.longest - tt.soonest) / 2; last-first < least {
			t.Errorf("%d streams: got delays from %v to %v, want a spread of %v",
				tt.streams, first, last, least)
		}
	}
}
