package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// oneConn is a listener of one connection.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{} // closed by Close
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// dial serves the broker as the hub does, and returns a connection to it.
func dial(t *testing.T, broker *sse.Broker) net.Conn {
	client, conn := net.Pipe()
	l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
	l.conns <- conn
	a := newAPI(t, broker)
	broker.Select = a.Select
	server := a.Server()
	served := make(chan struct{})
	go func() { _ = server.Serve(l); close(served) }()
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
		<-served
	})
	return client
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// A body that does not come is not waited for forever, and what is said of it is
// what became of it.
func TestSlowBody(t *testing.T) {
	for _, path := range []string{"/news", "/-/publish?topic=news", "/-/batch?topic=news"} {
		synctest.Test(t, func(t *testing.T) {
			broker := &sse.Broker{}
			conn := dial(t, broker)
			began := time.Now()
			write(t, conn, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(text), "PUT") {
				t.Errorf("POST %s: the answer is %s: %s", path, resp.Status, text)
			}
			if got, want := time.Since(began), time.Minute; got != want {
				t.Errorf("POST %s: it comes after %v, want %v", path, got, want)
			}
			if got := newest(t, broker, 1); len(got) > 0 {
				t.Errorf("POST %s: %+v was published", path, got)
			}
		})
	}
}

// Lines may come as slowly as they like.
func TestSlowLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, &sse.Broker{})
		write(t, conn, "PUT /news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n")
		time.Sleep(time.Hour)
		write(t, conn, "2\r\nb\n\r\n0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(text), "kept 2,") {
			t.Errorf("the answer is %s: %s", resp.Status, text)
		}
	})
}

// A subscriber that is held in its handler outlives what bounds other requests.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &sse.Broker{}
		conn := dial(t, broker)
		write(t, conn, "GET /news HTTP/1.1\r\nHost: localhost\r\n\r\n")
		lines := make(chan string)
		go func() { // ends with the connection
			defer close(lines)
			for in := bufio.NewScanner(conn); in.Scan(); {
				if data, ok := strings.CutPrefix(in.Text(), "data: "); ok && data != "" {
					lines <- data
				}
			}
		}()
		time.Sleep(time.Hour)
		if _, err := broker.Publish(t.Context(), sse.Event{Data: "late"}, "news"); err != nil {
			t.Fatal(err)
		}
		if got := <-lines; got != "late" {
			t.Errorf("the stream brings %q after an hour, want late", got)
		}
	})
}
