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

// flood sends until it fails, and reports how long the last call took.
func flood(stream *sse.Stream) (time.Duration, error) {
	event := sse.Event{Data: strings.Repeat("x", 1<<20)}
	for {
		start := time.Now()
		if err := stream.Send(event); err != nil {
			return time.Since(start), err
		}
	}
}

// FIELD "Server": one that stops reading is found, after exactly WriteTimeout.
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

// The default is 30 seconds, and a negative WriteTimeout waits for ever.
func TestWriteTimeoutDefaultAndNone(t *testing.T) {
	for _, tt := range []struct{ timeout, want time.Duration }{
		{0, 30 * time.Second},
		{-1, 24 * time.Hour}, // when the client goes
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

// DESIGN 3.9: no progress is the one reason to cut. A slow reader makes some.
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
			time.Sleep(4 * time.Second) // the bubble's
			if _, err := io.CopyN(io.Discard, body, 256<<10); err != nil {
				break
			}
		}
		if cause := <-ended; cause != nil {
			t.Errorf("the stream ended with %v after %v", cause, time.Since(start))
		}
	})
}

// FIELD "Server": http.Server.WriteTimeout kills streams; and on HTTP/2 a
// deadline that is left standing resets an idle one.
func TestServerTimeoutsDoNotEndStreams(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		opts.Configure = func(s *http.Server) {
			s.WriteTimeout, s.ReadTimeout = 2*time.Second, 2*time.Second
			s.IdleTimeout = 2 * time.Second
		}
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: time.Second},
			func(stream *sse.Stream) {
				time.Sleep(time.Hour) // the bubble's
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

// A stream leaves nothing behind on its connection.
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
			time.Sleep(time.Hour) // the bubble's
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
		leave  context.CancelFunc // of the client
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

func TestCloseEndsTheStream(t *testing.T) {
	final := sse.Event{Type: "end", Data: "bye"}
	recorder := ssetest.NewRecorder(t)
	handler, ended := streamHandler(&sse.AcceptOptions{Final: &final, Heartbeat: time.Nanosecond},
		func(stream *sse.Stream) {
			stream.Send(sse.Event{Data: "x"})
			for range 2 {
				if err := stream.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			if err := stream.Send(sse.Event{}); !errors.Is(err, sse.ErrClosed) {
				t.Errorf("Send after Close: %v, want ErrClosed", err)
			}
		})
	// The recorder fails the test if a heartbeat comes after the handler.
	recorder.Serve(handler, httptest.NewRequest("GET", "/", nil))
	if cause := <-ended; !errors.Is(cause, sse.ErrClosed) {
		t.Errorf("the cause is %v, want ErrClosed", cause)
	}
	if body := string(recorder.Body()); !strings.HasSuffix(body, "event: end\ndata: bye\n\n") ||
		strings.Count(body, "bye") != 1 {
		t.Errorf("the body is %q, want the final frame once, at its end", body)
	}
}

// Close waits for a heartbeat that is under way: nothing touches the
// ResponseWriter once the handler has returned.
func TestNoHeartbeatAfterTheHandler(t *testing.T) {
	for range 300 {
		recorder := ssetest.NewRecorder(t)
		handler, _ := streamHandler(&sse.AcceptOptions{Heartbeat: time.Microsecond},
			func(stream *sse.Stream) { stream.Send(sse.Event{}) })
		recorder.Serve(handler, httptest.NewRequest("GET", "/", nil))
	}
}

// FIELD "Server": http.Server.Shutdown with one stream open runs into its
// context, unless Done ends the stream.
func TestShutdown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stalled bool
		want    time.Duration
	}{
		{"at once", false, 0},
		{"and one that does not read a second later", true, time.Second},
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

// A peer that has gone frees the handler, and everything of the stream.
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
			t.Errorf("it took %v to free them, want no waiting", waited)
		}
	})
}

// What a deadline alone does not find in time: a black hole takes heartbeats
// until the buffers are full. (TestBlackHole finds it, with ConnContext.)
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
			t.Errorf("found after %v: heartbeats should have fitted the buffer for longer", after)
		}
	})
}

// What ConnContext documents for HTTP/2: the server asks whether the peer is
// there, and ends the connection if it is not.
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
			t.Errorf("found after %v, want 25s", after)
		}
	})
}

// A body that the handler has not read, and that does not come: net/http waits
// for it before it sends the header, and after the handler, but not for ever.
func TestUnreadBodyThatDoesNotCome(t *testing.T) {
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

// One that does come is in nobody's way.
func TestUnreadBodyThatComes(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := streamHandler(&sse.AcceptOptions{WriteTimeout: 5 * time.Second},
			func(stream *sse.Stream) {
				time.Sleep(time.Hour) // the bubble's
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

// A reader that is slow but alive has no more time when the server shuts down
// than one that has stalled, and nothing new is sent to it.
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
				time.Sleep(100 * time.Millisecond) // the bubble's
				if _, err := io.CopyN(io.Discard, body, 32<<10); err != nil {
					return
				}
			}
		})
		time.Sleep(time.Minute) // the bubble's
		start := time.Now()
		close(done)
		if cause := <-ended; !errors.Is(cause, sse.ErrShutdown) {
			t.Errorf("the cause is %v, want ErrShutdown", cause)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v, want 1s at most", took)
		}
	})
}
