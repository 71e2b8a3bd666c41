// Package story is the test of every server here: that it does what the server of
// examples/quickstart does.
package story

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// deadline bounds every wait. It is there to fail a test, never to time it.
const deadline = 30 * time.Second

// Test runs the story against what serve serves, on a port of its own: clients
// connect, each message reaches each of them once, one that leaves is noticed,
// one whose stream the server ends comes back, and one that stalls is cut.
func Test(t *testing.T, serve func(net.Listener) error) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	logged := watchLog(t)
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve(listener) }) // it ends with the listener
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	url := "http://" + listener.Addr().String()

	stays, goes := connect(t, url), connect(t, url)
	logged.wait("client connected", 2)
	curl(t, url, http.MethodPost, "two\r\nlines", 2)
	curl(t, url, http.MethodGet, "", 2)
	for _, c := range []*client{stays, goes} {
		c.want("two\nlines", "Hello 2") // and nothing between them
	}

	goes.leave()
	logged.wait("client left", 1)
	curl(t, url, http.MethodPost, " for one", 1)
	stays.want(" for one")

	curl(t, url, http.MethodDelete, "", 0)
	logged.wait("client left", 2)
	logged.wait("client connected", 3)
	curl(t, url, http.MethodPost, "again", 1)
	stays.want("again")

	stays.leave()
	logged.wait("client left", 3)
	curl(t, url, http.MethodGet, "", 0)

	stall(t, listener.Addr().String())
	logged.wait("client connected", 4)
	flood(t, url)
	logged.wait("client left", 4)
	curl(t, url, http.MethodGet, "", 0)
}

// stall connects a client that never reads.
func stall(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /handshake HTTP/1.1\r\nHost: %s\r\n\r\n", address)
}

// flood sends more than the kernel has buffers for.
func flood(t *testing.T, url string) {
	t.Helper()
	body := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	for range 64 {
		send(t, url, http.MethodPost, body)
	}
}

// client is one that listens, and what it has received.
type client struct {
	t      *testing.T
	events chan sse.Event // closed when it has stopped
	cancel context.CancelFunc
}

func connect(t *testing.T, url string) *client {
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{t: t, events: make(chan sse.Event, 100), cancel: cancel}
	go func() {
		defer close(c.events)
		transport := &http.Transport{} // its own, so that no connection stays behind
		defer transport.CloseIdleConnections()
		client := &sse.Client{
			URL:        url + "/handshake",
			HTTPClient: &http.Client{Transport: transport},
		}
		for event, err := range client.Events(ctx) {
			if err != nil {
				return
			}
			c.events <- event
		}
	}()
	t.Cleanup(c.leave)
	return c
}

// leave disconnects, and fails the test if there was more than was wanted.
func (c *client) leave() {
	c.cancel()
	for event := range c.events {
		c.t.Errorf("a client received %q besides", event.Data)
	}
}

// want compares what the client receives next.
func (c *client) want(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		select {
		case event := <-c.events:
			if event.Data != want {
				c.t.Fatalf("a client received %q, want %q", event.Data, want)
			}
		case <-time.After(deadline):
			c.t.Fatalf("a client has not received %q", want)
		}
	}
}

// curl sends a message and compares how many clients the server says it reached.
func curl(t *testing.T, url, method, body string, reached int) {
	t.Helper()
	answer := send(t, url, method, body)
	if want := fmt.Sprintln("clients reached:", reached); answer != want {
		t.Fatalf("%s %q is answered with %q, want %q", method, body, answer, want)
	}
}

func send(t *testing.T, url, method, body string) (answer string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %q, %v", method, resp.Status, text, err)
	}
	return string(text)
}

// logWatcher is where the program under test logs to.
type logWatcher struct {
	t *testing.T

	mu      sync.Mutex // guards the following
	text    strings.Builder
	changed chan struct{} // closed, and replaced, when text grows
}

func watchLog(t *testing.T) *logWatcher {
	w := &logWatcher{t: t, changed: make(chan struct{})}
	old := log.Writer()
	log.SetOutput(w)
	t.Cleanup(func() { log.SetOutput(old) })
	return w
}

func (w *logWatcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
	return w.text.Write(p)
}

// wait blocks until the words have been logged n times.
func (w *logWatcher) wait(words string, n int) {
	w.t.Helper()
	expired := time.After(deadline)
	for {
		w.mu.Lock()
		text, changed := w.text.String(), w.changed
		w.mu.Unlock()
		if strings.Count(text, words) >= n {
			return
		}
		select {
		case <-changed:
		case <-expired:
			w.t.Fatalf("%q was not logged %d times, but:\n%s", words, n, text)
		}
	}
}
