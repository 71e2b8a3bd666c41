package soak_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// blackHoleURL is an environment variable with the URL of a stream. If it is set,
// TestBlackHole runs only a client of this URL. The client is a second process of
// the test, in another network namespace.
const blackHoleURL = "SSE_TEST_BLACKHOLE_URL"

// With TCP_USER_TIMEOUT, which ConnContext allows, the server detects that a peer has
// vanished. A write deadline alone does not detect it: with a deadline of 5 s, the
// stream of such a peer was still open after 40 s.
func TestBlackHole(t *testing.T) {
	if url := os.Getenv(blackHoleURL); url != "" {
		resp, err := http.Get(url)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		io.Copy(os.Stdout, resp.Body)
		os.Exit(0)
	}
	n := newNetns(t)
	ended := make(chan error, 1)
	server := &http.Server{
		ConnContext: sse.ConnContext,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stream, err := sse.Accept(w, r, &sse.AcceptOptions{
				Heartbeat:    time.Second,
				WriteTimeout: 2 * time.Second,
			})
			if err != nil {
				ended <- err
				return
			}
			defer stream.Close()
			<-stream.Context().Done()
			ended <- context.Cause(stream.Context())
		}),
	}
	listener, err := net.Listen("tcp", n.hostAddr+":0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()

	lines := n.client("http://" + listener.Addr().String())
	for range 4 { // the first byte and three heartbeats take longer than WriteTimeout
		if line, err := lines.ReadString('\n'); line != ":\n" || err != nil {
			t.Fatalf("the client read %q, %v", line, err)
		}
	}
	select {
	case cause := <-ended:
		t.Fatalf("a healthy stream ended: %v", cause)
	default:
	}
	n.blackHole()
	select {
	case cause := <-ended:
		if !errors.Is(cause, sse.ErrPeerGone) {
			t.Errorf("the stream ended with %v, want ErrPeerGone", cause)
		}
	case <-time.After(2 * time.Minute): // TCP alone would take 15 minutes
		t.Error("the vanished peer was not detected")
	}
}
