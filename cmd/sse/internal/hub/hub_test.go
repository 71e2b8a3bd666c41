package hub_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

func TestValidate(t *testing.T) {
	keys := hubtest.Keys(t, "k 0123456789abcdef publish **")
	for _, test := range []struct {
		config hub.Config
		text   string // of the error, or empty
		hint   string
	}{
		{hub.Config{Addr: "localhost:3000"}, "", ""},
		{hub.Config{Addr: "127.0.0.1:0"}, "", ""},
		{hub.Config{Addr: "[::1]:80"}, "", ""},
		{hub.Config{Addr: "3000"}, "must be HOST:PORT", "localhost:3000"},
		{hub.Config{Addr: "localhost:http"}, "must be a number up to 65535", "localhost:0"},
		{hub.Config{Addr: ":3000"}, "without keys", "with --addr localhost:3000"},
		{hub.Config{Addr: "0.0.0.0:3000"}, "without keys", "--insecure"},
		{hub.Config{Addr: "192.0.2.1:3000"}, "without keys", "--key "},
		{hub.Config{Addr: "example.com:3000"}, "without keys", "--key "},
		{hub.Config{Addr: ":3000", Keys: keys}, "", ""},
		{hub.Config{Addr: ":3000", Insecure: true}, "", ""},
		{hub.Config{Addr: "localhost:3000", Origins: []string{"https://example.com"}}, "", ""},
		{hub.Config{Addr: "localhost:3000", Origins: []string{"example.com"}}, "must be a scheme and a host", "https://"},
		{hub.Config{Addr: "localhost:3000", Origins: []string{"https://example.com/"}}, "must be a scheme and a host", "https://"},
		{hub.Config{Addr: "localhost:3000", Origins: []string{"null"}}, "must be a scheme and a host", "https://"},
		{hub.Config{Addr: "localhost:3000", Origins: []string{"*"}}, "every website", "--cors https://"},
		{hub.Config{Addr: "localhost:3000", Origins: []string{"*"}, Keys: keys}, "", ""},
		{hub.Config{Addr: "localhost:3000", NewEpoch: true}, "--new-epoch must not be used with --data memory", "each start"},
	} {
		test.config.Data = hub.Memory
		err := test.config.Validate()
		var e *hub.Error
		switch {
		case test.text == "" && err == nil:
		case !errors.As(err, &e) || test.text == "" ||
			!strings.Contains(e.Text, test.text) || !strings.Contains(e.Hint, test.hint):
			t.Errorf("%+v: %+v, want %q with the hint %q", test.config, err, test.text, test.hint)
		}
	}
}

// A hub on localhost listens on 127.0.0.1 and on ::1.
func TestBothLoopbackAddresses(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	_, port, _ := net.SplitHostPort(h.Addr)
	reached := 0
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Log(err)
			continue
		}
		conn.Close()
		reached++
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		if reached != 2 {
			t.Errorf("the hub listens on %d of 2 addresses", reached)
		}
	}
}

// If the port is in use on one of the loopback addresses, the hub does not start. The
// error names the process that uses the port.
func TestBusyPort(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("not tested on %s: %v", host, err)
			continue
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		h, err := hub.New(hub.Config{Addr: "localhost:" + port, Data: hub.Memory})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Run(t.Context())
		var e *hub.Error
		if !errors.As(err, &e) || !strings.Contains(e.Text, "port "+port+" is in use by ") ||
			!strings.Contains(e.Hint, "--addr") {
			t.Errorf("with the port of %s in use: %+v", host, err)
		}
		if runtime.GOOS == "linux" && !strings.Contains(e.Text, fmt.Sprintf("process %d", os.Getpid())) {
			t.Errorf("%q does not name the process", e.Text)
		}
	}
}

func TestAddrFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "addr")
	h := hubtest.Start(t, hub.Config{AddrFile: name})
	text, err := os.ReadFile(name)
	if err != nil || string(text) != h.Addr+"\n" {
		t.Errorf("the file contains %q (%v), want %q", text, err, h.Addr)
	}
	h.Stop()
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after the shutdown: %v", err)
	}
}

// open opens a stream and waits for the head of the response.
func open(t *testing.T, h *hubtest.Hub, path string, header ...string) *http.Response {
	t.Helper()
	response, err := http.DefaultClient.Do(h.Request("GET", path, "", header...))
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	return response
}

