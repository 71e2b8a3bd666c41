package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// newParkedServer serves a broker that parks its streams, on a loopback port.
func newParkedServer(t testing.TB, broker *sse.Broker) *httptest.Server {
	t.Helper()
	broker.Park = true
	server := httptest.NewServer(broker)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := broker.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		server.Close()
	})
	return server
}

// On a real socket, the bytes of a parked stream have the format of a response
// of net/http: chunked for HTTP/1.1, and without chunks for HTTP/1.0.
func TestParkOnSockets(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		t.Run(version, func(t *testing.T) {
			connected := make(chan sse.Subscriber, 1)
			gone := make(chan error, 1)
			broker := &sse.Broker{
				OnConnect:    func(s sse.Subscriber) { connected <- s },
				OnDisconnect: func(_ sse.Subscriber, err error) { gone <- err },
			}
			server := newParkedServer(t, broker)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET / HTTP/%s\r\nHost: x\r\n\r\n", version)
			s := <-connected
			if s.Wait != "parked" {
				t.Fatalf("the stream is %s: %s", s.Wait, s.Why)
			}
			p, err := broker.Publish(t.Context(), sse.Event{Data: "hello"})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			chunked := len(resp.TransferEncoding) == 1
			if chunked != (version == "1.1") {
				t.Errorf("HTTP/%s: transfer encoding %q", version, resp.TransferEncoding)
			}
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() && lines.Text() != "id: "+p.String() {
			}
			if !lines.Scan() || lines.Text() != "data: hello" {
				t.Errorf("after the id: got %q, %v, want data: hello", lines.Text(), lines.Err())
			}
			conn.Close()
			if err := <-gone; !strings.Contains(err.Error(), "peer gone") {
				t.Errorf("the stream ended with %v, want ErrPeerGone", err)
			}
		})
	}
}
