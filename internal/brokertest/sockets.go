package brokertest

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

// Soak reports whether the tests run at full size. The command "make soak" sets
// SSE_TEST_SOAK for that.
var Soak = os.Getenv("SSE_TEST_SOAK") != ""

// OnSockets runs a subtest with held streams and, on Linux, another subtest with
// parked streams. The subtests are expected to use real sockets. On other systems,
// streams on sockets cannot be parked.
func OnSockets(t *testing.T, test func(t *testing.T, park bool)) {
	t.Helper()
	t.Run(WaitName(false), func(t *testing.T) { test(t, false) })
	if runtime.GOOS == "linux" {
		t.Run(WaitName(true), func(t *testing.T) { test(t, true) })
	}
}

// WaitName returns "parked" or "held", as in the Wait field of
// [sse.Subscriber].
func WaitName(park bool) string {
	if park {
		return "parked"
	}
	return "held"
}

// NewServer starts an HTTP server on a loopback port and returns its address. The
// handler is the broker, or wraps the broker. The server has [sse.ConnContext], as
// the documentation of package sse recommends. When the test ends, the broker is
// shut down and the server is closed.
func NewServer(tb testing.TB, broker *sse.Broker, handler http.Handler) (addr string) {
	tb.Helper()
	return NewServerAt(tb, "127.0.0.1", broker, handler)
}

// NewServerAt is like NewServer, but the server listens on the given IP address.
func NewServerAt(tb testing.TB, ip string, broker *sse.Broker, handler http.Handler) (addr string) {
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
