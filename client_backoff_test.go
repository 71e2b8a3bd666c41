package sse_test

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// failures makes a client fail n times in a row, and returns the delay that the client
// reported after each failure. It checks that the client then waited for this delay.
func failures(t *testing.T, n int, set func(*sse.Client)) []time.Duration {
	t.Helper()
	f := newFixture(t, append(times(n, refusal(503)), held("data: a\n\n"))...)
	set(f.client)
	f.mustReceive(1)
	got := f.delays()
	at := []time.Duration{0}
	for _, d := range got {
		at = append(at, at[len(at)-1]+d)
	}
	f.wantRequestsAt(at...)
	return got
}

// The first delay is RetryDelay, by default 1 s. For each further delay, a maximum
// doubles, up to MaxRetryDelay, by default 30 s. The delay is random, between half of the
// maximum (but at least RetryDelay) and the maximum.
func TestBackoff(t *testing.T) {
	for _, test := range []struct {
		name      string
		base, max time.Duration // RetryDelay and MaxRetryDelay
		first     time.Duration
		limit     time.Duration
	}{
		{"default", 0, 0, time.Second, 30 * time.Second},
		{"RetryDelay", 5 * time.Second, 0, 5 * time.Second, 30 * time.Second},
		{"MaxRetryDelay", 0, 4 * time.Second, time.Second, 4 * time.Second},
		{"both", 250 * time.Millisecond, 7 * time.Second, 250 * time.Millisecond, 7 * time.Second},
		{"hours", time.Minute, 10 * time.Hour, time.Minute, 10 * time.Hour},
		{"little room", 4 * time.Second, 5 * time.Second, 4 * time.Second, 5 * time.Second},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			grown := test.first
			for i, got := range failures(t, 14, func(c *sse.Client) {
				c.RetryDelay, c.MaxRetryDelay = test.base, test.max
			}) {
				low := max(test.first, grown/2)
				if i == 0 {
					low = grown // exactly
				}
				if got < low || got > grown {
					t.Errorf("delay %d: got %v, want between %v and %v", i+1, got, low, grown)
				}
				grown = min(2*grown, test.limit)
			}
		})
	}
}

// If a server asks for a delay of 0 or 1 ms, the client waits for 10 ms. If the server
// is then down, the delay grows.
func TestBackoffFromZero(t *testing.T) {
	for _, retry := range []string{"0", "1"} {
		inBubble(t, retry, func(t *testing.T) {
			f := newFixture(t, append([]ssetest.Response{answer("retry: " + retry + "\ndata: a\n\n")},
				append(times(12, refusal(503)), held("data: end\n\n"))...)...)
			f.receiveUntil("end")
			got := f.delays()
			if got[0] != 10*time.Millisecond || got[12] < 15*time.Second {
				t.Errorf("got the delays %v, want the first 10ms, the last grown", got)
			}
		})
	}
}

// The delays of many clients differ, and are spread over the whole range from 15 s to
// 30 s, so that the clients do not reconnect at the same time.
func TestBackoffVaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 50
		seen := make(map[time.Duration]bool)
		early, late := 0, 0
		for range clients {
			got := failures(t, 7, func(*sse.Client) {})
			last := got[len(got)-1] // between 15 s and 30 s
			seen[last] = true
			if last < 20*time.Second {
				early++
			}
			if last > 25*time.Second {
				late++
			}
		}
		if len(seen) < clients-1 || early == 0 || late == 0 {
			t.Errorf("%d clients have %d different delays, %d of them below 20 s and %d above 25 s",
				clients, len(seen), early, late)
		}
	})
}

