// Package story has one test, which each server of examples/frameworks must pass: the
// server must behave as the server of examples/quickstart does.
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

// deadline is how long a test waits for an event or for a line of the log, before the
// test fails.
const deadline = 30 * time.Second

// Test calls serve with a listener on a free port, and checks the server. Each message
// must reach each client once. The server must log that a client has left. A client must
// be able to reconnect after the server has ended its stream. And the server must
// disconnect a client that does not read.
func Test(t *testing.T, serve func(net.Listener) error) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	logged := watchLog(t)
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve(listener) }) // returns when the listener is closed
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	url := "http://" + listener.Addr().String()

	stays, goes := connect(t, url), connect(t, url)
	logged.wait("client connected", 2)
	curl(t, url, http.MethodPost, "two\r\nlines", 2)
	curl(t, url, http.MethodGet, "", 2)
	for _, c := range []*client{stays, goes} {
		c.want("two\nlines", "Hello 2") // and no other message
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

// flood sends more bytes than the buffers of the kernel can hold.
func flood(t *testing.T, url string) {
	t.Helper()
	body := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	for range 64 {
		send(t, url, http.MethodPost, body)
	}
}

// client is a connected client and the events it has received.
type client struct {
	t      *testing.T
	events chan sse.Event // closed when the client has stopped
	cancel context.CancelFunc
}

func connect(t *testing.T, url string) *client {
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{t: t, events: make(chan sse.Event, 100), cancel: cancel}
	go func() {
		defer close(c.events)
		transport := &http.Transport{} // of its own, so that all its connections can be closed
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

// leave disconnects the client, and fails the test if the client has received
// events that want did not check.
func (c *client) leave() {
	c.cancel()
	for event := range c.events {
		c.t.Errorf("a client received %q, want no more events", event.Data)
	}
}

// want waits for the next events of the client, and checks their data.
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

// curl sends a message and checks how many clients the server reports as reached.
func curl(t *testing.T, url, method, body string, reached int) {
	t.Helper()
	answer := send(t, url, method, body)
	if want := fmt.Sprintln("clients reached:", reached); answer != want {
		t.Fatalf("%s %q: the server answered %q, want %q", method, body, answer, want)
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

// logWatcher records the log of the program under test.
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

// wait blocks until the log contains words n times.
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
			w.t.Fatalf("the log does not contain %q %d times:\n%s", words, n, text)
		}
	}
}
