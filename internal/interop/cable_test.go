package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
)

// cable is a proxy between clients and a server. Its address stays the same when the
// server is restarted. It forwards bytes, stores a copy of each response, and can
// break connections. Each connection carries one request.
type cable struct {
	address string
	busy    sync.WaitGroup // all goroutines of the cable

	mu       sync.Mutex   // guards the following
	listener net.Listener // if nil, connections are refused
	calls    []*call
	halve    int // number of next responses that end inside their header
}

// call is one request with its response.
type call struct {
	client, lastEventID string
	byHand              bool     // a script in a page has reconnected, with the ID in the query
	halved              bool     // the response ends inside its header
	near, far           net.Conn // to the client, and to the server

	mu   sync.Mutex // guards the following
	text []byte     // the part of the response that was sent to the client
	over bool       // the response has ended
}

func newCable(t *testing.T) *cable {
	t.Helper()
	c := &cable{address: freeAddress(t)}
	t.Cleanup(func() { c.unplug(); c.busy.Wait() })
	return c
}

// plug makes the cable accept connections and forward them to a server.
func (c *cable) plug(t *testing.T, server string) {
	t.Helper()
	listener, err := net.Listen("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener = listener
	c.busy.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			c.busy.Go(func() { c.connect(near, server) })
		}
	})
}

// unplug makes the cable refuse new connections. It does not close open connections:
// these end when the server ends. So the server must have ended already.
func (c *cable) unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		_ = c.listener.Close()
		c.listener = nil
	}
}

// connect forwards a request and its response.
func (c *cable) connect(near net.Conn, server string) {
	defer near.Close()
	far, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer far.Close()
	var head bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(near, &head)))
	if err != nil {
		return
	}
	l := &call{
		client: req.URL.Query().Get("client"), lastEventID: req.Header.Get("Last-Event-ID"),
		near: near, far: far,
	}
	l.byHand = l.lastEventID == "" && req.URL.Query().Has("lastEventId")
	c.add(l)
	if _, err := far.Write(head.Bytes()); err != nil {
		return
	}
	// The client sends nothing after the request, but it may disconnect.
	c.busy.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
	_, _ = io.Copy(l, far)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// add records a call, and decides whether its response ends inside its header.
func (c *cable) add(l *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls = append(c.calls, l); c.halve > 0 {
		c.halve--
		l.halved = true
	}
}

// Write forwards bytes of the response to the client.
func (l *call) Write(p []byte) (int, error) {
	if l.halved {
		_, _ = l.near.Write(p[:min(len(p), len("HTTP/1.1 200 OK\r\nCont"))])
		return 0, io.ErrShortWrite
	}
	n, err := l.near.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p[:n]...)
	return n, err
}

// drop breaks about two thirds of the connections, with a FIN or with a reset. It
// also makes up to two of the next responses end inside their headers.
func (c *cable) drop(random *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halve = random.IntN(3)
	for _, l := range c.calls {
		if random.IntN(3) == 0 {
			continue
		}
		if tcp, ok := l.near.(*net.TCPConn); ok && random.IntN(2) == 0 {
			_ = tcp.SetLinger(0) // RST
		}
		_ = l.near.Close()
		_ = l.far.Close()
	}
}

// callsOf returns the calls of a client in order.
func (c *cable) callsOf(client string) []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var calls []*call
	for _, l := range c.calls {
		if l.client == client {
			calls = append(calls, l)
		}
	}
	return calls
}

// checkOpen returns an error unless the client has an open stream.
func (c *cable) checkOpen(client string) error {
	calls := c.callsOf(client)
	if len(calls) == 0 {
		return fmt.Errorf("%s has sent no request", client)
	}
	l := calls[len(calls)-1]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || !bytes.Contains(l.text, []byte("\r\n\r\n")) {
		return fmt.Errorf("%s has no open stream: the stream of its request %d has ended or has not begun", client, len(calls))
	}
	return nil
}

// checkRead returns an error unless the client has read a cursor with the position
// at. The cable knows only which bytes it has sent. It assumes that the client has
// read the cursor when five heartbeats, a quarter of a second, have followed it.
func (c *cable) checkRead(client string, at sse.Position) error {
	if err := c.checkOpen(client); err != nil {
		return err
	}
	calls := c.callsOf(client)
	l := calls[len(calls)-1]
	l.mu.Lock()
	defer l.mu.Unlock()
	_, rest, ok := strings.Cut(string(l.text), "id: "+at.String()+"\nevent: sse.cursor\ndata: \n\n")
	if !ok || strings.Count(rest, "\r\n:\n\r\n") < 5 {
		return fmt.Errorf("%s was not sent position %v: %q", client, at, tail(string(l.text)))
	}
	return nil
}

// A halved response ends inside its header, even if the first read from the server
// returns only a few bytes.
func TestHalvedResponse(t *testing.T) {
	const response = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	for _, n := range []int{1, len("HTTP/1.1 200 OK\r\n"), len(response)} {
		near, client := net.Pipe()
		received := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(client)
			received <- string(text)
		}()
		l := &call{near: near, halved: true}
		_, err := l.Write([]byte(response[:n]))
		near.Close()
		text := <-received
		want := response[:min(n, len("HTTP/1.1 200 OK\r\nCont"))]
		if text != want || err == nil {
			t.Errorf("after %d bytes: got %q, error %v; want %q and an error", n, text, err, want)
		}
	}
}
