package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// After the first interrupt, the hub ends each stream with a reconnect delay. A
// publisher that sends no body does not prevent the exit. After the exit, the port
// and the lock of the data directory are free.
func TestServeInterrupt(t *testing.T) {
	skipWithoutSignals(t)
	// Under nohup, this process ignores SIGHUP, and its children would ignore it, too.
	// They do not if this process handles SIGHUP.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		s := newHubService(t)
		s.start()
		var streams []*bufio.Scanner
		for range 20 {
			response, err := http.Get("http://" + s.addr + "/news")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			streams = append(streams, bufio.NewScanner(response.Body))
		}
		beginPublish(t, s)
		began := time.Now()
		s.hub.signal(signal)
		s.hub.checkExit(exitDone)
		t.Logf("%v: ended after %v", signal, time.Since(began))
		delays := map[string]bool{}
		for _, lines := range streams {
			var last string
			for lines.Scan() {
				if lines.Text() != "" {
					last = lines.Text()
				}
			}
			if !strings.HasPrefix(last, "retry: ") || lines.Err() != nil {
				t.Errorf("%v: the last line of a stream is %q (%v), want a retry field",
					signal, last, lines.Err())
			}
			delays[last] = true
		}
		if len(delays) < len(streams)/4 {
			t.Errorf("%v: %d streams have only %d different reconnect delays",
				signal, len(streams), len(delays))
		}
		s.markDown()
		s.flags = append(s.flags, "--lock-wait", "0s")
		s.start()
	}
}

// After the second interrupt, the hub exits immediately, even while the shutdown that
// the first interrupt began waits for a publisher.
func TestServeInterruptTwice(t *testing.T) {
	skipWithoutSignals(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := newHubService(t)
		s.start()
		beginPublish(t, s)
		s.hub.signal(os.Interrupt)
		s.hub.await(s.hub.stopping)
		s.hub.signal(signal)
		s.hub.checkExit(exitInterrupted)
		s.markDown()
		s.flags = append(s.flags, "--lock-wait", "0s")
		s.start()
	}
}

// beginPublish begins to publish an event, but sends only the head of the request. A
// hub that is stopping waits a limited time for the body.
func beginPublish(t *testing.T, s *hubService) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// After the hub has sent 100 Continue, it reads the body.
	fmt.Fprint(conn, "POST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"+
		"Expect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, " 100 ") {
		t.Fatalf("response %q (%v), want status 100", line, err)
	}
}
