package hub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

// limitedServer is a server with a broker and a limit of connections.
type limitedServer struct {
	tb          testing.TB
	addr        string
	broker      *sse.Broker
	connections *hub.Connections
}

// newLimitedServer starts a server with a stream at /stream, which its broker parks.
// Any other path has a response of one line.
func newLimitedServer(tb testing.TB, limit int) *limitedServer {
	tb.Helper()
	s := &limitedServer{
		tb: tb, broker: &sse.Broker{Park: true, OnDisconnect: func(sse.Subscriber, error) {}},
		connections: hub.NewConnections(limit, slog.New(slog.DiscardHandler)),
	}
	mux := http.NewServeMux()
	mux.Handle("/stream", s.broker.Handler("news"))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	server := &http.Server{Handler: mux}
	api.Configure(server)
	s.connections.Configure(server, s.broker)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.addr = l.Addr().String()
	var wait sync.WaitGroup
	wait.Go(func() { _ = server.Serve(s.connections.Limit(l)) })
	tb.Cleanup(func() {
		_ = server.Close()
		wait.Wait()
		_ = s.broker.Shutdown(context.Background())
		if n := s.connections.AwaitOpen(context.Background(), 0); n != 0 {
			tb.Errorf("at the end, %d connections are counted, want 0", n)
		}
	})
	return s
}

// dial connects and sends a GET request, unless path is empty.
func (s *limitedServer) dial(path string) net.Conn {
	s.tb.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = conn.Close() })
	if path != "" {
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
	}
	return conn
}

// awaitStatus reads the head of a response.
func (s *limitedServer) awaitStatus(conn net.Conn) *http.Response {
	s.tb.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.tb.Fatal("reading the head of a response: ", err)
	}
	return response
}

// However a connection ends, it is counted until it is closed, and not after that.
func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	s := newLimitedServer(t, 100)
	awaitNone := func(how string) {
		t.Helper()
		if n := s.connections.AwaitOpen(t.Context(), 0); n != 0 {
			t.Errorf("%s: %d connections are counted, want 0", how, n)
		}
	}
	for range 20 {
		conn := s.dial("/stream")
		s.awaitStatus(conn)
		_ = conn.Close()
		awaitNone("the peer closed a parked stream")

		conn = s.dial("/stream")
		s.awaitStatus(conn)
		for s.broker.Kick(func(sse.Subscriber) bool { return true }) == 0 {
			runtime.Gosched() // the response begins before the broker knows the stream
		}
		awaitNone("the broker ended a parked stream")

		conn = s.dial("/stream")
		_ = conn.Close()
		awaitNone("the peer closed the connection before the response")

		conn = s.dial("/other")
		s.awaitStatus(conn)
		_ = conn.Close()
		awaitNone("the peer closed an idle connection")

		conn = s.dial("")
		_ = conn.Close()
		awaitNone("the peer sent nothing")
	}
}

// While the limit is reached, a further connection waits. When a parked stream has
// ended, the server accepts the connection that waits.
func TestConnectionsWait(t *testing.T) {
	t.Parallel()
	s := newLimitedServer(t, 3)
	var streams []net.Conn
	for range 3 {
		conn := s.dial("/stream")
		s.awaitStatus(conn)
		streams = append(streams, conn)
	}
	waiting := s.dial("/stream")
	// Without the limit, the stream of this connection would begin before the other
	// streams receive these events.
	for range 100 {
		if _, err := s.broker.Publish(t.Context(), sse.Event{Data: "x"}, "news"); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range streams {
		in := bufio.NewReader(conn)
		for n := 0; n < 100; {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "data: x\n" {
				n++
			}
		}
	}
	if n := len(s.broker.Subscribers()); n != 3 {
		t.Errorf("there are %d streams, want 3, which is the limit", n)
	}
	_ = streams[0].Close()
	s.awaitStatus(waiting)
}

// To make room for other connections, the hub closes connections that have sent no
// request, and connections between two requests.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/other"} {
		s := newLimitedServer(t, 4)
		for range 5 {
			s.dial(path)
		}
		if response := s.awaitStatus(s.dial("/stream")); response.StatusCode != http.StatusOK {
			t.Errorf("a stream beside idle connections (%q): status %s, want 200", path, response.Status)
		}
	}
}

