package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// flood sends events until Send fails. It returns how long the last call took, and
// its error.
func flood(stream *sse.Stream) (time.Duration, error) {
	event := sse.Event{Data: strings.Repeat("x", 1<<20)}
	for {
		start := time.Now()
		if err := stream.Send(event); err != nil {
			return time.Since(start), err
		}
	}
}

// If a client stops reading, its stream ends when a write has been blocked for exactly
// WriteTimeout.
func TestStalledReaderIsCut(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		var blocked time.Duration
		var sendErr error
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: 5 * time.Second},
			func(stream *sse.Stream) { blocked, sendErr = flood(stream) })
		get(t, ssetest.NewServer(t, handler, opts)) // and never reads
		if cause := <-ended; !errors.Is(cause, sse.ErrPeerGone) {
			t.Errorf("the stream ended with %v, want ErrPeerGone", cause)
		}
		if !errors.Is(sendErr, sse.ErrPeerGone) {
			t.Errorf("Send: %v, want ErrPeerGone", sendErr)
		}
		if blocked != 5*time.Second {
			t.Errorf("Send blocked for %v, want 5s", blocked)
		}
	})
}

// The default of WriteTimeout is 30 seconds. If WriteTimeout is negative, a write may
// block without a limit.
func TestWriteTimeoutDefaultAndNone(t *testing.T) {
	for _, tt := range []struct{ timeout, want time.Duration }{
		{0, 30 * time.Second},
		{-1, 24 * time.Hour}, // the time at which the test cuts the connection
	} {
		t.Run(fmt.Sprint(tt.timeout), func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				var blocked time.Duration
				handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: tt.timeout},
					func(stream *sse.Stream) { blocked, _ = flood(stream) })
				server := ssetest.NewServer(t, handler, opts)
				get(t, server)
				time.AfterFunc(24*time.Hour, server.CutAll)
				<-ended
				if blocked != tt.want {
					t.Errorf("Send blocked for %v, want %v", blocked, tt.want)
				}
			})
		})
	}
}

// WriteTimeout limits the time for each piece of 16 KiB, and not for a whole event. So
// it does not end the stream of a client that reads slowly.
func TestSlowReaderIsNotCut(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		opts.BufferSize = 32 << 10
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: 5 * time.Second},
			func(stream *sse.Stream) {
				if err := stream.Send(sse.Event{Data: strings.Repeat("x", 8<<20)}); err != nil {
					t.Errorf("Send: %v", err)
				}
			})
		body := get(t, ssetest.NewServer(t, handler, opts)).Body
		start := time.Now()
		for {
			time.Sleep(4 * time.Second) // fake time
			if _, err := io.CopyN(io.Discard, body, 256<<10); err != nil {
				break
			}
		}
		if cause := <-ended; cause != nil {
			t.Errorf("the stream ended with %v after %v", cause, time.Since(start))
		}
	})
}

// The timeouts of http.Server do not end a stream, because Accept replaces their
// deadlines. Otherwise the server's WriteTimeout would make writes fail, and on HTTP/2
// an expired deadline would reset even an idle stream.
func TestServerTimeoutsDoNotEndStreams(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		opts.Configure = func(s *http.Server) {
			s.WriteTimeout, s.ReadTimeout = 2*time.Second, 2*time.Second
			s.IdleTimeout = 2 * time.Second
		}
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: time.Second},
			func(stream *sse.Stream) {
				time.Sleep(time.Hour) // fake time
				stream.Send(sse.Event{Data: "still here"})
			})
		body := get(t, ssetest.NewServer(t, handler, opts)).Body
		read(t, body, strings.Repeat(":\n", 240))
		rest, err := io.ReadAll(body)
		if err != nil || !strings.HasSuffix(string(rest), "data: still here\n\n") {
			t.Errorf("after an hour: %q, %v", rest, err)
		}
		if cause := <-ended; cause != nil {
			t.Errorf("the stream ended with %v", cause)
		}
	})
}