// All delays are equal if MaxRetryDelay is negative, or not greater than RetryDelay.
func TestBackoffConstant(t *testing.T) {
	for _, test := range []struct {
		name      string
		base, max time.Duration
		want      time.Duration
	}{
		{"negative", 0, -1, time.Second},
		{"negative, RetryDelay", 3 * time.Second, -time.Hour, 3 * time.Second},
		{"as RetryDelay", 3 * time.Second, 3 * time.Second, 3 * time.Second},
		{"below RetryDelay", 3 * time.Second, time.Second, 3 * time.Second},
		{"RetryDelay above the default", time.Minute, 0, time.Minute},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			got := failures(t, 10, func(c *sse.Client) {
				c.RetryDelay, c.MaxRetryDelay = test.base, test.max
			})
			if want := slices.Repeat([]time.Duration{test.want}, 10); !slices.Equal(got, want) {
				t.Errorf("got the delays %v, want %v", got, want)
			}
		})
	}
}

// The delays start again at RetryDelay only after progress. Progress is an event that
// Events yields (so not an sse.cursor), a skipped event with a new ID, or a stream that
// stays open for MaxRetryDelay (30 s).
func TestBackoffReset(t *testing.T) {
	open := func(d time.Duration) ssetest.Response {
		return ssetest.Response{Chunks: []string{":\n", ":\n"}, Pause: d}
	}
	for _, test := range []struct {
		name  string
		r     ssetest.Response
		reset bool
	}{
		{"event", answer("data: a\n\n"), true},
		{"event, then cut", broken("data: a\n\n"), true},
		{"oversized event", answer("data: 0123456789012345678901\n\n"), false},
		{"oversized event with an ID", answer("id: 1\ndata: 0123456789012345678901\n\n"), true},
		{"endless oversized event", broken("data: 0123456789012345678901"), false},
		{"endless oversized event with an ID", broken("id: 1\ndata: 0123456789012345678901"), true},
		{"open for long", open(30 * time.Second), true},
		{"open, but not for long", open(29 * time.Second), false},
		{"nothing", answer(), false},
		{"nothing, then cut", broken(), false},
		{"comments", answer(":\n:\n\n:\n"), false},
		{"cursor", answer(cursor("1")), false},
		{"cursors, then cut", broken(cursor("1") + ":\n\n" + cursor("2")), false},
		{"cursor, then an event", broken(cursor("1") + "data: a\n\n"), true},
		{"gap", answer("id: 1\nevent: sse.gap\ndata: {}\n\n"), true},
		{"only an id", answer("id: 1\n\n"), false},
		{"incomplete event", answer("data: a\n"), false},
		{"long for headers", ssetest.Response{Status: 503, Delay: time.Hour}, false},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, append(times(6, refusal(503)), test.r, held("data: end\n\n"))...)
			f.client.MaxEventSize = 20
			f.client.OnSkip = func(*sse.TooLargeError) {}
			f.receiveUntil("end")
			got := f.delays()
			if last := got[len(got)-1]; (last == time.Second) != test.reset {
				t.Errorf("got the delay %v, want it reset to 1 s: %v", last, test.reset)
			}
		})
	}
}

