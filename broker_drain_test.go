package sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/internal/testrand"
)

// Shutdown ends the streams one after the other, spread over DrainOver. It sends each
// client a random reconnection delay.
func TestDrain(t *testing.T) {
	clients := 600
	if testing.Short() {
		clients = 100
	}
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.DrainOver = 30 * time.Second
		ends := brokertest.RecordEnds(&f.Broker)
		f.Serve()
		bodies := make(chan string, clients)
		for range clients {
			resp, err := f.Server.Client().Get(f.Server.URL())
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
		if err := f.Broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != f.Broker.DrainOver {
			t.Errorf("Shutdown took %v, want %v", took, f.Broker.DrainOver)
		}
		ends.Want(t, sse.ErrShutdown, clients)
		buckets := make(map[time.Duration]int)
		for _, at := range ends.Times() {
			buckets[at.Sub(start)/(100*time.Millisecond)]++
		}
		for at, n := range buckets {
			if n > max(1, clients*2/100) {
				t.Errorf("%d of %d streams end in the same 100 ms, number %d", n, clients, at)
			}
		}
		last := regexp.MustCompile(`\nretry: (\d+)\n\n$`)
		delays := make(map[string]int)
		for range clients {
			body := <-bodies
			match := last.FindStringSubmatch(body)
			if match == nil {
				t.Fatalf("a stream ends with %q, want a retry field", body)
			}
			delays[match[1]]++
		}
		if len(delays) < clients/4 {
			t.Errorf("got %d different reconnection delays, want at least %d", len(delays), clients/4)
		}
	})
}

// A stream whose response begins while the broker shuts down receives a reconnection
// delay too. This also holds for a stream that was about to be parked.
func TestDrainLate(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{}, f.Broker.Shutdown(t.Context())
		}
		checkLate(t, f)
	})
	for _, tt := range []struct {
		name    string
		timeout time.Duration // of Shutdown
		want    error         // of Shutdown
	}{
		{"parked last", time.Hour, nil},
		{"parked too late", 0, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &brokertest.Fixture{T: t}
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				ended := make(chan error, 1)
				sse.ParkInMemoryAfter(&f.Broker, func() {
					go func() { ended <- f.Broker.Shutdown(ctx) }()
					synctest.Wait() // until Shutdown waits for this stream, or has returned
					if tt.timeout > 0 && len(ended) > 0 {
						t.Error("Shutdown did not wait for a stream that was about to be parked")
					}
				})
				checkLate(t, f)
				if err := <-ended; !errors.Is(err, tt.want) {
					t.Errorf("Shutdown returned %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// checkLate checks that the body of a stream consists of a cursor and a reconnection
// delay. (The cursor is an event with only the client's position, as its ID. Without
// any ID in the stream, some clients lose their position.)
func checkLate(t *testing.T, f *brokertest.Fixture) {
	t.Helper()
	f.Serve()
	resp, err := f.Server.Client().Get(f.Server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	want := regexp.MustCompile(`^id: ~\S+\nevent: sse\.cursor\ndata: \n\nretry: \d+\n\n$`)
	if err != nil || !want.Match(body) {
		t.Errorf("%s: the stream is %q (%v), want a cursor and a retry field", resp.Status, body, err)
	}
}

// When a broker shuts down, its clients reconnect to its successor, another broker
// with the same log. They receive every event once.
func TestDrainToSuccessor(t *testing.T) {
	clients := 100
	if testing.Short() {
		clients = 20
	}
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		var successor sse.Broker
		if f.Broker.Park {
			sse.ParkInMemory(&successor)
		}
		log := reflog.New(nil)
		for _, b := range []*sse.Broker{&f.Broker, &successor} {
			b.Log = log
			b.Retention.Events = 50
			b.DrainOver = 30 * time.Second
		}
		rng := testrand.New(t)
		// This load balancer does not know that one of the brokers shuts down: it
		// selects a broker at random for each request.
		f.ServeAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if rng.IntN(2) == 0 {
				f.Broker.ServeHTTP(w, r)
			} else {
				successor.ServeHTTP(w, r)
			}
		}))
		t.Cleanup(func() {
			if err := successor.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		var connected []*brokertest.Client
		for range clients {
			connected = append(connected, f.Listen("?topic=a"))
		}
		drained := make(chan error, 1)
		var want []string
		for i := range 500 {
			if i == 50 {
				go func() { drained <- f.Broker.Shutdown(context.Background()) }()
			}
			data := fmt.Sprint(i)
			_, err := f.Broker.Publish(t.Context(), sse.Event{Data: data}, "a")
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
		time.Sleep(time.Hour) // until the last client has reconnected
		for i, c := range connected {
			if got := c.Data(); !slices.Equal(got, want) {
				t.Errorf("client %d got %d events, want %d: %q", i, len(got), len(want), got)
			}
		}
		if n := len(successor.Subscribers()); n != clients {
			t.Errorf("the successor has %d subscribers, want %d", n, clients)
		}
	})
}

// delayedWriter is a response whose flushes wait until a channel is closed.
type delayedWriter struct {
	http.ResponseWriter
	until <-chan struct{}
}

func (w delayedWriter) FlushError() error {
	<-w.until
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Shutdown waits for a stream whose header is still being written, because the client
// considers the stream open as soon as the header has arrived. If the context of
// Shutdown is done before that, Shutdown returns an error.
func TestShutdownWaitsForStartingStream(t *testing.T) {
	for _, tt := range []struct {
		timeout, took time.Duration // of Shutdown
		want          error
	}{
		{time.Hour, time.Second, nil},
		{time.Second / 2, time.Second / 2, context.DeadlineExceeded},
	} {
		inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
			until := make(chan struct{})
			f.ServeAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				f.Broker.ServeHTTP(delayedWriter{w, until}, r)
			}))
			l := f.Listen("", func(c *sse.Client) { c.MaxRetries = -1 })
			synctest.Wait()
			time.AfterFunc(time.Second, func() { close(until) })
			ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
			defer cancel()
			start := time.Now()
			err := f.Broker.Shutdown(ctx)
			if took := time.Since(start); !errors.Is(err, tt.want) || took != tt.took {
				t.Errorf("Shutdown returned %v after %v, want %v after %v, and the header after a second",
					err, took, tt.want, tt.took)
			}
			l.Stop()
		})
	}
}

