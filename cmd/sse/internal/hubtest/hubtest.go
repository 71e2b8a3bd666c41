// Package hubtest starts hubs inside a test.
package hubtest

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

// Hub is a hub that runs.
type Hub struct {
	hub.Started

	tb   testing.TB
	stop context.CancelFunc
	hub  *hub.Hub
	done chan struct{} // closed when Run has returned err
	err  error
	logs logs
}

// Start starts a hub on a port of its own, with its events in memory unless the
// configuration says otherwise, and stops it when the test ends.
func Start(tb testing.TB, config hub.Config) *Hub {
	tb.Helper()
	if config.Addr == "" {
		config.Addr = "localhost:0"
	}
	if config.Data == "" {
		config.Data = hub.Memory
	}
	h := &Hub{tb: tb, done: make(chan struct{})}
	config.Logger = slog.New(slog.NewTextHandler(&h.logs, nil))
	started := make(chan hub.Started, 1)
	config.Ready = func(s hub.Started) { started <- s }
	var err error
	if h.hub, err = hub.New(config); err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() {
		defer close(h.done)
		h.err = h.hub.Run(ctx)
	}()
	tb.Cleanup(func() { h.Stop() })
	select {
	case h.Started = <-started:
	case <-h.done:
		tb.Fatalf("the hub did not start: %v", h.err)
	}
	return h
}

// Stop shuts the hub down, waits, and returns how long that has taken.
func (h *Hub) Stop() time.Duration {
	h.tb.Helper()
	began := time.Now()
	h.stop()
	<-h.done
	if h.err != nil {
		h.tb.Errorf("the hub ended with %v", h.err)
		h.err = nil
	}
	return time.Since(began)
}

// Close makes a Stop that is under way return at once.
func (h *Hub) Close() { h.hub.Close() }

// Logs is what the hub has logged.
func (h *Hub) Logs() string { return h.logs.String() }

// Answer is a response that was read to its end.
type Answer struct {
	*http.Response
	Text string
}

// Raw sends a request as it is written, with LF for CRLF in its head, and reads the
// response. A Host is added, and Connection: close.
func (h *Hub) Raw(head, body string) Answer {
	h.tb.Helper()
	line, fields, _ := strings.Cut(head, "\n")
	if !strings.Contains("\n"+fields, "\nHost: ") {
		fields += "\nHost: " + h.Addr
	}
	text := strings.Join([]string{line, strings.Trim(fields, "\n"), "Connection: close", "", ""}, "\n")
	return h.Wire(strings.ReplaceAll(text, "\n", "\r\n") + body)
}

// Wire sends bytes, and reads the response.
func (h *Hub) Wire(text string) Answer {
	h.tb.Helper()
	conn, err := net.Dial("tcp", h.Addr)
	if err != nil {
		h.tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// A hub that has refused what has come so far may not take the rest.
	_, wrote := io.WriteString(conn, text)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	method, _, _ := strings.Cut(text, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		h.tb.Fatalf("%.80q: %v, and writing it: %v", text, err, wrote)
	}
	return read(h.tb, response)
}

func read(tb testing.TB, response *http.Response) Answer {
	tb.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatalf("reading the response: %v", err)
	}
	return Answer{response, string(text)}
}

// Do sends a request. The header is names and values.
func (h *Hub) Do(method, path, body string, header ...string) Answer {
	h.tb.Helper()
	response, err := http.DefaultClient.Do(h.Request(method, path, body, header...))
	if err != nil {
		h.tb.Fatal(err)
	}
	return read(h.tb, response)
}

// Request makes a request.
func (h *Hub) Request(method, path, body string, header ...string) *http.Request {
	h.tb.Helper()
	request, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
	if err != nil {
		h.tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	return request
}

// Keys parses keys.
func Keys(tb testing.TB, lines ...string) []auth.Key {
	tb.Helper()
	keys, err := auth.ReadKeys(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// logs collects lines.
type logs struct {
	mu   sync.Mutex // guards the following
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
