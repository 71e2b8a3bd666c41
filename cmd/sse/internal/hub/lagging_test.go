package hub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

// Subscribers that do not read hold up nobody: they are disconnected, which the log
// says, while publishing goes on and the others get everything. When they come back
// they get what they have missed.
func TestSlowSubscribers(t *testing.T) {
	const (
		events = 120 // more than a subscriber may be behind, and sockets hold
		ahead  = 8   // of the healthy ones, or they would be too slow as well
	)
	stalled, healthy := 5, 5
	if testing.Short() {
		stalled, healthy = 2, 2
	}
	filler := strings.Repeat("x", 256<<10)
	h := hubtest.Start(t, hub.Config{Data: t.TempDir()})
	var slow []*net.TCPConn
	for range stalled {
		slow = append(slow, dialSlowly(t, h, "/news"))
	}
	got := make(chan int, healthy*events)
	var all sync.WaitGroup
	for range healthy {
		stream := open(t, h, "/news").Body
		lines := bufio.NewReader(stream)
		all.Go(func() {
			defer stream.Close()
			for i := range events {
				if n, _, err := nextNumber(lines); n != i || err != nil {
					t.Errorf("a healthy subscriber gets event %d (%v), want %d", n, err, i)
					break
				}
				got <- i
			}
		})
	}
	for i := range events {
		for range healthy {
			if i >= ahead && !t.Failed() {
				<-got
			}
		}
		if a := h.Do("POST", "/news", fmt.Sprint(i, " ", filler)); a.StatusCode != http.StatusOK {
			t.Fatalf("publishing event %d: %s %s", i, a.Status, a.Text)
		}
	}
	all.Wait()
	for _, conn := range slow {
		comesBack(t, h, conn, events)
	}
	h.Stop()
	told := 0
	for _, part := range strings.Split(h.Logs(), "read too slowly were disconnected: ")[1:] {
		n := 0
		_, _ = fmt.Sscan(part, &n)
		told += n
	}
	if told != stalled {
		t.Errorf("the log tells of %d that were disconnected, want %d: %s", told, stalled, h.Logs())
	}
}

// dialSlowly subscribes, and reads nothing.
func dialSlowly(t *testing.T, h *hubtest.Hub, path string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", h.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, h.Addr)
	return tcp
}

// comesBack reads what a slow subscriber was sent, which must end before all events,
// and then the rest of them in another stream.
func comesBack(t *testing.T, h *hubtest.Hub, conn *net.TCPConn, events int) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	stream := bufio.NewReader(response.Body)
	last := ""
	next := 0
	for {
		n, id, err := nextNumber(stream)
		if err != nil {
			break // disconnected
		}
		if n != next || next == events-1 {
			t.Fatalf("a slow subscriber gets event %d, want %d of %d", n, next, events)
		}
		last = id
		next++
	}
	path := "/news?since=earliest"
	if last != "" {
		path = "/news?lastEventId=" + last
	}
	again := open(t, h, path).Body
	defer again.Close()
	rest := bufio.NewReader(again)
	for ; next < events; next++ {
		if n, _, err := nextNumber(rest); n != next || err != nil {
			t.Fatalf("when it comes back, it gets event %d (%v), want %d", n, err, next)
		}
	}
}

// nextNumber reads an event whose data begins with a number.
func nextNumber(stream *bufio.Reader) (n int, id string, err error) {
	n = -1
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			return n, id, err
		}
		switch {
		case strings.HasPrefix(line, "id: "):
			id = strings.TrimSpace(line[len("id: "):])
		case strings.HasPrefix(line, "data: "):
			_, err = fmt.Sscan(line[len("data: "):], &n)
			if err != nil && err != io.EOF {
				return n, id, err
			}
		case line == "\n" && n >= 0:
			return n, id, nil
		}
	}
}
