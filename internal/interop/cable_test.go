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

// cable is what is between clients and a server: an address that stays the same
// while the server is another one, or there is none. It passes bytes on, keeps a copy, and
// breaks when it is told to. Each connection is for one request.
type cable struct {
	address string

	mu       sync.Mutex   // guards the following
	listener net.Listener // nil: connections are refused
	calls    []*call
	halve    int            // how many of the next responses end within their head
	busy     sync.WaitGroup // the goroutines
}

// call is one request, and what came back.
type call struct {
	client, lastEventID string
	byHand              bool     // the id is in the query
	halved              bool     // the response ends within its head
	near, far           net.Conn // to the client, and to the server

	mu   sync.Mutex // guards the following
	text []byte     // from the server, as far as the client has been sent it
	over bool       // no more will come
}

func newCable(t *testing.T) *cable {
	t.Helper()
	c := &cable{address: freeAddress(t)}
	t.Cleanup(func() { c.unplug(); c.busy.Wait() })
	return c
}

// plug lets clients reach a server.
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

// unplug is the network's part of a server's death: connections are refused. Those
// there were end when the server's end does, which must be dead by now.
func (c *cable) unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		_ = c.listener.Close()
		c.listener = nil
	}
}

// connect passes on a request, and then its response.
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
	// The client says nothing more, but it may go.
	c.busy.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
	_, _ = io.Copy(l, far)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

func (c *cable) add(l *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls = append(c.calls, l); c.halve > 0 {
		c.halve--
		l.halved = true
	}
}

// Write sends to the client what has come from the server.
func (l *call) Write(p []byte) (int, error) {
	if l.halved {
		p = p[:len("HTTP/1.1 200 OK\r\nCont")]
		_, _ = l.near.Write(p)
		return 0, io.ErrShortWrite
	}
	n, err := l.near.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p[:n]...)
	return n, err
}

// drop breaks some of the connections, so that the client sees an end, or an error;
// and perhaps the next one, before it is a stream.
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

// of are the calls of a client, the latest last.
func (c *cable) of(client string) []*call {
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

// open returns an error unless the client has a stream.
func (c *cable) open(client string) error {
	calls := c.of(client)
	if len(calls) == 0 {
		return fmt.Errorf("%s has never come", client)
	}
	l := calls[len(calls)-1]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || !bytes.Contains(l.text, []byte("\r\n\r\n")) {
		return fmt.Errorf("%s, at its request %d, is not connected", client, len(calls))
	}
	return nil
}

// knows returns an error unless the client was sent a cursor, or an event, with
// the position, and then so many heartbeats that it has surely read it.
func (c *cable) knows(client string, at sse.Position) error {
	if err := c.open(client); err != nil {
		return err
	}
	calls := c.of(client)
	l := calls[len(calls)-1]
	l.mu.Lock()
	defer l.mu.Unlock()
	_, rest, ok := strings.Cut(string(l.text), "id: "+at.String()+"\nevent: sse.cursor\ndata: \n\n")
	if !ok || strings.Count(rest, "\r\n:\n\r\n") < 5 {
		return fmt.Errorf("%s was not told of %v: %q", client, at, shorten(string(l.text)))
	}
	return nil
}
