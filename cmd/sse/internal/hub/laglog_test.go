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

// Subscribers that do not read delay neither publishers nor other subscribers.
// The hub disconnects them and logs their number. When they reconnect, they
// receive the events that they missed.
func TestSlowSubscribers(t *testing.T) {
	const (
		events = 120 // more than a slow subscriber may lag behind, plus its socket buffers
		ahead  = 8   // the test waits if a healthy subscriber is this many events behind
	)
	stalled, healthy := 5, 5
	if testing.Short() {
		stalled, healthy = 2, 2
	}
	filler := strings.Repeat("x", 256<<10)
	h := hubtest.Start(t, hub.Config{Data: t.TempDir()})
	var slow []*net.TCPConn
	for range stalled {
		slow = append(slow, dialWithoutReading(t, h, "/news"))
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
					t.Errorf("a healthy subscriber got event %d (%v), want %d", n, err, i)
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
		checkReconnect(t, h, conn, events)
	}
	h.Stop()
	logged := 0
	for _, part := range strings.Split(h.Logs(), "read too slowly were disconnected: ")[1:] {
		n := 0
		_, _ = fmt.Sscan(part, &n)
		logged += n
	}
	if logged != stalled {
		t.Errorf("the log has %d disconnected subscribers, want %d: %s", logged, stalled, h.Logs())
	}
}

// dialWithoutReading subscribes, and reads nothing.
func dialWithoutReading(t *testing.T, h *hubtest.Hub, path string) *net.TCPConn {
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

// checkReconnect reads the stream of a slow subscriber, which must end before the last
// event. Then it subscribes again, and the new stream must have the remaining events.
func checkReconnect(t *testing.T, h *hubtest.Hub, conn *net.TCPConn, events int) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	stream := bufio.NewReader(response.Body)
	last := ""
	next := 0 // the number of the next event
	for {
		n, id, err := nextNumber(stream)
		if err != nil {
			break // disconnected
		}
		if n != next || next == events-1 {
			t.Fatalf("a slow subscriber got event %d, want %d of %d", n, next, events)
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
			t.Fatalf("after it reconnected, it got event %d (%v), want %d", n, err, next)
		}
	}
}

// nextNumber reads the next event with data, and returns the number at the start of
// the data, and the event's ID.
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
