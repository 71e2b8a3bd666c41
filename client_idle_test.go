package sse_test

import (
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The client closes a stream when it has received no byte for IdleTimeout, and
// reconnects.
func TestIdleTimeout(t *testing.T) {
	const idle = 10 * time.Second
	for _, test := range []struct {
		name  string
		first ssetest.Response
		lost  time.Duration // when the first stream is lost
	}{
		{"waiting for headers", ssetest.Response{Delay: time.Hour}, idle},
		{"silence from the start", held(), idle},
		{"silence after an event", held("data: a\n\n"), idle},
		{"silence inside of a line", held("data: a\n\ndata: b"), idle},
		{"silence after a heartbeat", ssetest.Response{
			Chunks: []string{":\n", ":\n", ":\n"}, Pause: 8 * time.Second, Stall: true},
			16*time.Second + idle},
		{"bytes too late", ssetest.Response{Chunks: []string{":\n", ":\n"}, Pause: 11 * time.Second},
			idle},
		{"headers late, then silence", ssetest.Response{Delay: 9 * time.Second, Stall: true},
			9*time.Second + idle},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.first, held("data: end\n\n"))
			f.client.IdleTimeout = idle
			f.receiveUntil("end")
			f.wantRequestsAt(0, test.lost+time.Second)
			for _, change := range f.states {
				if change.State == sse.StateRetrying {
					wantError(t, change.Err, os.ErrDeadlineExceeded)
				}
			}
			f.wantNoConnection()
		})
	}
}

// Each byte restarts the timeout, even within a line.
func TestIdleTimeoutIsPerByte(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		stream := strings.Repeat(":", 50) + "\ndata: hello\n\n"
		f := newFixtureWith(t, opts, ssetest.Response{
			Chunks: strings.Split(stream, ""), Pause: 9 * time.Second, Stall: true})
		f.client.IdleTimeout = 10 * time.Second
		f.mustReceive(1)
		f.wantElapsed(time.Duration(len(stream)-1) * 9 * time.Second)
		f.wantRequests(1)
	})
}

func TestNoIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, ssetest.Response{Delay: 24 * time.Hour,
			Chunks: []string{":\n", "data: a\n\n"}, Pause: 24 * time.Hour, Stall: true})
		f.mustReceive(1)
		f.wantElapsed(48 * time.Hour)
		f.wantRequests(1)
	})
}

// The time during which the caller is busy does not count for IdleTimeout. The caller is
// busy in the body of its loop, and in a function that the client calls. When the caller
// continues, IdleTimeout starts again.
func TestIdleTimeoutNotWhileTheCallerIsBusy(t *testing.T) {
	busy := func(http.Header) { time.Sleep(time.Hour) }
	for _, test := range []struct {
		name string
		set  func(f *fixture)
	}{
		{"body", func(*fixture) {}},
		{"hook", func(f *fixture) {
			f.onState = func(change sse.StateChange) {
				if change.State == sse.StateOpen {
					busy(nil)
				}
			}
		}},
		{"comment", func(f *fixture) { f.client.OnComment = func(string) { busy(nil) } }},
		{"prepare", func(f *fixture) {
			f.client.Prepare = func(r *http.Request) error { busy(r.Header); return nil }
		}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, ssetest.Response{
				Chunks: []string{":\ndata: a\n\n", "data: b\n\n"}, Pause: 9 * time.Second, Stall: true},
				held("data: end\n\n"))
			f.client.IdleTimeout = 10 * time.Second
			test.set(f)
			var got []string
			for event, err := range f.client.Events(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, event.Data)
				if test.name == "body" {
					busy(nil)
				}
				if event.Data == "b" {
					break
				}
			}
			if want := []string{"a", "b"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			f.wantRequests(1)
		})
	}
}

func TestIdleTimeoutRestartsAfterTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"), held("data: end\n\n"))
		f.client.IdleTimeout = 10 * time.Second
		for event, err := range f.client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Data == "end" {
				break
			}
			time.Sleep(time.Minute) // busy
		}
		f.wantRequestsAt(0, 71*time.Second) // busy, idle, and the delay
	})
}

// The timeout applies to the target of a redirect too.
func TestIdleTimeoutAfterARedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, refusal(307, "Location", "/next"), ssetest.Response{Delay: time.Hour},
			held("data: a\n\n"))
		f.client.IdleTimeout = 10 * time.Second
		f.mustReceive(1)
		f.wantRequestsAt(0, 0, 11*time.Second)
	})
}

// Each response of a chain of redirects restarts the timeout. Here no response
// takes longer than the timeout, although all of them together do.
func TestIdleTimeoutOverRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hop := refusal(307, "Location", "/next")
		hop.Delay = 6 * time.Second
		f := newFixture(t, hop, hop, hop,
			ssetest.Response{Delay: 6 * time.Second, Chunks: []string{"data: a\n\n"}})
		f.client.IdleTimeout = 10 * time.Second
		f.mustReceive(1)
		f.wantElapsed(24 * time.Second)
		f.wantRequests(4)
	})
}

// A timeout leaves no goroutine behind. (The client of LaunchDarkly leaks one
// goroutine for each timeout.)
func TestIdleTimeoutLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const attempts = 500
		f := newFixture(t, append(times(attempts, held("data: a\n\n")), held("data: end\n\n"))...)
		f.client.IdleTimeout = time.Second
		n, early := 0, 0
		for event, err := range f.client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 10 {
				synctest.Wait()
				early = runtime.NumGoroutine()
			}
			if event.Data == "end" {
				break
			}
		}
		f.wantNoConnection()
		if late := runtime.NumGoroutine(); late > early {
			t.Errorf("%d goroutines after 10 timeouts, %d after %d", early, late, n)
		}
	})
}

// After a timeout, and after Reconnect, the client opens a new connection, even on
// HTTP/2. (On HTTP/2, the transport by itself would use the old connection again,
// because a canceled stream leaves its connection in the pool.)
func TestDeadConnectionIsReplaced(t *testing.T) {
	for _, trigger := range []string{"IdleTimeout", "Reconnect"} {
		t.Run(trigger, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				script := &ssetest.Script{Responses: []ssetest.Response{
					{Chunks: []string{"data: a\n\n"}, Stall: true},
					{Chunks: []string{"data: b\n\n"}, Stall: true},
				}}
				server := ssetest.NewServer(t, script, opts)
				client := &sse.Client{
					URL: server.URL(), HTTPClient: server.Client(), IdleTimeout: 10 * time.Second,
				}
				start := time.Now()
				want := 11 * time.Second // the timeout, and RetryDelay
				for event, err := range client.Events(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if event.Data == "b" {
						break
					}
					server.BlackHoleAll()
					if trigger == "Reconnect" {
						want = 5 * time.Second
						time.AfterFunc(want, client.Reconnect)
					}
				}
				if got := time.Since(start); got != want {
					t.Errorf("the client opened a new connection after %v, want %v", got, want)
				}
			})
		})
	}
}
