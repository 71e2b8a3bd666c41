package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// newParkedServer serves a broker that parks its streams, on a loopback port.
func newParkedServer(t testing.TB, broker *sse.Broker) *httptest.Server {
	t.Helper()
	broker.Park = true
	server := httptest.NewServer(broker)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := broker.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		server.Close()
	})
	return server
}

// On a real socket, the bytes of a parked stream have the format of a response
// of net/http: chunked for HTTP/1.1, and without chunks for HTTP/1.0.
func TestParkOnSockets(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		t.Run(version, func(t *testing.T) {
			connected := make(chan sse.Subscriber, 1)
			gone := make(chan error, 1)
			broker := &sse.Broker{
				OnConnect:    func(s sse.Subscriber) { connected <- s },
				OnDisconnect: func(_ sse.Subscriber, err error) { gone <- err },
			}
			server := newParkedServer(t, broker)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET / HTTP/%s\r\nHost: x\r\n\r\n", version)
			s := <-connected
			if s.Wait != "parked" {
				t.Fatalf("the stream is %s: %s", s.Wait, s.Why)
			}
			p, err := broker.Publish(t.Context(), sse.Event{Data: "hello"})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			chunked := len(resp.TransferEncoding) == 1
			if chunked != (version == "1.1") {
				t.Errorf("HTTP/%s: transfer encoding %q", version, resp.TransferEncoding)
			}
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() && lines.Text() != "id: "+p.String() {
			}
			if !lines.Scan() || lines.Text() != "data: hello" {
				t.Errorf("after the id: got %q, %v, want data: hello", lines.Text(), lines.Err())
			}
			conn.Close()
			if err := <-gone; !strings.Contains(err.Error(), "peer gone") {
				t.Errorf("the stream ended with %v, want ErrPeerGone", err)
			}
		})
	}
}

// tap is a connection that counts the bytes that are written to it. It has no
// SyscallConn, because it embeds only a net.Conn.
type tap struct {
	net.Conn
	written *atomic.Int64
}

func (c *tap) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p))) // first, because the peer may read p before Write returns
	return c.Conn.Write(p)
}

// tcpTap is a tap that has all methods of a *net.TCPConn.
type tcpTap struct {
	*net.TCPConn
	tap *tap
}

func (c *tcpTap) Write(p []byte) (int, error) { return c.tap.Write(p) }

// tcpTapValue is a tap whose type is not a pointer.
type tcpTapValue struct{ *tcpTap }

// netConnTap is a tap whose NetConn returns the connection that it wraps.
type netConnTap struct{ *tap }

func (c netConnTap) NetConn() net.Conn { return c.Conn }

// lateTap is a tap that delays all bytes: a goroutine writes them.
type lateTap struct {
	*tap
	queue  chan []byte
	done   chan struct{} // closed when all bytes were written
	closed func() error  // closes the tap once
}

func newLateTap(t *tap) *lateTap {
	c := &lateTap{tap: t, queue: make(chan []byte, 64), done: make(chan struct{})}
	c.closed = sync.OnceValue(func() error {
		close(c.queue)
		<-c.done
		return t.Close()
	})
	go func() { // ends when the connection is closed
		defer close(c.done)
		for p := range c.queue {
			_, _ = t.Write(p)
		}
	}()
	return c
}

func (c *lateTap) Close() error { return c.closed() }

func (c *lateTap) Write(p []byte) (int, error) {
	c.queue <- append([]byte(nil), p...)
	return len(p), nil
}

// flippedTap is a tap whose bytes are inverted on the network.
type flippedTap struct{ *tap }

func (c flippedTap) Write(p []byte) (int, error) {
	return c.tap.Write(flip(append([]byte(nil), p...)))
}

func (c flippedTap) Read(p []byte) (int, error) {
	n, err := c.tap.Read(p)
	flip(p[:n])
	return n, err
}

func flip(p []byte) []byte {
	for i := range p {
		p[i] ^= 0xff
	}
	return p
}

// wrappingListener wraps the connections that it accepts.
type wrappingListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l *wrappingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(conn), nil
}

// pipe returns one end of a connection in memory, and copies bytes between the other
// end and conn.
func pipe(conn net.Conn) net.Conn {
	ours, theirs := net.Pipe()
	go func() { // ends when the peer has closed conn
		_, _ = io.Copy(ours, conn)
		_ = ours.Close()
	}()
	go func() { // ends when the server has closed theirs
		_, _ = io.Copy(conn, ours)
		_ = conn.Close()
	}()
	return theirs
}