// When a stream has ended, none of its deadlines remains on the connection. So later
// requests can use the connection for a long time.
func TestConnectionIsReusedAfterAStream(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		conns := 0
		opts.Configure = func(s *http.Server) {
			s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
				conns++
				return sse.ConnContext(ctx, c)
			}
		}
		handler, _ := streamHandler(&sse.AcceptOptions{WriteTimeout: time.Second},
			func(stream *sse.Stream) { stream.Send(sse.Event{Data: "x"}) })
		mux := http.NewServeMux()
		mux.Handle("/", handler)
		mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour) // fake time
			io.WriteString(w, "slow")
		})
		server := ssetest.NewServer(t, mux, opts)
		for _, path := range []string{"/", "/slow", "/", "/slow"} {
			resp, err := server.Client().Get(server.URL() + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || len(body) == 0 {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		}
		if conns != 1 {
			t.Errorf("%d connections were made, want 1", conns)
		}
	})
}

func TestCauses(t *testing.T) {
	type kit struct {
		server *ssetest.Server
		leave  context.CancelFunc // cancels the client's request
		done   chan struct{}
	}
	errOwn := errors.New("the application's own")
	for _, tt := range []struct {
		name string
		end  func(kit)
		want error
	}{
		{"client leaves", func(k kit) { k.leave() }, sse.ErrPeerGone},
		{"connection breaks", func(k kit) { k.server.CutAll() }, sse.ErrPeerGone},
		{"shutdown", func(k kit) { close(k.done) }, sse.ErrShutdown},
		{"the application's timeout", func(k kit) { time.Sleep(time.Hour) }, errOwn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				done := make(chan struct{})
				var sent error
				handler, ended := streamHandler(&sse.AcceptOptions{Done: done},
					func(stream *sse.Stream) {
						untilDone(stream)
						sent = stream.Send(sse.Event{})
					})
				limited := func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithTimeoutCause(r.Context(), time.Hour, errOwn)
					defer cancel()
					handler.ServeHTTP(w, r.WithContext(ctx))
				}
				server := ssetest.NewServer(t, http.HandlerFunc(limited), opts)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, "GET", server.URL(), nil)
				resp, err := server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				synctest.Wait() // until the stream is accepted
				tt.end(kit{server, cancel, done})
				if cause := <-ended; !errors.Is(cause, tt.want) {
					t.Errorf("the cause is %v, want %v", cause, tt.want)
				}
				if !errors.Is(sent, tt.want) {
					t.Errorf("Send after the end: %v, want %v", sent, tt.want)
				}
			})
		})
	}
}