// Accept of a listener that has no room returns when the listener is closed.
func TestFullListenerCloses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := hub.NewConnections(0, slog.New(slog.DiscardHandler)).Limit(l)
	_ = limited.Close()
	if _, err := limited.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener: %v, want %v", err, net.ErrClosed)
	}
}

func TestDescriptorLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		descriptors        uint64
		connections, files int
	}{
		{0, math.MaxInt32, 256}, // no limit
		{math.MaxUint64, math.MaxInt32, 256},
		{1, 1, 32},
		{256, 128, 64},
		{1000, 500, 250},
		{1024, 512, 256},
		{1 << 20, 1<<20 - 512, 256},
	} {
		connections := hub.DefaultMaxConnections(test.descriptors)
		files := hub.MaxOpenFiles(connections, test.descriptors)
		if connections != test.connections || files != test.files {
			t.Errorf("%d descriptors: %d connections and %d open tables, want %d and %d",
				test.descriptors, connections, files, test.connections, test.files)
		}
	}
	for _, test := range []struct {
		n           int
		descriptors uint64
		wrong       string
	}{
		{0, 256, ""},
		{192, 256, ""},
		{1 << 20, 0, ""},
		{193, 256, "193 is more than 256 - 64"},
		{-1, 256, "must not be negative"},
	} {
		err := hub.CheckMaxConnections(test.n, test.descriptors)
		if test.wrong == "" && err != nil ||
			test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%d connections with %d descriptors: %v, want %q",
				test.n, test.descriptors, err, test.wrong)
		}
	}
}

func TestDefaultMaxInflight(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct{ memory, maxEvent, want int64 }{
		{0, 10, 64}, {256, 10, 64}, {1024, 10, 128}, {1024, 100, 400},
	} {
		if got := hub.DefaultMaxInflight(test.memory*mib, int(test.maxEvent*mib)); got != test.want*mib {
			t.Errorf("%d MiB of memory, events of %d MiB: %d bytes, want %d MiB",
				test.memory, test.maxEvent, got, test.want)
		}
	}
}

// The first warning of a kind is logged at once. After that, the last warning of each
// ten seconds is logged, with the number of warnings in these ten seconds.
func TestSpacedLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		began := time.Now()
		handler, flush := hub.NewSpacedLog(slog.NewTextHandler(&text, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.String("t", a.Value.Time().Sub(began).String())
				}
				return a
			},
		}))
		logger := slog.New(handler)
		for i := range 1500 { // 15 seconds
			logger.Warn(fmt.Sprintf("accept failed; retrying in %dms", i))
			if i%500 == 0 {
				logger.Info("an operator's message")
				logger.Error("another error", "error", "full")
			}
			if i == 0 { // so that no warning comes at the same moment as a timer
				time.Sleep(5 * time.Millisecond)
				continue
			}
			time.Sleep(10 * time.Millisecond)
		}
		flush()
		want := `t=0s level=WARN msg="accept failed; retrying in 0ms"
t=0s level=INFO msg="an operator's message"
t=0s level=ERROR msg="another error" error=full
t=4.995s level=INFO msg="an operator's message"
`
		lines := strings.SplitAfter(text.String(), "\n")
		if got := strings.Join(lines[:4], ""); got != want {
			t.Errorf("the log begins with\n%s\nwant\n%s", got, want)
		}
		for _, part := range []string{
			`retrying in 1000ms (1000 such messages in 10s)`, `retrying in 1499ms (499 such messages in 10s)`,
		} {
			if strings.Count(text.String(), part) != 1 {
				t.Errorf("the log does not have the line %q once:\n%s", part, &text)
			}
		}
		if n := strings.Count(text.String(), "\n"); n > 12 {
			t.Errorf("the log has %d lines, want at most 12:\n%s", n, &text)
		}
	})
}