func TestMaxRetries(t *testing.T) {
	for _, test := range []struct {
		name   string
		r      ssetest.Response
		once   []error // the errors that the result wraps if MaxRetries is negative
		gaveUp error   // the error that the result wraps if MaxRetries is positive
	}{
		{"refused", refusal(503), nil, nil}, // the result wraps a *ResponseError
		{"cut", broken(), []error{sse.ErrTruncated, io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF},
		{"no server", ssetest.Response{}, []error{syscall.ECONNREFUSED}, syscall.ECONNREFUSED},
		// MaxRetries: "Events ends when the stream ends."
		{"clean end", answer(), []error{nil}, io.EOF},
	} {
		for _, retries := range []int{-5, -1, 1, 3} {
			inBubble(t, test.name, func(t *testing.T) {
				f := newFixture(t, test.r)
				f.client.MaxRetries = retries
				f.client.MaxRetryDelay = -1
				if test.gaveUp == syscall.ECONNREFUSED {
					f.server.Stop()
				}
				_, err := f.receive(t.Context(), 0)
				var refused *sse.ResponseError
				switch {
				case test.r.Status == 503:
					if !errors.As(err, &refused) {
						t.Errorf("got the error %v, want a *ResponseError", err)
					}
				case retries < 0:
					for _, want := range test.once {
						wantError(t, err, want)
					}
				default:
					wantError(t, err, test.gaveUp)
				}
				if gaveUp := errors.Is(err, sse.ErrGaveUp); gaveUp != (retries > 0) {
					t.Errorf("got the error %v: is it ErrGaveUp: %v, want %v", err, gaveUp, retries > 0)
				}
				retried := max(retries, 0)
				f.wantElapsed(time.Duration(retried) * time.Second)
				if last := f.states[len(f.states)-1]; last.Attempt != 1+retried {
					t.Errorf("got %d attempts, want %d", last.Attempt, 1+retried)
				} else if last.State != sse.StateClosed || last.Err != err {
					t.Errorf("the last state change is %+v, want closed for %v", last, err)
				}
			})
		}
	}
}

// MaxRetries counts retries in a row: progress resets the count.
func TestMaxRetriesCountsAnewAfterProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, refusal(503), refusal(503), answer("data: a\n\n"),
			refusal(503), broken("data: b\n\n"), refusal(503), refusal(503), refusal(503))
		f.client.MaxRetries = 2
		events, err := f.receive(t.Context(), 0)
		wantData(t, events, "a", "b")
		var refused *sse.ResponseError
		if !errors.As(err, &refused) {
			t.Errorf("got the error %v, want a *ResponseError", err)
		}
		f.wantRequests(7)
	})
}

// If MaxRetryDelay is the largest Duration, the delays double up to that Duration, and
// do not overflow.
func TestBackoffWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, refusal(503))
		f.client.MaxRetryDelay = math.MaxInt64
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f.onState = func(change sse.StateChange) {
			switch {
			case change.Attempt == 100:
				cancel()
			case change.State == sse.StateRetrying:
				f.client.Reconnect() // ends the wait at once; the attempt still counts
			}
		}
		_, err := f.receive(ctx, 0)
		wantError(t, err, context.Canceled)
		for i, d := range f.delays() {
			if i > 40 && d < math.MaxInt64/2 {
				t.Errorf("delay %d: got %v, want about the largest Duration", i+1, d)
			}
		}
	})
}

// If the server asks for a delay of 0, the first delay is 10 ms. Every delay after the
// first is at least 100 ms. If RetryDelay is shorter than 100 ms, every delay after the
// first is at least RetryDelay. This holds for every MaxRetryDelay. So a server that is
// down does not receive a request every 10 ms.
func TestLowMaxRetryDelayFromZero(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name      string
		base, max time.Duration // RetryDelay and MaxRetryDelay
		low, high time.Duration // limits of each delay after the first
	}{
		{"negative", 0, -1, 100 * ms, 100 * ms},
		{"most negative", 0, math.MinInt64, 100 * ms, 100 * ms},
		{"below the first delay", 0, 5 * ms, 100 * ms, 100 * ms},
		{"as the first delay", 0, 10 * ms, 100 * ms, 100 * ms},
		{"above the first delay", 0, 50 * ms, 100 * ms, 100 * ms},
		{"above 100 ms", 0, 150 * ms, 100 * ms, 150 * ms},
		{"RetryDelay of 30 ms, negative", 30 * ms, -1, 30 * ms, 30 * ms},
		{"RetryDelay of 30 ms", 30 * ms, 50 * ms, 30 * ms, 50 * ms},
		{"RetryDelay of 10 ms", 10 * ms, 50 * ms, 25 * ms, 50 * ms},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, append([]ssetest.Response{answer("retry: 0\ndata: a\n\n")},
				append(times(12, refusal(503)), held("data: end\n\n"))...)...)
			f.client.RetryDelay, f.client.MaxRetryDelay = test.base, test.max
			f.receiveUntil("end")
			for i, got := range f.delays() {
				low, high := test.low, test.high
				if i == 0 {
					low, high = 10*ms, 10*ms
				}
				if got < low || got > high {
					t.Errorf("delay %d: got %v, want from %v to %v", i+1, got, low, high)
				}
			}
		})
	}
}