// Close and Abort end the stream. Only Close sends Final.
func TestCloseEndsTheStream(t *testing.T) {
	const final = "event: end\ndata: bye\n\n"
	for name, tt := range map[string]struct {
		end  func(*sse.Stream) error
		want string // the body without heartbeats
	}{
		"Close": {(*sse.Stream).Close, "data: x\n\n" + final},
		"Abort": {(*sse.Stream).Abort, "data: x\n\n"},
	} {
		recorder := ssetest.NewRecorder(t)
		handler, ended := streamHandler(
			&sse.AcceptOptions{Final: &sse.Event{Type: "end", Data: "bye"}, Heartbeat: time.Nanosecond},
			func(stream *sse.Stream) {
				stream.Send(sse.Event{Data: "x"})
				for _, end := range []func(*sse.Stream) error{tt.end, tt.end, (*sse.Stream).Close} {
					if err := end(stream); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if err := stream.Send(sse.Event{}); !errors.Is(err, sse.ErrClosed) {
					t.Errorf("Send after %s: %v, want ErrClosed", name, err)
				}
			})
		// The recorder fails the test if a heartbeat is sent after the handler has returned.
		recorder.Serve(handler, httptest.NewRequest("GET", "/", nil))
		if cause := <-ended; !errors.Is(cause, sse.ErrClosed) {
			t.Errorf("%s: the cause is %v, want ErrClosed", name, cause)
		}
		body := strings.ReplaceAll(string(recorder.Body()), ":\n", "") // without heartbeats
		if body != tt.want {
			t.Errorf("%s: the body is %q, want %q", name, body, tt.want)
		}
	}
}

// Close waits for a heartbeat that is being written, so that nothing uses the
// ResponseWriter after the handler has returned. Otherwise the recorder would fail
// the test.
func TestNoHeartbeatAfterTheHandler(t *testing.T) {
	for range 300 {
		recorder := ssetest.NewRecorder(t)
		handler, _ := streamHandler(&sse.AcceptOptions{Heartbeat: time.Microsecond},
			func(stream *sse.Stream) { stream.Send(sse.Event{}) })
		recorder.Serve(handler, httptest.NewRequest("GET", "/", nil))
	}
}

// If Done is closed when the server shuts down, an idle stream ends at once, and a
// stream whose write is blocked ends after a second. Without Done, Shutdown would wait
// for the streams until its context is done.
func TestShutdown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stalled bool
		want    time.Duration
	}{
		{"without delay", false, 0},
		{"a stalled stream after a second", true, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				done := make(chan struct{})
				opts.Configure = func(s *http.Server) {
					s.RegisterOnShutdown(func() { close(done) })
				}
				accept := &sse.AcceptOptions{
					Done:         done,
					Final:        &sse.Event{Type: "bye", Retry: 2 * time.Second},
					WriteTimeout: time.Hour,
				}
				handler, ended := streamHandler(accept, func(stream *sse.Stream) {
					if tt.stalled {
						flood(stream)
					}
					untilDone(stream)
				})
				server := ssetest.NewServer(t, handler, opts)
				body := get(t, server).Body
				synctest.Wait()
				start := time.Now()
				var shutdown sync.WaitGroup
				shutdown.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					if err := server.Shutdown(ctx); err != nil {
						t.Errorf("Shutdown: %v", err)
					}
				})
				defer shutdown.Wait()
				cause := <-ended
				if got := time.Since(start); got != tt.want {
					t.Errorf("the stream ended after %v, want %v", got, tt.want)
				}
				if tt.stalled {
					if !errors.Is(cause, sse.ErrShutdown) {
						t.Errorf("the cause is %v, want ErrShutdown", cause)
					}
					return
				}
				got, err := io.ReadAll(body)
				want := ":\nevent: bye\nretry: 2000\ndata: \n\n"
				if string(got) != want || err != nil || !errors.Is(cause, sse.ErrShutdown) {
					t.Errorf("got %q, %v, %v, want %q, nil, %v", got, err, cause, want, sse.ErrShutdown)
				}
			})
		})
	}
}

// When a peer disconnects, its stream ends at once, and so the handler can return.
func TestClientGoneFreesTheHandler(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		const clients = 1000
		handler, ended := streamHandler(nil, untilDone)
		many := make(chan error, clients)
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				handler.ServeHTTP(w, r)
				many <- <-ended
			}), opts)
		ctx, cancel := context.WithCancel(t.Context())
		for range clients {
			req, _ := http.NewRequestWithContext(ctx, "GET", server.URL(), nil)
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
		start := time.Now()
		cancel() // all at once
		for range clients {
			if cause := <-many; !errors.Is(cause, sse.ErrPeerGone) {
				t.Fatalf("the cause is %v, want ErrPeerGone", cause)
			}
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the handlers returned after %v, want no waiting", waited)
		}
	})
}

// Without ConnContext, only WriteTimeout can detect a peer that has vanished. That
// takes more than an hour, because heartbeats are small and fill the buffers slowly.
// (TestBlackHole in internal/soak tests that ConnContext detects such a peer in time.)
func TestBlackHoleWithoutConnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: 5 * time.Second}, untilDone)
		server := ssetest.NewServer(t, handler, &ssetest.ServerOptions{BufferSize: 4 << 10})
		get(t, server)
		synctest.Wait()
		server.BlackHoleAll()
		start := time.Now()
		cause := <-ended
		if !errors.Is(cause, sse.ErrPeerGone) {
			t.Errorf("the cause is %v, want ErrPeerGone", cause)
		}
		if after := time.Since(start); after < time.Hour {
			t.Errorf("detected after %v: heartbeats should have fitted the buffer for longer", after)
		}
	})
}

