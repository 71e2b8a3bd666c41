package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/property"
	"github.com/sse-go/sse/ssetest"
)

// The tests in this file check parked streams, most of them behind middleware. If a
// stream is held, the call of the middleware lasts as long as the stream. If a stream is
// parked, the call returns at once. The field Why of a Subscriber has the reason why a
// stream is held although Broker.Park is set.

// limiter is a middleware that limits the number of concurrent requests.
type limiter struct {
	http.Handler
	limit, running atomic.Int64
}

func (l *limiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer l.running.Add(-1)
	if l.running.Add(1) > l.limit.Load() {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	l.Handler.ServeHTTP(w, r)
}

// inParkModes runs a test in fake time, without Park and with Park. around returns the
// middleware around the broker.
func inParkModes(t *testing.T, around func(http.Handler) http.Handler,
	test func(t *testing.T, f *brokertest.Fixture)) {
	t.Helper()
	for _, park := range []bool{false, true} {
		t.Run(brokertest.WaitName(park), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &brokertest.Fixture{T: t}
				if park {
					sse.ParkInMemory(&f.Broker)
				}
				f.ServeAround(around(&f.Broker))
				test(t, f)
			})
		})
	}
}

// wantWait checks that there is one subscriber, and compares the fields Wait and Why
// of its description.
func wantWait(t *testing.T, broker *sse.Broker, wait, why string) {
	t.Helper()
	list := broker.Subscribers()
	if len(list) != 1 || list[0].Wait != wait || list[0].Why != why {
		t.Errorf("got %+v, want one subscriber that is %q for the reason %q", list, wait, why)
	}
}

func TestParkInLimiter(t *testing.T) {
	l := &limiter{}
	l.limit.Store(1)
	inParkModes(t, func(h http.Handler) http.Handler { l.Handler = h; return l },
		func(t *testing.T, f *brokertest.Fixture) {
			first := f.Listen("")
			counted := map[bool]int64{false: 1, true: 0}[f.Broker.Park]
			if now := l.running.Load(); now != counted {
				t.Errorf("the limiter counts %d requests, want %d", now, counted)
			}
			resp, err := f.Server.Client().Get(f.Server.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			want := map[bool]int{false: http.StatusTooManyRequests, true: http.StatusOK}[f.Broker.Park]
			if resp.StatusCode != want {
				t.Errorf("the response to a second stream is %s, want %d", resp.Status, want)
			}
			f.Publish("hello")
			first.Want(t, "hello")
		})
}

// accessLog logs each request when its handler returns, with its duration. If
// status is set, it wraps the response to log the status too.
type accessLog struct {
	http.Handler
	status bool
	mu     sync.Mutex // guards the following
	lines  []string
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (a *accessLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	line := ""
	if a.status {
		s := &statusWriter{ResponseWriter: w}
		a.Handler.ServeHTTP(s, r)
		line = fmt.Sprint(s.status, " ")
	} else {
		a.Handler.ServeHTTP(w, r)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, fmt.Sprint(line, time.Since(start)))
}

func TestParkInAccessLog(t *testing.T) {
	for _, test := range []struct {
		name                  string
		status                bool
		heldLine, parkedLine  string
		parkedWait, parkedWhy string
	}{
		{"not wrapped", false, "1h0m0s", "0s", "parked", ""},
		{"wrapped", true, "200 1h0m0s", "200 1h0m0s", "held",
			"the response is wrapped by *sse_test.statusWriter"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a *accessLog
			around := func(h http.Handler) http.Handler {
				a = &accessLog{Handler: h, status: test.status}
				return a
			}
			inParkModes(t, around, func(t *testing.T, f *brokertest.Fixture) {
				l := f.Listen("")
				want := test.heldLine
				if f.Broker.Park {
					wantWait(t, &f.Broker, test.parkedWait, test.parkedWhy)
					want = test.parkedLine
				} else {
					wantWait(t, &f.Broker, "held", "")
				}
				time.Sleep(time.Hour)
				f.Publish("hello")
				l.Want(t, "hello")
				l.Stop()
				synctest.Wait()
				if got := strings.Join(a.lines, "\n"); got != want {
					t.Errorf("the log has %q, want %q", got, want)
				}
			})
		})
	}
}

// http.TimeoutHandler buffers the response until the handler returns, so the
// broker refuses streams behind it, with Park and without.
func TestParkInTimeoutHandler(t *testing.T) {
	around := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") }
	inParkModes(t, around, func(t *testing.T, f *brokertest.Fixture) {
		resp, err := f.Server.Client().Get(f.Server.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusInternalServerError ||
			!strings.Contains(string(body), "*http.timeoutWriter") {
			t.Errorf("got %s, %q, %v, want 500 and the type of the wrapper", resp.Status, body, err)
		}
		if left := f.Broker.Subscribers(); len(left) != 0 {
			t.Errorf("got subscribers %+v, want none", left)
		}
	})
}

// When a stream is parked, the handler returns and the request's context ends,
// but the stream continues.
func TestParkEndsRequest(t *testing.T) {
	var request context.Context
	around := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request = r.Context()
			h.ServeHTTP(w, r)
		})
	}
	inParkModes(t, around, func(t *testing.T, f *brokertest.Fixture) {
		l := f.Listen("")
		if done := request.Err() != nil; done != f.Broker.Park {
			t.Errorf("the request's context is done: %t, want the opposite", done)
		}
		f.Publish("hello")
		l.Want(t, "hello")
	})
}