// At shutdown, the hub sends a reconnect delay on every stream, and ends the stream. It
// also ends a PUT that publishes lines as they arrive. After the shutdown, the port and
// the lock of the data directory are free.
func TestShutdown(t *testing.T) {
	dir := t.TempDir()
	h := hubtest.Start(t, hub.Config{Data: dir})
	const count = 100
	var streams []*http.Response
	for range count {
		streams = append(streams, open(t, h, "/news"))
	}
	h.Do("POST", "/news", "hello")
	conn, err := net.Dial("tcp", h.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /log HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n", h.Addr)
	stream := bufio.NewScanner(open(t, h, "/log?since=earliest").Body)
	for stream.Scan() && stream.Text() != "data: a" {
		continue
	}
	if duration := h.Stop(); duration > 2*time.Second {
		t.Errorf("the shutdown took %v, want at most 2s", duration)
	}
	retries := map[string]bool{}
	for _, response := range streams {
		var last string
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if lines.Text() != "" {
				last = lines.Text()
			}
		}
		response.Body.Close()
		if !strings.HasPrefix(last, "retry: ") {
			t.Fatalf("a stream ended with %q", last)
		}
		retries[last] = true
	}
	if len(retries) < count/4 {
		t.Errorf("%d streams got %d different retry times", count, len(retries))
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("the response to the PUT is %v, %v", answer, err)
	}
	if text, _ := bufio.NewReader(answer.Body).ReadString('\n'); !strings.Contains(text, "before the error: kept 1, last id ~") {
		t.Errorf("the body of the response to the PUT is %q", text)
	}
	again := hubtest.Start(t, hub.Config{Addr: h.Addr, Data: dir, LockWait: -1})
	if got := again.Do("GET", "/news?follow=0", ""); !strings.Contains(got.Text, "data: hello") {
		t.Errorf("after a restart: %s", got.Text)
	}
}

// A hub that starts while another hub uses the log waits until the log is released. A
// client of the first hub then reconnects to the second hub.
func TestSuccessor(t *testing.T) {
	dir := t.TempDir()
	first := hubtest.Start(t, hub.Config{Data: dir})
	client := &sse.Client{URL: first.URL + "/news"}
	next, err := hub.New(hub.Config{Addr: "localhost:0", Data: dir, LockWait: -1})
	if err != nil {
		t.Fatal(err)
	}
	var e *hub.Error
	if err := next.Run(t.Context()); !errors.As(err, &e) || !strings.Contains(e.Text, "in use by another hub") {
		t.Errorf("without waiting: %v", err)
	}
	started := make(chan *hubtest.Hub)
	got := make(chan string)
	connected := make(chan struct{}, 10)
	client.OnState = func(change sse.StateChange) {
		if change.State == sse.StateOpen {
			connected <- struct{}{}
		}
	}
	go func() {
		defer close(got)
		for event, err := range client.Events(t.Context()) {
			if err != nil {
				return
			}
			got <- event.Data
		}
	}()
	<-connected
	first.Do("POST", "/news", "1")
	if data := <-got; data != "1" {
		t.Errorf("got %q", data)
	}
	go func() { started <- hubtest.Start(t, hub.Config{Addr: first.Addr, Data: dir}) }()
	first.Do("POST", "/news", "2")
	if data := <-got; data != "2" {
		t.Errorf("got %q", data)
	}
	first.Stop()
	second := <-started
	second.Do("POST", "/news", "3")
	if data := <-got; data != "3" {
		t.Errorf("got %q from the second hub", data)
	}
}

// If several rules without a pattern limit the events in memory, the strictest limit of
// each kind applies, in any order of the rules.
func TestStrictestRetentionInMemory(t *testing.T) {
	limits := []hub.Retention{{Events: 3, Age: 2 * time.Hour}, {Events: 2}, {Events: 5, Age: time.Hour}}
	for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}, {2, 0, 1}} {
		config := hub.Config{}
		for _, i := range order {
			config.Retention = append(config.Retention, limits[i])
		}
		h := hubtest.Start(t, config)
		for i := range 6 {
			h.Do("POST", "/news", fmt.Sprint(i))
		}
		page := h.Do("GET", "/news?follow=0", "").Text
		if got := strings.Count(page, "data: ") - 1; got != 2 || !strings.Contains(page, "data: 4\n") {
			t.Errorf("order %v: %d events, want 2 (the cursor is not counted)\n%s", order, got, page)
		}
	}
}