// On HTTP/2, the server itself can detect a peer that has vanished, as the
// documentation of ConnContext recommends: it pings the peer after 15 seconds of
// silence, and closes the connection if no reply comes within 10 seconds.
func TestBlackHoleHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, ended := streamHandler(&sse.AcceptOptions{Heartbeat: time.Hour}, untilDone)
		server := ssetest.NewServer(t, handler, &ssetest.ServerOptions{
			HTTP2: true,
			Configure: func(s *http.Server) {
				s.HTTP2 = &http.HTTP2Config{
					SendPingTimeout: 15 * time.Second,
					PingTimeout:     10 * time.Second,
				}
			},
		})
		get(t, server)
		synctest.Wait()
		server.BlackHoleAll()
		start := time.Now()
		if cause := <-ended; !errors.Is(cause, sse.ErrPeerGone) {
			t.Errorf("the cause is %v, want ErrPeerGone", cause)
		}
		if after := time.Since(start); after != 25*time.Second {
			t.Errorf("detected after %v, want 25s", after)
		}
	})
}

// If the handler has not read the request's body, net/http waits for the body before
// it sends the response header, and again when the handler has returned. Here the
// body never arrives. Accept limits each of the two waits to WriteTimeout.
func TestUnreadBodyMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: 5 * time.Second}, untilDone)
		conn := ssetest.NewServer(t, handler, nil).Dial()
		defer conn.Close()
		start := time.Now()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
		if err := <-ended; !errors.Is(err, sse.ErrPeerGone) {
			t.Errorf("Accept: %v, want ErrPeerGone", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Accept took %v, want 5s", took)
		}
		io.Copy(io.Discard, conn) // until the server has closed the connection
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the connection lasted %v, want 10s at most", took)
		}
	})
}

// A body that arrives but that the handler does not read does not end the stream.
func TestUnreadBodyArrives(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: 5 * time.Second},
			func(stream *sse.Stream) {
				time.Sleep(time.Hour) // fake time
				stream.Send(sse.Event{Data: "still here"})
			})
		server := ssetest.NewServer(t, handler, opts)
		resp, err := server.Client().Post(server.URL(), "text/plain", strings.NewReader("question"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if cause := <-ended; err != nil || cause != nil ||
			!strings.HasSuffix(string(got), "data: still here\n\n") {
			t.Errorf("got %q, %v, %v", got, err, cause)
		}
	})
}

// When Done is closed, the stream of a client that reads slowly ends within a second. So
// does the stream of a client that reads nothing (see TestShutdown). A Send that blocks
// at this time returns ErrShutdown.
func TestShutdownDoesNotWaitForASlowReader(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		opts.BufferSize = 16 << 10
		done := make(chan struct{})
		handler, ended := streamHandler(&sse.AcceptOptions{Done: done}, func(stream *sse.Stream) {
			if _, err := flood(stream); !errors.Is(err, sse.ErrShutdown) {
				t.Errorf("Send: %v, want ErrShutdown", err)
			}
		})
		body := get(t, ssetest.NewServer(t, handler, opts)).Body
		var reader sync.WaitGroup
		defer reader.Wait()
		reader.Go(func() {
			for {
				time.Sleep(100 * time.Millisecond) // fake time
				if _, err := io.CopyN(io.Discard, body, 32<<10); err != nil {
					return
				}
			}
		})
		time.Sleep(time.Minute) // fake time
		start := time.Now()
		close(done)
		if cause := <-ended; !errors.Is(cause, sse.ErrShutdown) {
			t.Errorf("the cause is %v, want ErrShutdown", cause)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the stream ended after %v, want 1s at most", took)
		}
	})
}
