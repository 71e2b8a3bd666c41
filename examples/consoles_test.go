// Package examples_test runs the examples as processes. Some examples use port 3000. No
// test outside this directory listens on this port.
package examples_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The log messages of the programs, the same in minimal and quickstart.
const (
	trying      = "TRY_OPEN_CONNECTION"
	established = "connection established.."
	waiting     = "WAITING_MESSAGE"
	ended       = "the server has ended the connection"
	connected   = "client connected"
	left        = "client left"
)

var pairs = []struct{ server, client string }{
	{"minimal", "minimal"},
	{"quickstart", "quickstart"},
	{"minimal", "quickstart"},
	{"quickstart", "minimal"},
}

func TestConsoles(t *testing.T) {
	needPort(t)
	build := builder(t)
	for _, pair := range pairs {
		server, client := build(pair.server+"/server"), build(pair.client+"/client")
		t.Run(fmt.Sprintf("%s server, %s client", pair.server, pair.client), func(t *testing.T) {
			t.Run("clients first", func(t *testing.T) { testClientsFirst(t, server, client) })
			t.Run("server first", func(t *testing.T) { testServerFirst(t, server, client) })
			t.Run("every message once", func(t *testing.T) { testMessages(t, server, client) })
			t.Run("client leaves", func(t *testing.T) { testClientLeaves(t, server, client) })
			t.Run("server ends connections", func(t *testing.T) { testServerEnds(t, server, client) })
			t.Run("server restarts", func(t *testing.T) { testRestart(t, server, client) })
		})
	}
	for _, name := range []string{"minimal", "quickstart"} {
		t.Run(name+" server", func(t *testing.T) {
			server, client := build(name+"/server"), build("minimal/client")
			t.Run("port is busy", func(t *testing.T) { testBusyPort(t, server) })
			t.Run("client does not read", func(t *testing.T) { testSlowClient(t, server, client) })
		})
	}
}

// TestLateStart starts a server after clients of minimal and quickstart have tried to
// connect SSE_TEST_LATE times, once a second. The default is 3 times.
func TestLateStart(t *testing.T) {
	needPort(t)
	late := 3
	if s := os.Getenv("SSE_TEST_LATE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("SSE_TEST_LATE is %q, must be a number of attempts", s)
		}
		late = n
	}
	build := builder(t)
	for _, name := range []string{"minimal", "quickstart"} {
		t.Run(name+" server", func(t *testing.T) {
			var clients []*program
			for _, client := range []string{"minimal", "quickstart"} {
				clients = append(clients, start(t, build(client+"/client")))
			}
			for _, client := range clients {
				client.waitLogFor(trying, late, deadline+time.Duration(2*late)*time.Second)
			}
			server := startServer(t, build(name+"/server"))
			for _, client := range clients {
				before := client.countLog(trying)
				client.waitLog(established, 1)
				client.waitLog(waiting, 1)
				if n := client.countLog(trying) - before; n > 2 {
					t.Errorf("connected at attempt %d after the server's start, want attempt 1 or 2", n)
				}
			}
			server.waitLog(connected, len(clients))
			curl(t, "").wantReached(len(clients))
			for _, client := range clients {
				client.wantMessages("Hello 1")
			}
		})
	}
}

// TestDemo runs examples/demo and checks its output.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes seconds")
	}
	demo := start(t, builder(t)("demo"))
	if err := demo.waitExit(); err != nil {
		t.Errorf("demo: %v", err)
	}
	demo.wantLast("client: has received the events 1 2 3 4 5")
	for _, line := range []string{
		"server: stops",
		"server: a client connects; its last event is 3",
		"client: event 4: four, while no client is connected",
	} {
		demo.waitOutput(line)
	}
}

func testClientsFirst(t *testing.T, server, client string) {
	a, b := start(t, client), start(t, client)
	a.waitLog(trying, 2)
	b.waitLog(trying, 1)
	s := startServer(t, server)
	c := start(t, client)
	s.waitLog(connected, 3)
	curl(t, "").wantReached(3)
	for _, client := range []*program{a, b, c} {
		client.wantMessages("Hello 1")
		client.waitLogOrder(trying, established, waiting)
	}
}

func testServerFirst(t *testing.T, server, client string) {
	s := startServer(t, server)
	curl(t, "").wantReached(0)
	c := start(t, client)
	s.waitLog(connected, 1)
	curl(t, "").wantReached(1)
	c.wantMessages("Hello 2")
	c.waitLog(waiting, 1)
	if n := c.countLog(trying); n != 1 {
		t.Errorf("connected at attempt %d, want the first", n)
	}
}

