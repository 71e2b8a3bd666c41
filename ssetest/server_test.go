package ssetest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/leakcheck"
	"github.com/sse-go/sse/ssetest"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }

// eachProtocol runs a test with HTTP/1.1 and with HTTP/2, each in a bubble. The
// function test may change opts before it passes them to NewServer.
func eachProtocol(t *testing.T, test func(t *testing.T, opts *ssetest.ServerOptions)) {
	for _, http2 := range []bool{false, true} {
		name := "HTTP1"
		if http2 {
			name = "HTTP2"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, &ssetest.ServerOptions{HTTP2: http2})
			})
		})
	}
}

// get sends a request. The response body is closed at the end of the test.
func get(t *testing.T, s *ssetest.Server) *http.Response {
	t.Helper()
	response, err := tryGet(t, s)
	if err != nil {
		t.Fatalf("GET: %v", err)
	}
	return response
}

func tryGet(t *testing.T, s *ssetest.Server) (*http.Response, error) {
	t.Helper()
	response, err := s.Client().Get(s.URL())
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

// stallingHandler returns a handler that sends the response header, waits until the
// request's context is done, and closes ended when it returns. The handler can serve
// only one request.
func stallingHandler() (handler http.HandlerFunc, ended <-chan struct{}) {
	done := make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, done
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wantElapsed fails the test unless exactly the duration want has passed since
// start.
func wantElapsed(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

func TestServerUsesProtocol(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Proto+" "+r.Host)
			}), opts)
		body, err := io.ReadAll(get(t, server).Body)
		want := "HTTP/1.1 ssetest.invalid"
		if opts.HTTP2 {
			want = "HTTP/2.0 ssetest.invalid"
		}
		if err != nil || string(body) != want {
			t.Errorf("got %q, error %v; want %q", body, err, want)
		}
	})
}

func TestServerInFakeTime(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				for range 3 {
					<-time.After(time.Hour) // in the bubble
					_, _ = io.WriteString(w, "tick\n")
					_ = http.NewResponseController(w).Flush()
				}
			}), opts)
		start := time.Now()
		lines := bufio.NewScanner(get(t, server).Body)
		for i := 1; lines.Scan(); i++ {
			wantElapsed(t, "a line", start, time.Duration(i)*time.Hour)
		}
		wantElapsed(t, "the response", start, 3*time.Hour)
	})
}

func TestServerInRealTime(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		handler, ended := stallingHandler()
		server := ssetest.NewServer(t, handler, &ssetest.ServerOptions{HTTP2: http2})
		get(t, server)
		server.Close()
		if !isClosed(ended) {
			t.Errorf("HTTP2 %v: Close returned before the handler", http2)
		}
	}
}

func TestCloseWaitsForHandlers(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := stallingHandler()
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				defer func() { <-time.After(time.Minute) }() // in the bubble
				handler(w, r)
			}), opts)
		response := get(t, server)
		start := time.Now()
		server.Close()
		wantElapsed(t, "Close", start, time.Minute)
		if !isClosed(ended) {
			t.Error("Close returned before the handler")
		}
		if _, err := io.ReadAll(response.Body); err == nil {
			t.Error("the client got no error, but the server closed before the end of the response")
		}
		if _, err := tryGet(t, server); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("request after Close: got error %v, want ECONNREFUSED", err)
		}
		if n := server.Conns(); n != 0 {
			t.Errorf("got %d open connections after Close, want 0", n)
		}
		server.Close()
	})
}

func TestCloseEndsBlockedWriter(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		opts.BufferSize = 512
		failed := make(chan error, 1)
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				var err error
				for err == nil {
					_, err = io.WriteString(w, strings.Repeat("x", 1024))
				}
				failed <- err
			}), opts)
		get(t, server) // the body is not read
		synctest.Wait()
		if len(failed) != 0 {
			t.Fatalf("the handler did not block: %v", <-failed)
		}
		server.Close()
		if len(failed) != 1 {
			t.Error("Close returned before the handler")
		}
	})
}

