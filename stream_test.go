package sse_test

import (
	"bufio"
	"context"
	"errors"
	"io"
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

// inModes runs a test with fake time, on HTTP/1.1 and on HTTP/2.
func inModes(t *testing.T, test func(t *testing.T, opts *ssetest.ServerOptions)) {
	t.Helper()
	for _, http2 := range []bool{false, true} {
		name := "http1"
		if http2 {
			name = "http2"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, &ssetest.ServerOptions{HTTP2: http2})
			})
		})
	}
}

// streamHandler returns a handler that accepts a stream, calls use, and closes
// the stream. When use has returned, the handler sends on the channel why the stream
// has ended, or nil if it is still open. If Accept fails, it sends the error.
func streamHandler(opts *sse.AcceptOptions, use func(*sse.Stream)) (http.Handler, <-chan error) {
	ended := make(chan error, 10)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, opts)
		if err != nil {
			ended <- err
			return
		}
		defer stream.Close()
		use(stream)
		ended <- context.Cause(stream.Context())
	}), ended
}

func untilDone(stream *sse.Stream) { <-stream.Context().Done() }

// get sends a request with header fields, given as name, value, name, value, and so
// on. The body of the response stays open until the test ends.
func get(t *testing.T, server *ssetest.Server, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
	})
	return resp
}

// read reads len(want) bytes and compares them with want.
func read(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}

// Accept sends the response header and the first bytes of the body at once.
func TestAcceptSendsHeadersAndAFirstByte(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := streamHandler(nil, untilDone)
		server := ssetest.NewServer(t, handler, opts)
		resp := get(t, server)
		for name, want := range map[string]string{
			"Content-Type":      "text/event-stream",
			"Cache-Control":     "no-store, no-transform",
			"X-Accel-Buffering": "no",
			"Incremental":       "?1",
			"Connection":        "",
			"Keep-Alive":        "",
			"Transfer-Encoding": "",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %s, want 200", resp.Status)
		}
		start := time.Now()
		read(t, resp.Body, ":\n")
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the first byte came after %v, want at once", waited)
		}
	})
}

func TestRetryIsSentFirst(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := streamHandler(&sse.AcceptOptions{Retry: 1500 * time.Millisecond}, untilDone)
		read(t, get(t, ssetest.NewServer(t, handler, opts)).Body, "retry: 1500\n\n")
	})
}

func TestSend(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := streamHandler(nil, func(stream *sse.Stream) {
			stream.Send(sse.Event{ID: "1", Type: "a", Data: "x\ny", Retry: time.Second},
				sse.Event{})
			stream.SendJSON(sse.Event{Type: "j"}, map[string]int{"n": 1})
			stream.Comment("two\r\nlines")
			stream.Send()
			untilDone(stream)
		})
		read(t, get(t, ssetest.NewServer(t, handler, opts)).Body, ":\n"+
			"id: 1\nevent: a\nretry: 1000\ndata: x\ndata: y\n\n"+
			"data: \n\n"+
			"event: j\ndata: {\"n\":1}\n\n"+
			": two\n: lines\n")
	})
}

// flushCounter counts writes and flushes.
type flushCounter struct {
	*ssetest.Recorder
	flushes, writes int
}

func (f *flushCounter) FlushError() error {
	f.flushes++
	return f.Recorder.FlushError()
}

func (f *flushCounter) Write(p []byte) (int, error) {
	f.writes++
	return f.Recorder.Write(p)
}

func TestBatchIsOneWriteAndOneFlush(t *testing.T) {
	recorder := &flushCounter{Recorder: ssetest.NewRecorder(t)}
	handler, _ := streamHandler(nil, func(stream *sse.Stream) {
		recorder.flushes, recorder.writes = 0, 0
		stream.Send(make([]sse.Event, 100)...)
	})
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if recorder.flushes != 1 || recorder.writes != 1 {
		t.Errorf("100 events took %d writes and %d flushes, want 1 and 1",
			recorder.writes, recorder.flushes)
	}
	if got := len(recorder.Events()); got != 100 {
		t.Errorf("%d events arrived, want 100", got)
	}
}

// If Send refuses one of its events, it writes none of them. The stream stays usable.
func TestRefusedEventSendsNothing(t *testing.T) {
	recorder := ssetest.NewRecorder(t)
	handler, _ := streamHandler(nil, func(stream *sse.Stream) {
		var field *sse.FieldError
		err := stream.Send(sse.Event{Data: "good"}, sse.Event{ID: "1\ndata: forged"})
		if !errors.As(err, &field) {
			t.Errorf("Send: %v, want a *FieldError", err)
		}
		if err := stream.SendJSON(sse.Event{}, func() {}); err == nil {
			t.Error("SendJSON of a func: no error")
		}
		if err := stream.SendJSON(sse.Event{Data: "x"}, 1); err == nil {
			t.Error("SendJSON of an event with data: no error")
		}
		if err := stream.Send(sse.Event{Data: "after"}); err != nil {
			t.Errorf("Send after a refused event: %v", err)
		}
	})
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if got, want := string(recorder.Body()), ":\ndata: after\n\n"; got != want {
		t.Errorf("the body is %q, want %q", got, want)
	}
}

func TestConcurrentSendsDoNotMix(t *testing.T) {
	const senders, each = 8, 200
	recorder := ssetest.NewRecorder(t)
	handler, _ := streamHandler(&sse.AcceptOptions{Heartbeat: time.Nanosecond},
		func(stream *sse.Stream) {
			var wg sync.WaitGroup
			for range senders {
				wg.Go(func() {
					for range each {
						stream.Send(sse.Event{ID: "1", Data: strings.Repeat("x\n", 20)})
						stream.Comment("y")
					}
				})
			}
			wg.Wait()
		})
	recorder.Serve(handler, httptest.NewRequest("GET", "/", nil))
	events := recorder.Events()
	if len(events) != senders*each {
		t.Fatalf("%d events arrived, want %d", len(events), senders*each)
	}
	for _, event := range events {
		if event.ID != "1" || event.Data != strings.Repeat("x\n", 20) {
			t.Fatalf("an event arrived as %+v", event)
		}
	}
}

