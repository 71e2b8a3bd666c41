package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The first interrupt ends each stream with the time after which to come back, and
// waits for no publisher that sends nothing; then the port and the lock are free.
func TestServeInterrupt(t *testing.T) {
	skipWithoutSignals(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := newSite(t)
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
		unfinished(t, s)
		began := time.Now()
		s.hub.signal(signal)
		s.hub.exit(exitDone)
		t.Logf("%v: ended after %v", signal, time.Since(began))
		told := map[string]bool{}
		for _, lines := range streams {
			var last string
			for lines.Scan() {
				if lines.Text() != "" {
					last = lines.Text()
				}
			}
			if !strings.HasPrefix(last, "retry: ") || lines.Err() != nil {
				t.Errorf("%v: a stream ends with %q (%v)", signal, last, lines.Err())
			}
			told[last] = true
		}
		if len(told) < len(streams)/4 {
			t.Errorf("%v: %d streams are told %d times to come back", signal, len(streams), len(told))
		}
		s.goes()
		s.flags = append(s.flags, "--lock-wait", "0s")
		s.start()
	}
}

// The second interrupt ends the hub at once, whatever the first one waits for.
func TestServeInterruptTwice(t *testing.T) {
	skipWithoutSignals(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := newSite(t)
		s.start()
		unfinished(t, s)
		s.hub.signal(os.Interrupt)
		s.hub.await(s.hub.stopping)
		s.hub.signal(signal)
		s.hub.exit(exitInterrupted)
		s.goes()
		s.flags = append(s.flags, "--lock-wait", "0s")
		s.start()
	}
}

// unfinished begins to publish, and does not go on: an end waits for that, as long as
// the hub lets it.
func unfinished(t *testing.T, s *site) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// Once the hub says that it goes on, it reads the body.
	fmt.Fprint(conn, "POST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"+
		"Expect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, " 100 ") {
		t.Fatalf("answered with %q (%v)", line, err)
	}
}
