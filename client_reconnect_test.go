package sse_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// By default, the client reconnects after the clean end of a stream and after
// every network error. The first delay is 1 s.
func TestReconnects(t *testing.T) {
	for _, test := range []struct {
		name  string
		first ssetest.Response
		err   error // that OnState receives
	}{
		{"clean end", answer("data: a\n\n"), nil},
		{"clean end of an empty stream", answer(), nil},
		{"clean end after a comment", answer(":\n"), nil},
		{"end inside of an event", answer("data: a\n"), io.ErrUnexpectedEOF},
		{"end after a type", answer("event: x\n"), io.ErrUnexpectedEOF},
		{"end after a topic", answer("topic: x\n"), io.ErrUnexpectedEOF},
		{"clean end after a cursor", answer(cursor("1")), nil},
		{"cut", broken("data: a\n\n"), io.ErrUnexpectedEOF},
		{"cut inside of an event", broken("data: a\n"), io.ErrUnexpectedEOF},
		{"cut before the first byte", broken(), io.ErrUnexpectedEOF},
		{"cut in silence", held("data: a\n\n"), syscall.ECONNRESET},
		{"cut before the headers", ssetest.Response{Delay: time.Hour}, syscall.ECONNRESET},
	} {
		for _, like := range []bool{false, true} {
			name := test.name
			if like {
				name += ", like a browser"
			}
			inBubble(t, name, func(t *testing.T) {
				f := newFixture(t, test.first, held("data: end\n\n"))
				f.client.LikeBrowser = like
				lost := time.Duration(0)
				if test.err == syscall.ECONNRESET {
					lost = time.Minute
					time.AfterFunc(lost, f.server.CutAll)
				}
				f.receiveUntil("end")
				f.wantRequestsAt(0, lost+time.Second)
				for _, change := range f.states {
					if change.State == sse.StateRetrying && !errors.Is(change.Err, test.err) {
						t.Errorf("OnState received the error %v, want %v", change.Err, test.err)
					}
				}
			})
		}
	}
}

// A client that is started before its server connects when the server starts. It
// reconnects when the server is stopped and started again.
func TestServerStopsAndStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"))
		f.client.MaxRetryDelay = -1
		f.server.Stop()
		time.AfterFunc(60*time.Second+time.Millisecond, f.server.Start)
		time.AfterFunc(90*time.Second, f.server.Stop)
		time.AfterFunc(600*time.Second+time.Millisecond, f.server.Start)
		f.mustReceive(2)
		f.wantRequestsAt(61*time.Second, 601*time.Second)
		for _, change := range f.states {
			if change.State == sse.StateRetrying && change.Attempt == 1 {
				wantError(t, change.Err, syscall.ECONNREFUSED)
			}
		}
	})
}

// RFC 9110 10.2.3: Retry-After is a number of seconds, or a date. The fake clock starts
// at a full second, so the client can wait until exactly that date.
func TestRetryAfter(t *testing.T) {
	in := func(d time.Duration, layout string) string {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(layout)
	}
	for _, test := range []struct {
		status int
		value  string
		want   time.Duration
	}{
		{503, "5", 5 * time.Second},
		{429, "120", 2 * time.Minute},
		{408, "2", 2 * time.Second},
		{425, "2", 2 * time.Second},
		{500, "2", 2 * time.Second},
		{502, "2", 2 * time.Second},
		{599, "2", 2 * time.Second},
		{503, " 3 ", 3 * time.Second},
		{503, "7200", 2 * time.Hour}, // more than MaxRetryDelay
		{503, in(10*time.Second, http.TimeFormat), 10 * time.Second},
		{503, in(10*time.Second, "Monday, 02-Jan-06 15:04:05 GMT"), 10 * time.Second},
		{503, in(10*time.Second, time.ANSIC), 10 * time.Second},
		{503, in(-time.Hour, http.TimeFormat), time.Second},
		{503, "0", time.Second}, // the client's own delay is longer
		{503, "-5", time.Second},
		{503, "1.5", time.Second},
		{503, "soon", time.Second},
		{503, "", time.Second},
		{429, "", time.Second},
		{408, "", time.Second},
		{425, "", time.Second},
		{500, "", time.Second},
	} {
		inBubble(t, strings.TrimSpace(http.StatusText(test.status)+" "+test.value),
			func(t *testing.T) {
				first := refusal(test.status)
				if test.value != "" {
					first = refusal(test.status, "Retry-After", test.value)
				}
				f := newFixture(t, first, held("data: a\n\n"))
				f.mustReceive(1)
				f.wantRequestsAt(0, test.want)
			})
	}
}

// Retry-After does not shorten a delay that has grown, and lengthens only one delay.
func TestRetryAfterAndBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		responses := append(times(8, refusal(503)),
			refusal(503, "Retry-After", "2"), refusal(503, "Retry-After", "100"), refusal(503),
			held("data: a\n\n"))
		f := newFixture(t, responses...)
		f.mustReceive(1)
		got := f.delays()
		if d := got[8]; d < 15*time.Second || d > 30*time.Second {
			t.Errorf("with Retry-After 2 after eight failures: got %v, want at least 15 s", d)
		}
		if d := got[9]; d != 100*time.Second {
			t.Errorf("with Retry-After 100: got %v", d)
		}
		if d := got[10]; d > 30*time.Second {
			t.Errorf("then without: got %v, want at most 30 s", d)
		}
	})
}