func testMessages(t *testing.T, server, client string) {
	s := startServer(t, server)
	clients := []*program{start(t, client), start(t, client), start(t, client)}
	s.waitLog(connected, len(clients))

	long := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB, larger than the buffer of a bufio.Scanner
	var want []string
	for i, test := range []struct{ body, want string }{
		{"", "Hello 1"},
		{"text", "text"},
		{"", "Hello 3"},
		{" a token", " a token"},
		{":x", ":x"},
		{"data: data: x", "data: data: x"},
		{"two\nlines", `two\nlines`},
		{"a\r\nb\rc\n", `a\nb\nc\n`},
		{"\n", `\n`},
		{"a\n\nevent: forged\rdata: forged\r\n\r\nid: 7\nretry: 100000\n: x",
			`a\n\nevent: forged\ndata: forged\n\nid: 7\nretry: 100000\n: x`},
		{long, long},
		{"", "Hello 12"},
	} {
		curl(t, test.body).wantReached(len(clients))
		want = append(want, test.want)
		for _, client := range clients { // wait for all, so that no client falls behind
			client.waitMessages(i + 1)
		}
	}
	for _, client := range clients {
		client.wantMessages(want...)
		client.waitLog(waiting, 1)
		if n := client.countLog(trying); n != 1 {
			t.Errorf("%d attempts, want one connection for all messages", n)
		}
	}
}

func testClientLeaves(t *testing.T, server, client string) {
	s := startServer(t, server)
	stays, leaves := start(t, client), start(t, client)
	s.waitLog(connected, 2)
	curl(t, "").wantReached(2)
	leaves.interrupt()
	s.waitLog(left, 1)
	curl(t, "").wantReached(1)
	stays.wantMessages("Hello 1", "Hello 2")
	stays.interrupt()
	s.waitLog(left, 2)
	curl(t, "").wantReached(0)
}

func testServerEnds(t *testing.T, server, client string) {
	s := startServer(t, server)
	clients := []*program{start(t, client), start(t, client)}
	s.waitLog(connected, 2)
	request(t, http.MethodDelete, address, "")
	s.waitLog(left, 2)
	s.waitLog(connected, 4)
	curl(t, "again").wantReached(2)
	for _, client := range clients {
		client.wantMessages("again")
		client.waitLogOrder(trying, established, waiting, ended, trying, established, waiting)
	}
}

func testRestart(t *testing.T, server, client string) {
	s := startServer(t, server)
	clients := []*program{start(t, client), start(t, client), start(t, client)}
	s.waitLog(connected, len(clients))
	curl(t, "before").wantReached(len(clients))
	for _, client := range clients {
		client.wantMessages("before")
	}
	s.interrupt()
	for _, client := range clients {
		client.waitLog(trying, 3) // at least one attempt has failed
	}
	s = startServer(t, server)
	s.waitLog(connected, len(clients))
	curl(t, "after").wantReached(len(clients))
	for _, client := range clients {
		client.wantMessages("before", "after")
		client.waitLogOrder(established, waiting, trying, trying, established, waiting)
	}
}

func testBusyPort(t *testing.T, server string) {
	startServer(t, server)
	second := start(t, server)
	var failure *exec.ExitError
	if err := second.waitExit(); !errors.As(err, &failure) {
		t.Errorf("a second server ended with %v, want an exit status", err)
	}
	// The server appends this text to every error of ListenAndServe. A busy port is only
	// one of the possible reasons, so the text begins with "if".
	second.waitLog("; if another program uses", 1)
	second.waitLog("main.go", 1) // the place to choose another port
}

// testSlowClient connects a client that reads and a client that never reads. The server
// must answer every curl. When the buffers of the second client are full, the server must
// report that a message reached only one client.
func testSlowClient(t *testing.T, server, client string) {
	s := startServer(t, server)
	reads := start(t, client)
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "GET /handshake HTTP/1.1\r\nHost: %s\r\n\r\n", address)
	s.waitLog(connected, 2)

	const most = 200 // MiB, more than the buffers of any kernel
	body := strings.Repeat("0123456789abcdef", 64<<10)
	for n := 1; ; n++ {
		reached := curl(t, body).reached
		reads.waitMessages(n)
		if reached == 1 {
			return
		}
		if reached != 2 || n == most {
			t.Fatalf("curl %d reached %d clients, want 2, and 1 once the slow client's buffers are full", n, reached)
		}
	}
}
