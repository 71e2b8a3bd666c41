package sse_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The types in which middleware wraps a ResponseWriter differ in the optional
// methods that they have, such as Unwrap, Flush and SetWriteDeadline.
type (
	plain   struct{ w http.ResponseWriter } // has none of these methods
	unwraps struct{ http.ResponseWriter }   // has only Unwrap
	flushes struct{ http.ResponseWriter }   // has only Flush
	asserts struct{ unwraps }               // has Unwrap and Flush; see its Flush
)

func (p plain) Header() http.Header         { return p.w.Header() }
func (p plain) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plain) WriteHeader(code int)        { p.w.WriteHeader(code) }

func (u unwraps) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (f flushes) Flush() { f.ResponseWriter.(http.Flusher).Flush() }

// Flush does nothing if the wrapped writer has no Flush, as in gin.
func (a asserts) Flush() {
	if next, ok := a.ResponseWriter.(http.Flusher); ok {
		next.Flush()
	}
}

// squeezes is the writer of a compressor if the wrapped writer has no Flush.
type squeezes struct {
	unwraps
	gzip *gzip.Writer
}

// squeezesAndFlushes is the writer of a compressor if the wrapped writer has Flush.
type squeezesAndFlushes struct{ squeezes }

// squeeze returns the writer of a compressor around w. It chooses between the two types
// as gorilla/handlers does (with package httpsnoop).
func squeeze(w http.ResponseWriter) http.ResponseWriter {
	w.Header().Set("Content-Encoding", "gzip")
	s := squeezes{unwraps{w}, gzip.NewWriter(w)}
	if _, ok := w.(http.Flusher); ok {
		return squeezesAndFlushes{s}
	}
	return s
}

func (s squeezes) Write(p []byte) (int, error) { return s.gzip.Write(p) }

func (s squeezesAndFlushes) Flush() {
	s.gzip.Flush()
	s.ResponseWriter.(http.Flusher).Flush()
}

// Accept succeeds if its flushes reach the server's own writer through all wrappers. If
// the server has a WriteTimeout, the write deadlines must reach that writer, too: the
// stream then outlives the WriteTimeout. Otherwise the error names the type that lacks a
// method.
func TestWrappers(t *testing.T) {
	identity := func(w http.ResponseWriter) http.ResponseWriter { return w }
	for _, tt := range []struct {
		name         string
		wrap         func(http.ResponseWriter) http.ResponseWriter
		writeTimeout time.Duration // of the http.Server
		culprit      string        // the type that Accept's error names; "" if none
		missing      string
	}{
		{"none", identity, 2 * time.Second, "", ""},
		{"without Unwrap", func(w http.ResponseWriter) http.ResponseWriter { return plain{w} },
			0, "sse_test.plain", "Flush"},
		{"with Unwrap", func(w http.ResponseWriter) http.ResponseWriter { return unwraps{w} },
			2 * time.Second, "", ""},
		{"with Unwrap, declares no coding", func(w http.ResponseWriter) http.ResponseWriter {
			w.Header().Add("Content-Encoding", "none, ")
			w.Header().Add("Content-Encoding", "Identity")
			return unwraps{w}
		}, 2 * time.Second, "", ""},
		{"with Unwrap, declares a coding", func(w http.ResponseWriter) http.ResponseWriter {
			w.Header().Add("Content-Encoding", "identity")
			w.Header().Add("Content-Encoding", "br")
			return unwraps{w}
		}, 0, "sse_test.unwraps", "Flush"},
		{"two with Unwrap", func(w http.ResponseWriter) http.ResponseWriter {
			return unwraps{&unwraps{w}}
		}, 2 * time.Second, "", ""},
		{"the inner wrapper without", func(w http.ResponseWriter) http.ResponseWriter {
			return unwraps{plain{w}}
		}, 0, "sse_test.plain", "Flush"},
		{"no deadlines, none needed", func(w http.ResponseWriter) http.ResponseWriter {
			return flushes{w}
		}, 0, "", ""},
		{"no deadlines, and a WriteTimeout", func(w http.ResponseWriter) http.ResponseWriter {
			return flushes{w}
		}, 2 * time.Second, "sse_test.flushes", "SetWriteDeadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				opts.Configure = func(s *http.Server) { s.WriteTimeout = tt.writeTimeout }
				stream, ended := streamHandler(nil, func(stream *sse.Stream) {
					time.Sleep(time.Hour) // fake time
					stream.Send(sse.Event{Data: "still here"})
				})
				handler := func(w http.ResponseWriter, r *http.Request) {
					stream.ServeHTTP(tt.wrap(w), r)
				}
				resp := get(t, ssetest.NewServer(t, http.HandlerFunc(handler), opts))
				body, _ := io.ReadAll(resp.Body)
				err := <-ended
				if tt.culprit == "" {
					if err != nil || !strings.HasSuffix(string(body), "data: still here\n\n") {
						t.Errorf("after an hour: %q, %v", body, err)
					}
					return
				}
				var writer *sse.WriterError
				if !errors.As(err, &writer) {
					t.Fatalf("Accept: %v, want a *WriterError", err)
				}
				if writer.Type != tt.culprit || writer.Missing != tt.missing {
					t.Errorf("Accept names %s without %s, want %s without %s",
						writer.Type, writer.Missing, tt.culprit, tt.missing)
				}
				if resp.StatusCode != http.StatusInternalServerError ||
					!strings.Contains(string(body), tt.culprit) {
					t.Errorf("the response is %s, %q, want 500 and the type", resp.Status, body)
				}
			})
		})
	}
}