// The delay of a retry field also applies to later streams that have no retry
// field. (The client of tmaxmax/go-sse forgets it.)
func TestRetryFieldPersists(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name      string
		responses []ssetest.Response
		want      []time.Duration // delays
	}{
		{"over streams that set none",
			[]ssetest.Response{answer("retry: 3000\ndata: a\n\n"), answer("data: a\n\n"),
				broken("data: a\n\n"), held("data: end\n\n")},
			[]time.Duration{3000 * ms, 3000 * ms, 3000 * ms}},
		{"replaced", []ssetest.Response{answer("retry: 3000\ndata: a\n\n"),
			answer("data: a\n\nretry: 20\nretry: 40\n\n"), held("data: end\n\n")},
			[]time.Duration{3000 * ms, 40 * ms}},
		{"of no event", []ssetest.Response{answer("retry: 2\n"), held("data: end\n\n")},
			[]time.Duration{10 * ms}},
		{"line not complete", []ssetest.Response{answer("retry: 2"), held("data: end\n\n")},
			[]time.Duration{1000 * ms}},
		{"of an event that is cut off",
			[]ssetest.Response{broken("retry: 70\ndata: a\n"), held("data: end\n\n")},
			[]time.Duration{70 * ms}},
		{"not digits", []ssetest.Response{answer("retry: 5000x\nretry: -1\nretry: 1.5\nretry\n"),
			held("data: end\n\n")}, []time.Duration{1000 * ms}},
		{"zero", append(times(3, answer("retry: 0\ndata: a\n\n")), held("data: end\n\n")),
			[]time.Duration{10 * ms, 10 * ms, 10 * ms}},
		{"more than MaxRetryDelay", append(times(3, answer("retry: 45000\n")),
			held("data: end\n\n")), []time.Duration{45000 * ms, 45000 * ms, 45000 * ms}},
		{"over a refusal", []ssetest.Response{answer("retry: 45000\n"), refusal(503),
			held("data: end\n\n")}, []time.Duration{45000 * ms, 45000 * ms}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.responses...)
			f.receiveUntil("end")
			if got := f.delays(); !slices.Equal(got, test.want) {
				t.Errorf("got the delays %v, want %v", got, test.want)
			}
		})
	}
}

// A retry field that is too large for a Duration must not become a short delay. It
// counts as a day, the longest delay that a server can set.
func TestRetryFieldOfManyDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, answer("retry: "+strings.Repeat("9", 30)+"\n\n"))
		ctx, cancel := context.WithTimeout(t.Context(), 47*time.Hour)
		defer cancel()
		_, err := f.receive(ctx, 0)
		wantError(t, err, context.DeadlineExceeded)
		f.wantRequests(2)
	})
}

// By default, the client reconnects without a limit. After 2000 attempts, there are not
// more goroutines than after 10. When Events has ended, no connection is open.
func TestReconnectsForever(t *testing.T) {
	for _, test := range []struct {
		name     string
		response ssetest.Response
	}{
		{"refused", refusal(503)}, {"cut", broken(":\n")}, {"clean end", answer(":\n")},
		{"progress", answer("data: a\n\n")}, {"no server", ssetest.Response{}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			const attempts = 2000
			f := newFixture(t, test.response)
			if test.name == "no server" {
				f.server.Stop()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			early, late := 0, 0
			f.client.OnState = func(change sse.StateChange) {
				if change.State != sse.StateRetrying {
					return
				}
				synctest.Wait()
				switch change.Attempt {
				case 10:
					early = runtime.NumGoroutine()
				case attempts:
					late = runtime.NumGoroutine()
					cancel()
				}
			}
			_, err := f.receive(ctx, 0)
			wantError(t, err, context.Canceled)
			if late > early+5 {
				t.Errorf("%d goroutines after 10 attempts, %d after %d", early, late, attempts)
			}
			f.wantNoConnection()
		})
	}
}

// Reconnect makes the client connect again immediately, in any state.
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
		second  time.Duration // time of the second request; -1 if the first is never sent
	}{
		{"waiting for headers", ssetest.Response{Delay: time.Hour}, after(time.Minute), time.Minute},
		{"open", held(), after(time.Minute), time.Minute},
		{"inside of an event", held("data: a"), after(time.Minute), time.Minute},
		{"waiting to retry", refusal(503, "Retry-After", "9999"), after(time.Minute), time.Minute},
		{"waiting for the body of an error", ssetest.Response{Status: 503, Stall: true},
			after(time.Second), time.Second},
		{"waiting for the body of a final error", ssetest.Response{Status: 404, Stall: true},
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
				continue // Events would end before Reconnect, because a POST is not retried
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

// After Reconnect, the client requests events again that it received but did
// not yield.
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

// Reconnect affects only the current run of Events.
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

// Reconnect may be called from another goroutine, many times and in any state.
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
		// Nearly every call opens a stream that has one event. Only the fourth
		// response takes longer than the time between two calls.
		if len(events) < 500 {
			t.Errorf("got %d events, want one for each of about 850 streams", len(events))
		}
		<-stopped
		f.wantElapsed(10 * time.Minute)
		f.wantNoConnection()
	})
}

// Reconnect requests a stream again even if the client would not retry the stream after
// a failure.
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

// If Reconnect ends the delay before an attempt, the attempt opens a new connection,
// because the connection that is idle may be dead.
func TestReconnectInTheDelayReplacesTheConnection(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		server := ssetest.NewServer(t, &ssetest.Script{Responses: []ssetest.Response{
			{Status: 503}, {Chunks: []string{"data: a\n\n"}},
		}}, opts)
		client := &sse.Client{
			URL: server.URL(), HTTPClient: server.Client(), IdleTimeout: 10 * time.Second,
		}
		client.OnState = func(change sse.StateChange) {
			if change.State == sse.StateRetrying {
				server.BlackHoleAll()
				time.AfterFunc(100*time.Millisecond, client.Reconnect)
			}
		}
		start := time.Now()
		for _, err := range client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if got := time.Since(start); got != 100*time.Millisecond {
			t.Errorf("the first event came after %v, want 100ms", got)
		}
	})
}