// Shutdown returns as soon as no stream is left, even before DrainOver has passed.
func TestDrainEndsWithTheLastStream(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.DrainOver = time.Hour
		f.Serve()
		l := f.Listen("")
		time.AfterFunc(time.Second, l.Cancel)
		start := time.Now()
		if err := f.Broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Shutdown took %v, want 1s", got)
		}
	})
}

// attachKey is the context key of a value that the application's own ConnContext sets.
type attachKey struct{}

// attachBroker starts a server for the broker of f. It sets the server's ConnContext
// to a function of the application, and then calls Attach. It returns the HTTP server
// and the function that Attach has returned.
func attachBroker(t *testing.T, f *brokertest.Fixture) (
	server *http.Server, shutdown func(context.Context) error) {
	t.Helper()
	f.Options.Configure = func(s *http.Server) {
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, attachKey{}, "set before")
		}
		server, shutdown = s, f.Broker.Attach(s)
	}
	f.Serve()
	return server, shutdown
}

// dials reports whether the server still accepts connections.
func dials(f *brokertest.Fixture) bool {
	client := f.Server.Client()
	transport := client.Transport.(*http.Transport).Clone() // has no open connection to reuse
	defer transport.CloseIdleConnections()
	client.Transport = transport
	resp, err := client.Get(f.Server.URL())
	if err == nil {
		resp.Body.Close()
	}
	return err == nil
}