// Each event reaches the client before the next event is sent, for any mix of
// wrappers that have Flush and wrappers that have only Unwrap. Accept fails if a flush
// cannot reach the network, or if it would bypass a compressor.
func TestEveryWrapperIsFlushed(t *testing.T) {
	type writer = http.ResponseWriter
	for _, tt := range []struct {
		name    string
		wrap    func(writer) writer
		culprit string // the type that Accept's error names; "" if none
	}{
		{"asserts", func(w writer) writer { return asserts{unwraps{w}} }, ""},
		{"asserts around unwraps", func(w writer) writer {
			return asserts{unwraps{unwraps{w}}}
		}, ""},
		{"two gaps", func(w writer) writer {
			return unwraps{asserts{unwraps{unwraps{asserts{unwraps{unwraps{w}}}}}}}
		}, ""},
		{"asserts around a compressor", func(w writer) writer {
			return asserts{unwraps{unwraps{squeeze(w)}}}
		}, ""},
		{"asserts around plain", func(w writer) writer {
			return asserts{unwraps{plain{w}}}
		}, "sse_test.plain"},
		{"a compressor around unwraps", func(w writer) writer {
			return squeeze(unwraps{w})
		}, "sse_test.squeezes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				next := make(chan struct{})
				// A heartbeat would flush an event that a wrapper has buffered, and
				// hide the fault. Without heartbeats, such an event makes the test
				// deadlock.
				accept := &sse.AcceptOptions{Heartbeat: -1}
				stream, ended := streamHandler(accept, func(stream *sse.Stream) {
					for range next {
						stream.Send(sse.Event{Data: "x"})
					}
				})
				handler := func(w http.ResponseWriter, r *http.Request) {
					stream.ServeHTTP(tt.wrap(w), r)
				}
				resp := get(t, ssetest.NewServer(t, http.HandlerFunc(handler), opts),
					"Accept-Encoding", "gzip")
				defer close(next)
				if tt.culprit != "" {
					var writer *sse.WriterError
					if err := <-ended; !errors.As(err, &writer) ||
						writer.Type != tt.culprit || writer.Missing != "Flush" {
						t.Errorf("Accept: %v, want a *WriterError for %s", err, tt.culprit)
					}
					return
				}
				start := time.Now()
				var body io.Reader = resp.Body
				if resp.Header.Get("Content-Encoding") == "gzip" {
					var err error
					if body, err = gzip.NewReader(body); err != nil {
						t.Fatal(err)
					}
				}
				read(t, body, ":\n")
				for range 3 {
					next <- struct{}{}
					read(t, body, "data: x\n\n")
				}
				if waited := time.Since(start); waited != 0 {
					t.Errorf("three events came after %v, want at once", waited)
				}
			})
		})
	}
}

