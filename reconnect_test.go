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

// FIELD.md, Client: "Reconnect on clean EOF"; issue 2: "a clean end and every
// network error reconnect for ever by default", "the first retry after 1 s".
func TestReconnects(t *testing.T) {
	for _, test := range []struct {
		name  string
		first ssetest.Response
		err   error // that the hook is told
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
						t.Errorf("the hook was told %v, want %v", change.Err, test.err)
					}
				}
			})
		}
	}
}

// Issue 2, acceptance 1: "a server started 60 s after the client is found within
// 1.5 s", "stopping and restarting the server loses no client".
func TestServerComesAndGoes(t *testing.T) {
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

// RFC 9110 10.2.3: Retry-After. The bubble's clock starts at a full second.
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

// A Retry-After does not shorten the delay that has grown, and is for one wait.
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

// FIELD.md, Client: "retry: kept across reconnects (tmaxmax forgets)".
func TestRetryFieldIsKept(t *testing.T) {
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

// A retry too large for a Duration must not become a short one: it is a day, the
// longest that RetryDelay's documentation allows a server.
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

// FIELD.md, Client: "for ever" by default: after thousands of attempts nothing
// has been left behind.
func TestReconnectsForEver(t *testing.T) {
	for _, test := range []struct {
		name     string
		response ssetest.Response
	}{
		{"refused", refusal(503)}, {"cut", broken(":\n")}, {"clean end", answer(":\n")},
		{"progress", answer("data: a\n\n")}, {"nobody there", ssetest.Response{}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			const attempts = 2000
			f := newFixture(t, test.response)
			if test.name == "nobody there" {
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