// Stream.LastEventID prefers the header Last-Event-ID to the query.
func TestLastEventID(t *testing.T) {
	for _, tt := range []struct{ name, target, header, want string }{
		{"none", "/", "", ""},
		{"header", "/", "7", "7"},
		{"query", "/?lastEventId=a%20b", "", "a b"},
		{"header wins", "/?lastEventId=1", "2", "2"},
		{"other parameters", "/?since=10m&last-event-id=9", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := httptest.NewRequest("GET", tt.target, nil)
			if tt.header != "" {
				request.Header.Set("Last-Event-ID", tt.header)
			}
			got := "-"
			handler, _ := streamHandler(nil, func(s *sse.Stream) { got = s.LastEventID() })
			handler.ServeHTTP(httptest.NewRecorder(), request)
			if got != tt.want {
				t.Errorf("LastEventID is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHeartbeats(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts sse.AcceptOptions
		want string
		wait time.Duration
	}{
		{"default", sse.AcceptOptions{}, ":\n", 15 * time.Second},
		{"block", sse.AcceptOptions{HeartbeatBlock: true}, ":\n\n", 15 * time.Second},
		{"event", sse.AcceptOptions{HeartbeatEvent: "ping", Heartbeat: time.Minute},
			"event: ping\ndata: \n\n", time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				handler, _ := streamHandler(&tt.opts, untilDone)
				body := get(t, ssetest.NewServer(t, handler, opts)).Body
				read(t, body, ":\n")
				for range 3 {
					start := time.Now()
					read(t, body, tt.want)
					if waited := time.Since(start); waited != tt.wait {
						t.Errorf("a heartbeat came after %v, want %v", waited, tt.wait)
					}
				}
			})
		})
	}
}

// The stream sends a heartbeat 15 seconds after the last write, so every event
// postpones the next heartbeat.
func TestTrafficPostponesHeartbeats(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := streamHandler(nil, func(stream *sse.Stream) {
			for range 3 {
				time.Sleep(10 * time.Second) // fake time
				stream.Send(sse.Event{Data: "x"})
			}
			untilDone(stream)
		})
		body := get(t, ssetest.NewServer(t, handler, opts)).Body
		start := time.Now()
		read(t, body, ":\ndata: x\n\ndata: x\n\ndata: x\n\n:\n")
		if got, want := time.Since(start), 45*time.Second; got != want {
			t.Errorf("the heartbeat came after %v, want %v", got, want)
		}
	})
}

func TestNoHeartbeats(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := streamHandler(&sse.AcceptOptions{Heartbeat: -1}, func(stream *sse.Stream) {
			time.Sleep(24 * time.Hour) // fake time
			stream.Send(sse.Event{Data: "x"})
		})
		read(t, get(t, ssetest.NewServer(t, handler, opts)).Body, ":\ndata: x\n\n")
	})
}

// With a Heartbeat of one second, a stream that sends no event for a minute sends 59 or
// 60 heartbeats. Each is a comment line. HTML 9.2.6: a client ignores comments.
func TestHeartbeatsAreInvisibleToTheClient(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, _ := streamHandler(&sse.AcceptOptions{Heartbeat: time.Second},
			func(stream *sse.Stream) {
				time.Sleep(time.Minute) // fake time
				stream.Send(sse.Event{Data: "x"})
			})
		scanner := bufio.NewScanner(get(t, ssetest.NewServer(t, handler, opts)).Body)
		comments := 0
		for scanner.Scan() && scanner.Text() == ":" {
			comments++
		}
		// The sixtieth heartbeat and the event are due at the same time: either may be
		// sent first. The first line of the stream is a comment, too.
		if comments != 60 && comments != 61 {
			t.Errorf("%d comments in a minute, want the first byte and 59 or 60", comments)
		}
	})
}

// RFC 9110 9.3.2: the response to a HEAD request has a header but no body. So Accept
// returns an error instead of a stream.
func TestHead(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := streamHandler(nil, untilDone)
		server := ssetest.NewServer(t, handler, opts)
		resp, err := server.Client().Head(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type is %q", got)
		}
		if err := <-ended; !errors.Is(err, http.ErrBodyNotAllowed) {
			t.Errorf("Accept: %v, want %v", err, http.ErrBodyNotAllowed)
		}
	})
}

// The methods of the zero Stream do not block. Each method that can return an error
// returns the same error, and the context of the zero Stream is done.
func TestZeroStream(t *testing.T) {
	var stream sse.Stream
	ctx := stream.Context()
	cause := context.Cause(ctx)
	if ctx.Err() == nil || cause == nil || !strings.Contains(cause.Error(), "Accept") {
		t.Fatalf("Context: got the cause %v, want a done context whose cause names Accept", cause)
	}
	for name, err := range map[string]error{
		"Send":                 stream.Send(sse.Event{Data: "a"}),
		"Send, without events": stream.Send(),
		"SendJSON":             stream.SendJSON(sse.Event{}, 1),
		"Comment":              stream.Comment("a"),
		"Close":                stream.Close(),
		"Abort":                stream.Abort(),
	} {
		if err != cause {
			t.Errorf("%s: got the error %v, want %v", name, err, cause)
		}
	}
	if id := stream.LastEventID(); id != "" {
		t.Errorf("LastEventID: got %q, want none", id)
	}
}