// wrappers are kinds of connections that the Accept of a listener may return. The
// broker parks the stream of the first kind, and holds the streams of all others.
var wrappers = []struct {
	name string
	wrap func(*tap) net.Conn // nil if the connection is not wrapped
	why  string              // the end of Subscriber.Why, or "" if the stream is parked
}{
	{"none", nil, ""},
	{"embeds net.Conn and counts", func(t *tap) net.Conn { return t }, "*sse_test.tap"},
	{"embeds *net.TCPConn", func(t *tap) net.Conn { return &tcpTap{t.Conn.(*net.TCPConn), t} },
		"*sse_test.tcpTap"},
	{"embeds *net.TCPConn twice, as a value",
		func(t *tap) net.Conn { return tcpTapValue{&tcpTap{t.Conn.(*net.TCPConn), t}} },
		"sse_test.tcpTapValue"},
	{"shows the connection with NetConn", func(t *tap) net.Conn { return netConnTap{t} },
		"sse_test.netConnTap"},
	{"delays", func(t *tap) net.Conn { return newLateTap(t) }, "*sse_test.lateTap"},
	{"inverts", func(t *tap) net.Conn { return flippedTap{t} }, "sse_test.flippedTap"},
	{"is a pipe", func(t *tap) net.Conn { return pipe(t) }, "*net.pipe"},
	{"is anonymous", func(t *tap) net.Conn { return struct{ net.Conn }{t} },
		"struct { net.Conn }"},
	{"wraps a wrapper", func(t *tap) net.Conn { return &tap{newLateTap(t), new(atomic.Int64)} },
		"*sse_test.tap"},
}

// A stream is parked only if its connection is a socket of the system. If the listener
// wraps its connections, the stream is held, and every byte goes through the wrapper.
func TestParkInListenerWrappers(t *testing.T) {
	for _, test := range wrappers {
		t.Run(test.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			testParkBehind(t, listener, test.wrap, test.why)
		})
	}
	t.Run("none, Unix socket", func(t *testing.T) {
		listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
		if err != nil {
			t.Fatal(err)
		}
		testParkBehind(t, listener, nil, "")
	})
}

// testParkBehind receives an event from a broker behind a listener, and then lets the
// broker end the stream. The wrapper must have written as many bytes as the client has
// received.
func testParkBehind(t *testing.T, listener net.Listener, wrap func(*tap) net.Conn, why string) {
	t.Helper()
	var written, received atomic.Int64
	wait := "parked"
	if addr := listener.Addr(); wrap != nil {
		wait, why = "held", "the connection is a "+why
		listener = &wrappingListener{listener, func(c net.Conn) net.Conn {
			return wrap(&tap{c, &written})
		}}
		defer func() {
			if s, r := written.Load(), received.Load(); s != r {
				t.Errorf("%v: the wrapper wrote %d bytes, and the client received %d", addr, s, r)
			}
		}()
	}
	connected := make(chan sse.Subscriber, 1)
	broker := &sse.Broker{Park: true, OnConnect: func(s sse.Subscriber) { connected <- s }}
	server := &http.Server{Handler: broker}
	shutdown := broker.Attach(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		if err := shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	}()

	conn, err := net.Dial(listener.Addr().Network(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := conn
	if strings.HasSuffix(why, "flippedTap") {
		c = flippedTap{&tap{conn, new(atomic.Int64)}}
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	s := <-connected
	if s.Wait != wait || s.Why != why {
		t.Errorf("the stream is %s: %q, want %s: %q", s.Wait, s.Why, wait, why)
	}
	if _, err := broker.Publish(t.Context(), sse.Event{Data: "hello"}); err != nil {
		t.Fatal(err)
	}
	counted := bufio.NewReader(io.TeeReader(c, countWriter{&received}))
	resp, err := http.ReadResponse(counted, nil)
	if err != nil {
		t.Fatal(err)
	}
	var data []string
	for event, err := range sse.NewDecoder(resp.Body, nil).Events() {
		if err != nil {
			t.Fatalf("the stream was cut: %v", err)
		}
		if event.Data != "" {
			data = append(data, event.Data)
			broker.Kick(func(sse.Subscriber) bool { return true })
		}
	}
	if len(data) != 1 || data[0] != "hello" {
		t.Errorf("received %q, want one event", data)
	}
}

// countWriter counts the bytes that are written to it.
type countWriter struct{ n *atomic.Int64 }

func (c countWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
