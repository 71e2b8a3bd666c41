package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// What a middleware sees of a stream: all of it, or with Park only its beginning.
// Streams that cannot be parked are held, and Subscribers says why.

// limiter allows so many requests at once, as middlewares do.
type limiter struct {
	http.Handler
	most, now atomic.Int64
}

func (l *limiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer l.now.Add(-1)
	if l.now.Add(1) > l.most.Load() {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	l.Handler.ServeHTTP(w, r)
}

// inParkModes runs a test in fake time with a handler around the broker, as it
// is and with Park.
func inParkModes(t *testing.T, around func(http.Handler) http.Handler,
	test func(t *testing.T, f *brokerFixture)) {
	t.Helper()
	for _, park := range []bool{false, true} {
		t.Run(waitName(park), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &brokerFixture{t: t}
				if park {
					sse.ParkInMemory(&f.broker)
				}
				f.serveAround(around(&f.broker))
				test(t, f)
			})
		})
	}
}

// wantWait checks how the only subscriber waits.
func wantWait(t *testing.T, broker *sse.Broker, wait, why string) {
	t.Helper()
	list := broker.Subscribers()
	if len(list) != 1 || list[0].Wait != wait || list[0].Why != why {
		t.Errorf("got %+v, want one that is %q, because of %q", list, wait, why)
	}
}

func TestParkInLimiter(t *testing.T) {
	l := &limiter{}
	l.most.Store(1)
	inParkModes(t, func(h http.Handler) http.Handler { l.Handler = h; return l },
		func(t *testing.T, f *brokerFixture) {
			first := f.listen("")
			counted := map[bool]int64{false: 1, true: 0}[f.broker.Park]
			if now := l.now.Load(); now != counted {
				t.Errorf("the limiter counts %d requests, want %d", now, counted)
			}
			resp, err := f.server.Client().Get(f.server.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			want := map[bool]int{false: http.StatusTooManyRequests, true: http.StatusOK}[f.broker.Park]
			if resp.StatusCode != want {
				t.Errorf("a second stream gets %s, want %d", resp.Status, want)
			}
			f.publish("hello")
			first.want(t, "hello")
		})
}

// accessLog notes each request once it is done, with its duration. It looks at the
// status through a wrapper, or does not look.
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
			inParkModes(t, around, func(t *testing.T, f *brokerFixture) {
				l := f.listen("")
				want := test.heldLine
				if f.broker.Park {
					wantWait(t, &f.broker, test.parkedWait, test.parkedWhy)
					want = test.parkedLine
				} else {
					wantWait(t, &f.broker, "held", "")
				}
				time.Sleep(time.Hour)
				f.publish("hello")
				l.want(t, "hello")
				l.stop()
				synctest.Wait()
				if got := strings.Join(a.lines, "\n"); got != want {
					t.Errorf("the log has %q, want %q", got, want)
				}
			})
		})
	}
}

// http.TimeoutHandler keeps the response until the handler returns, so that it
// refuses streams, parked or not.
func TestParkInTimeoutHandler(t *testing.T) {
	around := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") }
	inParkModes(t, around, func(t *testing.T, f *brokerFixture) {
		resp, err := f.server.Client().Get(f.server.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusInternalServerError ||
			!strings.Contains(string(body), "*http.timeoutWriter") {
			t.Errorf("got %s, %q, %v, want 500 and who is to blame", resp.Status, body, err)
		}
		if left := f.broker.Subscribers(); len(left) != 0 {
			t.Errorf("got subscribers %+v, want none", left)
		}
	})
}

// The request's context of a parked stream ends with its handler, and the stream
// does not.
func TestParkEndsRequest(t *testing.T) {
	var request context.Context
	around := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request = r.Context()
			h.ServeHTTP(w, r)
		})
	}
	inParkModes(t, around, func(t *testing.T, f *brokerFixture) {
		l := f.listen("")
		if done := request.Err() != nil; done != f.broker.Park {
			t.Errorf("the request's context is done: %t", done)
		}
		f.publish("hello")
		l.want(t, "hello")
	})
}

func TestParkWhyNot(t *testing.T) {
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
				f := &brokerFixture{t: t, opts: test.opts}
				sse.ParkInMemory(&f.broker)
				f.serve()
				req, err := http.NewRequest(http.MethodGet, f.server.URL(), test.body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := f.server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				synctest.Wait()
				wantWait(t, &f.broker, "held", test.why)
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