// Accept fails behind http.TimeoutHandler, because the writer of that handler
// buffers the response, and has neither Flush nor Unwrap.
func TestTimeoutHandler(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		handler, ended := streamHandler(nil, untilDone)
		server := ssetest.NewServer(t, http.TimeoutHandler(handler, time.Hour, "late"), opts)
		resp := get(t, server)
		var writer *sse.WriterError
		if err := <-ended; !errors.As(err, &writer) || writer.Type != "*http.timeoutWriter" {
			t.Errorf("Accept: %v, want a *WriterError for *http.timeoutWriter", err)
		}
		if resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("status %s, want 500", resp.Status)
		}
	})
}

// A httptest.ResponseRecorder has no write deadlines. Accept logs that, and succeeds.
func TestAcceptOnATestRecorder(t *testing.T) {
	var log bytes.Buffer
	handler, ended := streamHandler(
		&sse.AcceptOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))},
		func(stream *sse.Stream) { stream.Send(sse.Event{Data: "x"}) })
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if got, want := recorder.Body.String(), ":\ndata: x\n\n"; got != want {
		t.Errorf("the body is %q, want %q", got, want)
	}
	if !recorder.Flushed {
		t.Error("nothing was flushed")
	}
	if err := <-ended; err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if !strings.Contains(log.String(), "httptest.ResponseRecorder") {
		t.Errorf("the log does not name the writer: %s", log.String())
	}
}

func TestAcceptRefusesBadOptions(t *testing.T) {
	for _, tt := range []struct {
		opts sse.AcceptOptions
		want string
	}{
		{sse.AcceptOptions{HeartbeatEvent: "a\nb"}, `AcceptOptions.HeartbeatEvent: sse: event "a\nb"`},
		{sse.AcceptOptions{HeartbeatEvent: "sse.beat"}, `AcceptOptions.HeartbeatEvent "sse.beat" must`},
		{sse.AcceptOptions{HeartbeatEvent: "a", HeartbeatBlock: true},
			"AcceptOptions.HeartbeatEvent and HeartbeatBlock must not both be set"},
		{sse.AcceptOptions{Final: &sse.Event{ID: "a\rb"}}, "Final"},
		{sse.AcceptOptions{Retry: -1}, "Retry"},
	} {
		recorder := ssetest.NewRecorder(t)
		handler, ended := streamHandler(&tt.opts, untilDone)
		recorder.Serve(handler, httptest.NewRequest("GET", "/", nil))
		if err := <-ended; err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Accept: %v, want an error that names %s", err, tt.want)
		}
		if recorder.Code() != http.StatusInternalServerError {
			t.Errorf("%s: status %d, want 500", tt.want, recorder.Code())
		}
	}
}

// The response has the header fields that the handler set before Accept. Accept changes
// only fields that a stream needs otherwise: for example, Accept removes Content-Length
// and replaces Cache-Control.
func TestAcceptKeepsHeaders(t *testing.T) {
	recorder := ssetest.NewRecorder(t)
	handler, _ := streamHandler(nil, func(*sse.Stream) {})
	recorder.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://example.com")
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Cache-Control", "max-age=60")
		handler.ServeHTTP(w, r)
	}), httptest.NewRequest("GET", "/", nil))
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://example.com",
		"Content-Length":              "",
		"Cache-Control":               "no-store, no-transform",
	} {
		if got := recorder.SentHeader().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// If the client disconnects before the handler calls Accept, either Accept returns
// ErrPeerGone, or the stream ends with ErrPeerGone. No goroutine is left.
func TestAcceptAfterDisconnect(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		done := make(chan struct{})
		handler, ended := streamHandler(&sse.AcceptOptions{Done: done}, untilDone)
		var server *ssetest.Server
		server = ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				server.CutAll()
				handler.ServeHTTP(w, r)
			}), opts)
		if resp, err := server.Client().Get(server.URL()); err == nil {
			resp.Body.Close()
		}
		if err := <-ended; !errors.Is(err, sse.ErrPeerGone) {
			t.Errorf("Accept, or the stream: %v, want ErrPeerGone", err)
		}
		synctest.Wait()
	})
}