func TestParkNotPossible(t *testing.T) {
	for _, test := range []struct {
		name string
		opts ssetest.ServerOptions
		body io.Reader
		why  string
	}{
		{name: "HTTP/2", opts: ssetest.ServerOptions{HTTP2: true}, why: "HTTP/2.0"},
		{name: "body", body: strings.NewReader("hello"), why: "the request has a body"},
		{name: "body of unknown length", body: io.MultiReader(strings.NewReader("hello")),
			why: "the request has a body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &brokertest.Fixture{T: t, Options: test.opts}
				sse.ParkInMemory(&f.Broker)
				f.Serve()
				req, err := http.NewRequest(http.MethodGet, f.Server.URL(), test.body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := f.Server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				synctest.Wait()
				wantWait(t, &f.Broker, "held", test.why)
			})
		})
	}
	t.Run("TLS", func(t *testing.T) {
		connected := make(chan sse.Subscriber, 1)
		broker := &sse.Broker{Park: true, OnConnect: func(s sse.Subscriber) { connected <- s }}
		server := httptest.NewTLSServer(broker)
		defer server.Close()
		defer broker.Shutdown(t.Context())
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		<-connected
		wantWait(t, broker, "held", "TLS in this process")
		if _, err := broker.Publish(t.Context(), sse.Event{Data: "hello"}); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(resp.Body); lines.Text() != "data: hello"; {
			if !lines.Scan() {
				t.Fatalf("the stream ended: %v", lines.Err())
			}
		}
	})
}

// A stream with a Filter is held, so that a Filter that blocks delays no other
// stream.
func TestFilterDelaysNoOtherStream(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		hold := make(chan struct{})
		calls := make(chan sse.Entry, 1)
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			var sel sse.Selection
			if r.URL.Query().Has("filter") {
				sel.Filter = func(e *sse.Entry) bool {
					calls <- *e
					<-hold
					return true
				}
			}
			return sel, nil
		}
		f.Serve()
		filtered := f.Listen("?filter=1")
		why := map[bool]string{false: "", true: "the selection has a Filter"}[f.Broker.Park]
		wantWait(t, &f.Broker, "held", why)
		var others []*brokertest.Client
		for range 8 {
			others = append(others, f.Listen(""))
		}
		for _, s := range f.Broker.Subscribers() {
			if s.ID > 1 && s.Wait != brokertest.WaitName(f.Broker.Park) {
				t.Errorf("subscriber %d is %s, want it %s", s.ID, s.Wait,
					brokertest.WaitName(f.Broker.Park))
			}
		}
		p := f.Publish("hello")
		if e := <-calls; e.Position != p || e.Event.Data != "hello" {
			t.Errorf("the Filter was called with %+v, want the event at %v", e, p)
		}
		for _, l := range others {
			l.Want(t, "hello")
		}
		filtered.Want(t)
		close(hold)
		filtered.Want(t, "hello")
	})
}