// The function that Attach returns closes the listeners before the first stream
// ends. The streams end one by one, each with a reconnection delay. The function
// returns when all streams have ended. A second call returns nil.
func TestAttach(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.DrainOver = 10 * time.Second
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			if got := r.Context().Value(attachKey{}); got != "set before" {
				t.Errorf("got the value %v, want the value of the application's ConnContext", got)
			}
			return sse.Selection{}, nil
		}
		ends := brokertest.RecordEnds(&f.Broker)
		record := f.Broker.OnDisconnect
		f.Broker.OnDisconnect = func(s sse.Subscriber, err error) {
			if dials(f) {
				t.Error("a stream has ended before the listener was closed")
			}
			record(s, err)
		}
		_, shutdown := attachBroker(t, f)
		streams := []*rawStream{listenRaw(t, f, "", nil), listenRaw(t, f, "", nil)}
		start := time.Now()
		if err := shutdown(t.Context()); err != nil {
			t.Errorf("shutdown returned %v", err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("shutdown took %v, want DrainOver and at most a second for http.Server", took)
		}
		ends.Want(t, sse.ErrShutdown, 2)
		if times := ends.Times(); times[0].Sub(start) != 5*time.Second {
			t.Errorf("the first stream ended after %v, want 5s", times[0].Sub(start))
		}
		for _, s := range streams {
			if got := s.take(); !regexp.MustCompile(`\nretry: \d+\n\n$`).MatchString(got) {
				t.Errorf("the stream is %q, want a retry field at its end", got)
			}
		}
		if err := shutdown(t.Context()); err != nil {
			t.Errorf("the second shutdown returned %v", err)
		}
	})
}

// If the application calls http.Server.Shutdown itself, the streams end too, spread
// over DrainOver. The call returns at most a second after that time.
func TestAttachAndServerShutdown(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.DrainOver = 10 * time.Second
		ends := brokertest.RecordEnds(&f.Broker)
		server, shutdown := attachBroker(t, f)
		s := listenRaw(t, f, "", nil)
		start := time.Now()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Errorf("http.Server.Shutdown returned %v", err)
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("http.Server.Shutdown took %v, want at most DrainOver and a second", took)
		}
		time.Sleep(20*time.Second - time.Since(start))
		ends.Want(t, sse.ErrShutdown, 1)
		if got := s.take(); !regexp.MustCompile(`\nretry: \d+\n\n$`).MatchString(got) {
			t.Errorf("the stream is %q, want a retry field at its end", got)
		}
		if err := shutdown(t.Context()); err != nil {
			t.Errorf("shutdown returned %v", err)
		}
	})
}

// If the context is done before the streams have ended, the function that Attach
// returns cuts off the streams, and returns the cause of the context. If no stream is
// left but another request is still running, the function returns the error of
// http.Server.Shutdown.
func TestAttachTimeout(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.DrainOver = time.Hour
		ends := brokertest.RecordEnds(&f.Broker)
		_, shutdown := attachBroker(t, f)
		listenRaw(t, f, "", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := shutdown(ctx)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
			t.Errorf("shutdown returned %v after %v, want DeadlineExceeded after a second", err, took)
		}
		synctest.Wait()
		ends.Want(t, sse.ErrShutdown, 1)
	})
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		hold := make(chan struct{})
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			<-hold
			return sse.Selection{}, errors.New("never")
		}
		_, shutdown := attachBroker(t, f)
		done := make(chan struct{})
		go func() {
			defer close(done)
			dials(f)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		const want = "sse: http.Server.Shutdown: context deadline exceeded"
		if err := shutdown(ctx); err == nil || err.Error() != want {
			t.Errorf("shutdown returned %v, want %s", err, want)
		}
		close(hold)
		<-done
	})
}

// Attach installs ConnContext. With ConnContext, the broker sets an option of the
// socket of each connection. The connections of this test are in memory and have no
// socket, so the broker logs that it cannot set the option.
func TestAttachInstallsConnContext(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		if f.Options.HTTP2 {
			return // on HTTP/2, the broker sets no option of the socket
		}
		var log bytes.Buffer
		level := &slog.HandlerOptions{Level: slog.LevelDebug}
		f.Broker.Logger = slog.New(slog.NewTextHandler(&log, level))
		attachBroker(t, f)
		listenRaw(t, f, "", nil)
		const want = "a peer that vanishes will be noticed late"
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("the log has %q %d times, want once: %s", want, n, log.String())
		}
	})
	server := &http.Server{}
	var broker sse.Broker
	broker.Attach(server)
	if server.ConnContext == nil {
		t.Error("without a ConnContext of its own, the server has none")
	}
}
