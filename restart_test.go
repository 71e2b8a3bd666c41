package sse_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// Issue 2: "forced restart". It connects again at once, in any state.
func TestReconnect(t *testing.T) {
	atState := func(state sse.State) func(*fixture) {
		return func(f *fixture) {
			f.onState = func(change sse.StateChange) {
				if change.State == state && change.Attempt == 1 {
					f.client.Reconnect()
				}
			}
		}
	}
	after := func(d time.Duration) func(*fixture) {
		return func(f *fixture) { time.AfterFunc(d, f.client.Reconnect) }
	}
	once := func(f *fixture) func() {
		n := 0
		return func() {
			if n++; n == 1 {
				f.client.Reconnect()
			}
		}
	}
	for _, test := range []struct {
		name    string
		first   ssetest.Response
		arrange func(*fixture)
		second  time.Duration // when the second request comes; -1: it is the first
	}{
		{"headers outstanding", ssetest.Response{Delay: time.Hour}, after(time.Minute), time.Minute},
		{"open", held(), after(time.Minute), time.Minute},
		{"inside of an event", held("data: a"), after(time.Minute), time.Minute},
		{"waiting to retry", refusal(503, "Retry-After", "9999"), after(time.Minute), time.Minute},
		{"body of an error outstanding", ssetest.Response{Status: 503, Stall: true},
			after(time.Second), time.Second},
		{"body of a final error outstanding", ssetest.Response{Status: 404, Stall: true},
			after(time.Second), time.Second},
		{"hook, connecting", held(), atState(sse.StateConnecting), -1},
		{"hook, open", held(), atState(sse.StateOpen), 0},
		{"hook, retrying", refusal(503), atState(sse.StateRetrying), 0},
		{"comment", held(":\n"), func(f *fixture) {
			reconnect := once(f)
			f.client.OnComment = func(string) { reconnect() }
		}, 0},
		{"prepare", held(), func(f *fixture) {
			reconnect := once(f)
			f.client.Prepare = func(*http.Request) error { reconnect(); return nil }
		}, -1},
	} {
		for _, method := range []string{"GET", "POST"} {
			if method == "POST" && test.first.Status == 503 && !test.first.Stall {
				continue // has ended, as nothing is retried
			}
			inBubble(t, method+" "+test.name, func(t *testing.T) {
				responses := []ssetest.Response{test.first, held("data: end\n\n")}
				if test.second < 0 {
					responses = responses[1:]
				}
				f := newFixture(t, responses...)
				forMethod(f.client, method)
				test.arrange(f)
				wantData(t, f.mustReceive(1), "end")
				if test.second < 0 {
					f.wantRequestsAt(0)
				} else {
					f.wantRequestsAt(0, test.second)
				}
				if last := f.states[len(f.states)-1]; last.Attempt != 2 {
					t.Errorf("got %d attempts, want 2", last.Attempt)
				}
				f.wantNoConnection()
			})
		}
	}
}

// What was received but not yielded yet is asked for again.
func TestReconnectInTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"),
			held("id: 2\ndata: b\n\nid: 3\ndata: c\n\n"))
		var got []string
		for event, err := range f.client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, event.ID+event.Data); len(got) == 1 {
				f.client.Reconnect()
			}
			if len(got) == 3 {
				break
			}
		}
		if want := []string{"1a", "2b", "3c"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := f.sentIDs(), []string{"-", "1"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
		f.wantRequestsAt(0, 0)
		f.wantStates("connecting 1", "open 1", "connecting 2", "open 2", "closed 2")
	})
}

// It is for the run under way: no other notices.
func TestReconnectWhileNotRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"))
		f.client.Reconnect()
		f.mustReceive(1)
		f.client.Reconnect()
		f.mustReceive(1)
		f.client.Reconnect()
		f.wantRequests(2)
	})
}

// From another goroutine, again and again, in whatever state it finds.
func TestReconnectConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, refusal(503), answer("data: a\n\n"), broken("data: b\n\n"),
			ssetest.Response{Delay: 3 * time.Second}, answer("data: c\n\n"), held("data: d\n\n"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			ticker := time.NewTicker(700 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					f.client.Reconnect()
				}
			}
		}()
		events, err := f.receive(ctx, 0)
		wantError(t, err, context.DeadlineExceeded)
		// The fourth request, and no other, is always under way for longer.
		if len(events) < 500 {
			t.Errorf("got %d events, want one for each of some 850 streams", len(events))
		}
		<-stopped
		f.wantElapsed(10 * time.Minute)
		f.wantNoConnection()
	})
}

// A stream that must not be asked for again is, if the caller says so.
func TestReconnectWithTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"), answer(done))
		f.client.Terminal = isDone
		f.client.MaxRetries = -1
		time.AfterFunc(time.Minute, f.client.Reconnect)
		events, err := f.receive(t.Context(), 0)
		wantData(t, events, "a", "[DONE]")
		if err != nil {
			t.Errorf("got the error %v", err)
		}
		f.wantRequestsAt(0, time.Minute)
	})
}