// The broker writes to many parked streams in one goroutine, a loop. The loop collects
// the output of the streams before it writes. Each stream receives its own events, even
// if the output is larger than the loop's buffer. If the filter of a stream panics, only
// this stream ends.
func TestLargeBatches(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = selectForBatches
		f.Serve()
		testLargeBatches(t, &f.Broker, f.Server.URL(), f.Server.Client())
	})
	brokertest.OnSockets(t, func(t *testing.T, park bool) {
		broker := &sse.Broker{Park: park, Select: selectForBatches}
		addr := brokertest.NewServer(t, broker, broker)
		testLargeBatches(t, broker, "http://"+addr, nil)
	})
}

func selectForBatches(r *http.Request) (sse.Selection, error) {
	query := r.URL.Query()
	sel := sse.Selection{Topics: query["topic"], WithTopic: query.Has("with")}
	switch query.Get("filter") {
	case "even":
		sel.Filter = func(e *sse.Entry) bool { return strings.HasPrefix(e.Event.Type, "even") }
	case "panics":
		sel.Filter = func(e *sse.Entry) bool {
			if e.Event.Type == "even 30" {
				panic(http.ErrAbortHandler)
			}
			return true
		}
	}
	return sel, nil
}

func testLargeBatches(t *testing.T, broker *sse.Broker, url string, httpClient *http.Client) {
	t.Helper()
	const streams, topics, events = 40, 7, 60
	var want [streams][]string
	var entries []sse.Entry
	for i := range events {
		topic, kind := fmt.Sprint("t", i%topics), fmt.Sprint("odd ", i)
		if i%2 == 0 {
			topic, kind = "all", fmt.Sprint("even ", i)
		}
		data := fmt.Sprint(i, " ", strings.Repeat("x", 100*i))
		entries = append(entries, sse.Entry{
			Topics: []string{topic}, Event: sse.Event{Type: kind, Data: data},
		})
		for s := range want {
			if (i%2 == 0 || s%topics == i%topics) && !(s%4 == 2 && i%2 == 1) {
				want[s] = append(want[s], data)
			}
		}
	}
	done := make(chan error, streams)
	for s := range streams {
		query := fmt.Sprintf("?topic=all&topic=t%d", s%topics) +
			[]string{"", "&with=1", "&filter=even", "&filter=panics"}[s%4]
		client := &sse.Client{URL: url + "/" + query, HTTPClient: httpClient, MaxRetries: -1}
		opened := make(chan struct{})
		client.OnState = func(change sse.StateChange) {
			if change.State == sse.StateOpen {
				close(opened)
			}
		}
		go func() {
			var got []string
			for event, err := range client.Events(t.Context()) {
				if err != nil {
					break
				}
				if got = append(got, event.Data); len(got) == len(want[s]) {
					break
				}
			}
			switch ok := slices.Equal(got, want[s]); {
			case s%4 == 3 && ok:
				done <- fmt.Errorf("stream %d did not end although its filter panicked", s)
			case s%4 != 3 && !ok:
				done <- fmt.Errorf("stream %d received other events: got %d, want %d", s, len(got), len(want[s]))
			default:
				done <- nil
			}
		}()
		<-opened
	}
	if _, err := broker.Append(t.Context(), sse.AppendRequest{Entries: entries}); err != nil {
		t.Fatal(err)
	}
	for range streams {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// This test runs the random programs of package property with parked streams. (A
// program publishes, subscribes, reconnects and so on.) The tests of that package run
// the same programs with held streams.
func TestResumePropertyParked(t *testing.T) {
	steps := 34_000
	if testing.Short() {
		steps = 3500
	}
	property.Test(t, []brokertest.Wait{brokertest.Parked(sse.ParkInMemory)}, steps)
}
