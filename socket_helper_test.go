package sse_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// soak makes some tests as large as the issues ask for: make soak.
var soak = os.Getenv("SSE_TEST_SOAK") != ""

// onSockets runs a test on real sockets, in each way in which streams of HTTP/1.1
// wait on this system.
func onSockets(t *testing.T, test func(t *testing.T, park bool)) {
	t.Helper()
	t.Run(waitName(false), func(t *testing.T) { test(t, false) })
	if runtime.GOOS == "linux" {
		t.Run(waitName(true), func(t *testing.T) { test(t, true) })
	}
}

func waitName(park bool) string {
	if park {
		return "parked"
	}
	return "held"
}

// newSocketServer is a broker on a real network, as it should be set up. The
// handler is the broker, or something around it.
func newSocketServer(tb testing.TB, broker *sse.Broker, handler http.Handler) (addr string) {
	tb.Helper()
	return newServerAt(tb, "127.0.0.1", broker, handler)
}

func newServerAt(tb testing.TB, ip string, broker *sse.Broker, handler http.Handler) (addr string) {
	tb.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.ConnContext = sse.ConnContext
	server.Start()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := broker.Shutdown(ctx); err != nil {
			tb.Errorf("Shutdown: %v", err)
		}
		server.Close()
	})
	return server.Listener.Addr().String()
}