func TestCloseEndsClientsInBlackHole(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := stallingHandler()
		server := ssetest.NewServer(t, handler, opts)
		response := get(t, server)
		server.BlackHoleAll()
		server.Close()
		if _, err := io.ReadAll(response.Body); err == nil {
			t.Error("the client got no error, but the server closed before the end of the response")
		}
	})
}

func TestCutAllBreaksBothEnds(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := stallingHandler()
		requests := 0
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				if requests++; requests == 1 {
					handler(w, r)
				}
			}), opts)
		response := get(t, server)
		start := time.Now()
		server.CutAll()
		if _, err := io.ReadAll(response.Body); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got error %v, want ECONNRESET", err)
		}
		<-ended
		wantElapsed(t, "noticing the cut", start, 0)
		if _, err := tryGet(t, server); err != nil {
			t.Errorf("request after CutAll: %v", err)
		}
	})
}

func TestBlackHoleCausesNoError(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := stallingHandler()
		server := ssetest.NewServer(t, handler, opts)
		response := get(t, server)
		server.BlackHoleAll()
		timer := time.AfterFunc(time.Hour, server.CutAll)
		defer timer.Stop()
		start := time.Now()
		_, _ = io.ReadAll(response.Body)
		<-ended
		wantElapsed(t, "noticing the black hole", start, time.Hour)
	})
}

func TestStopAndStart(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		server := ssetest.NewServer(t, &ssetest.Script{}, opts)
		refused := func(when string) {
			t.Helper()
			if _, err := tryGet(t, server); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: got error %v, want ECONNREFUSED", when, err)
			}
		}
		server.Stop()
		refused("before the first Start")
		server.Start()
		// Read the body to its end: then the connection becomes idle and stays open.
		if _, err := io.ReadAll(get(t, server).Body); err != nil {
			t.Errorf("after Start: %v", err)
		}
		if n := server.Conns(); n != 1 {
			t.Errorf("got %d open connections, want the idle one", n)
		}
		server.Stop()
		synctest.Wait()
		if n := server.Conns(); n != 0 {
			t.Errorf("got %d open connections after Stop, want 0", n)
		}
		refused("after Stop")
		server.Start()
		get(t, server)
	})
}

func TestShutdownWaitsForRequests(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := stallingHandler()
		server := ssetest.NewServer(t, handler, opts)
		response := get(t, server)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown during a request: got error %v, want DeadlineExceeded", err)
		}
		wantElapsed(t, "Shutdown", start, time.Minute)
		if isClosed(ended) {
			t.Error("Shutdown ended the handler")
		}
		_ = response.Body.Close()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown after the request: %v", err)
		}
		if n := server.Conns(); n != 0 {
			t.Errorf("got %d open connections after Shutdown, want 0", n)
		}
	})
}

func TestDialReachesServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				_ = control.SetWriteDeadline(time.Now().Add(30 * time.Second))
				var err error
				for err == nil {
					_, err = io.WriteString(w, "data: x\n\n")
				}
				failed <- err
			}), &ssetest.ServerOptions{BufferSize: 512})
		conn := server.Dial()
		defer conn.Close()
		start := time.Now()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		// The test reads nothing, so the handler blocks until its deadline.
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the handler got error %v, want os.ErrDeadlineExceeded", err)
		}
		wantElapsed(t, "the write", start, 30*time.Second)
	})
}

func TestConfigure(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		type key struct{}
		var states []http.ConnState
		opts.Configure = func(s *http.Server) {
			s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
				return context.WithValue(ctx, key{}, "configured")
			}
			s.ConnState = func(_ net.Conn, state http.ConnState) {
				states = append(states, state)
			}
		}
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Context().Value(key{}).(string))
			}), opts)
		if body, _ := io.ReadAll(get(t, server).Body); string(body) != "configured" {
			t.Errorf("got %q, want the value set by ConnContext", body)
		}
		server.Close()
		if n := len(states); n < 2 || states[0] != http.StateNew ||
			states[n-1] != http.StateClosed {
			t.Errorf("ConnState was called with %v, want new … closed", states)
		}
	})
}
