// Package hubtest runs hubs inside a test.
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

// Hub is a running hub.
type Hub struct {
	hub.Started

	tb   testing.TB
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned and err is set
	err  error
	logs logs
}

// Start starts a hub, waits until it serves, and stops it when the test ends. If Addr
// is empty, the hub listens on a free port. If Data is empty, it stores its events in
// memory. Start sets Logger and Ready.
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
	server, err := hub.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() {
		defer close(h.done)
		h.err = server.Run(ctx)
	}()
	tb.Cleanup(func() { h.Stop() })
	select {
	case h.Started = <-started:
	case <-h.done:
		tb.Fatalf("the hub did not start: %v", h.err)
	}
	return h
}

// Stop shuts down the hub, waits until Run has returned, and returns the duration of
// the shutdown. The test fails if Run returns an error.
func (h *Hub) Stop() time.Duration {
	h.tb.Helper()
	began := time.Now()
	h.stop()
	<-h.done
	if h.err != nil {
		h.tb.Errorf("the hub ended with the error %v", h.err)
		h.err = nil
	}
	return time.Since(began)
}

// Logs returns the log of the hub.
func (h *Hub) Logs() string { return h.logs.String() }

// Answer is a response. Text is its body, which was read to its end.
type Answer struct {
	*http.Response
	Text string
}

// Raw sends a request on a new connection and reads the response. The request may be
// one that net/http does not send. The head has a request line and headers, and its
// lines end with LF: for example, "POST /news HTTP/1.1\nContent-Length: 1". Raw
// replaces each LF by CRLF, and adds Connection: close, and a Host if there is none.
func (h *Hub) Raw(head, body string) Answer {
	h.tb.Helper()
	line, fields, _ := strings.Cut(head, "\n")
	if !strings.Contains("\n"+fields, "\nHost: ") {
		fields += "\nHost: " + h.Addr
	}
	text := strings.Join([]string{line, strings.Trim(fields, "\n"), "Connection: close", "", ""}, "\n")
	return h.Wire(strings.ReplaceAll(text, "\n", "\r\n") + body)
}

// Wire sends text unchanged on a new connection, and reads one response.
func (h *Hub) Wire(text string) Answer {
	h.tb.Helper()
	conn, err := net.Dial("tcp", h.Addr)
	if err != nil {
		h.tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// The write may fail, because a hub that refuses the beginning of a request may
	// not read the rest.
	_, writeErr := io.WriteString(conn, text)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	method, _, _ := strings.Cut(text, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		h.tb.Fatalf("%.80q: reading the response: %v; writing: %v", text, err, writeErr)
	}
	return readAnswer(h.tb, response)
}

func readAnswer(tb testing.TB, response *http.Response) Answer {
	tb.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatalf("reading the response: %v", err)
	}
	return Answer{response, string(text)}
}

// Do sends a request and reads the response. header alternates names and
// values.
func (h *Hub) Do(method, path, body string, header ...string) Answer {
	h.tb.Helper()
	response, err := http.DefaultClient.Do(h.Request(method, path, body, header...))
	if err != nil {
		h.tb.Fatal(err)
	}
	return readAnswer(h.tb, response)
}

// Request returns a request to the hub. header alternates names and values.
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

// NextPage returns the path and the query of the next page of history. It takes them
// from the header Link of page.
func NextPage(tb testing.TB, page *http.Response) string {
	tb.Helper()
	link, _, _ := strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
	next, err := page.Request.URL.Parse(link)
	if err != nil {
		tb.Fatal(err)
	}
	return next.RequestURI()
}

// Keys parses keys, one per line, in the form of a file for --keys.
func Keys(tb testing.TB, lines ...string) []auth.Key {
	tb.Helper()
	keys, err := auth.ReadKeys(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// logs collects the log of a hub.
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
