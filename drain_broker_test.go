package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// Each stream is told a time of its own to come back after, and ends in its turn.
func TestDrain(t *testing.T) {
	clients := 600
	if testing.Short() {
		clients = 100
	}
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.DrainOver = 30 * time.Second
		reasons := recordReasons(&f.broker)
		f.serve()
		bodies := make(chan string, clients)
		for range clients {
			resp, err := f.server.Client().Get(f.server.URL())
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				bodies <- string(body)
			}()
		}
		synctest.Wait()
		start := time.Now()
		if err := f.broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != f.broker.DrainOver {
			t.Errorf("it took %v", took)
		}
		reasons.want(t, sse.ErrShutdown, clients)
		buckets := make(map[time.Duration]int)
		for _, at := range reasons.times {
			buckets[at.Sub(start)/(100*time.Millisecond)]++
		}
		for at, n := range buckets {
			if n > max(1, clients*2/100) {
				t.Errorf("%d of %d end in the same 100 ms, %v", n, clients, at)
			}
		}
		last := regexp.MustCompile(`\nretry: (\d+)\n\n$`)
		delays := make(map[string]int)
		for range clients {
			body := <-bodies
			match := last.FindStringSubmatch(body)
			if match == nil {
				t.Fatalf("a stream ends with %q", body)
			}
			delays[match[1]]++
		}
		if len(delays) < clients/4 {
			t.Errorf("only %d different times to come back after", len(delays))
		}
	})
}

// Who comes while the broker shuts down, and has got a response, is told when to come
// back as well.
func TestDrainLate(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{}, f.broker.Shutdown(t.Context())
		}
		checkLate(t, f)
	})
	for name, patience := range map[string]time.Duration{"parked last": time.Hour, "parked too late": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &brokerFixture{t: t}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				ended := make(chan error, 1)
				sse.ParkInMemoryAfter(&f.broker, func() {
					go func() { ended <- f.broker.Shutdown(ctx) }()
					synctest.Wait() // it waits for this stream, or not any more
					if patience > 0 && len(ended) > 0 {
						t.Error("Shutdown has not waited for a stream that was about to be parked")
					}
				})
				checkLate(t, f)
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func checkLate(t *testing.T, f *brokerFixture) {
	t.Helper()
	f.serve()
	resp, err := f.server.Client().Get(f.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !regexp.MustCompile(`(^|\n)retry: \d+\n\n$`).Match(body) {
		t.Errorf("%s: the stream is %q (%v)", resp.Status, body, err)
	}
}

// Clients move from one broker to another on the same log, and nothing is lost.
func TestDrainToSuccessor(t *testing.T) {
	clients := 100
	if testing.Short() {
		clients = 20
	}
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		var successor sse.Broker
		if f.broker.Park {
			sse.ParkInMemory(&successor)
		}
		log := reflog.New(nil)
		for _, b := range []*sse.Broker{&f.broker, &successor} {
			b.Log = log
			b.Retention.Events = 50
			b.DrainOver = 30 * time.Second
		}
		// What distributes the requests does not know that one of them drains.
		f.serveAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if rand.N(2) == 0 {
				f.broker.ServeHTTP(w, r)
			} else {
				successor.ServeHTTP(w, r)
			}
		}))
		t.Cleanup(func() {
			if err := successor.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		var listeners []*listener
		for range clients {
			listeners = append(listeners, f.listen("?topic=a"))
		}
		drained := make(chan error, 1)
		var want []string
		for i := range 500 {
			if i == 50 {
				go func() { drained <- f.broker.Shutdown(context.Background()) }()
			}
			data := fmt.Sprint(i)
			_, err := f.broker.Publish(t.Context(), sse.Event{Data: data}, "a")
			if errors.Is(err, sse.ErrShutdown) {
				_, err = successor.Publish(t.Context(), sse.Event{Data: data}, "a")
			}
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, data)
			time.Sleep(100 * time.Millisecond)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // until the last has come back
		for i, l := range listeners {
			if got := l.data(); !slices.Equal(got, want) {
				t.Errorf("client %d got %d events, want %d: %q", i, len(got), len(want), got)
			}
		}
		if n := len(successor.Subscribers()); n != clients {
			t.Errorf("the successor has %d subscribers, want %d", n, clients)
		}
	})
}

// Shutdown waits for OnDisconnect, but no longer than it may.
func TestShutdownWaitsForHooks(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		const each = time.Minute
		ended, hold := 0, make(chan struct{})
		f.broker.OnDisconnect = func(sse.Subscriber, error) {
			<-hold
			ended++
		}
		f.serve()
		f.listen("")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), each)
		defer cancel()
		start := time.Now()
		err := f.broker.Shutdown(ctx)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took < each || took > each+time.Second {
			t.Errorf("Shutdown returned %v after %v, want that the time of a minute was over", err, took)
		}
		time.AfterFunc(each, func() { close(hold) })
		if err := f.broker.Shutdown(t.Context()); err != nil || ended != 1 {
			t.Errorf("Shutdown returned %v after %d hooks, want one", err, ended)
		}
	})
}

// followless is a log that is appended to and not followed, as when its server is away.
type followless struct{ *stubLog }

func (followless) Follow(ctx context.Context, _ sse.Position) iter.Seq2[sse.Entry, error] {
	return func(func(sse.Entry, error) bool) { <-ctx.Done() }
}

// A hook that publishes, of who has left, does not wait at shutdown for what nobody
// will see.
func TestShutdownWhileHookPublishes(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Log = followless{newStubLog()}
		f.broker.OnDisconnect = func(sse.Subscriber, error) {
			_, _ = f.broker.Publish(context.Background(), sse.Event{Data: "left"})
		}
		f.broker.DrainOver = time.Second
		f.serve()
		f.listen("")
		f.listen("")
		synctest.Wait()
		start := time.Now()
		err := f.broker.Shutdown(t.Context())
		if took := time.Since(start); err != nil || took != time.Second {
			t.Errorf("Shutdown returned %v after %v", err, took)
		}
	})
}

// heldUp is a response whose first bytes go out once something has happened.
type heldUp struct {
	http.ResponseWriter
	until <-chan struct{}
}

func (w heldUp) FlushError() error {
	<-w.until
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// A stream whose head is on its way is one that Shutdown waits for: its client takes it
// for open.
func TestShutdownWaitsForWhoComes(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		until := make(chan struct{})
		f.serveAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.broker.ServeHTTP(heldUp{w, until}, r)
		}))
		l := f.listen("", func(c *sse.Client) { c.MaxRetries = -1 })
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(until) })
		start := time.Now()
		err := f.broker.Shutdown(t.Context())
		if took := time.Since(start); err != nil || took != time.Second {
			t.Errorf("Shutdown returned %v after %v, want to wait a second for the head", err, took)
		}
		l.stop()
	})
}
