package interop

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// run is one reading of a script from our server by one client, over one or several
// connections.
type run struct {
	script   script
	traits   traits
	receipts chan string     // data of the events that the client confirms
	report   chan []received // receives all events of the client, at its end
	failure  chan string     // receives the first failure

	probe probe

	mu       sync.Mutex   // guards the following
	reached  map[int]bool // indexes of the executed steps that are executed only once
	requests []request
}

// request is the recorded part of a client's request.
type request struct {
	lastEventID string
	proto       string
	method      string
	cookie      string
}

func newRun(s script, tr traits) *run {
	return &run{
		script:   s.fit(tr),
		traits:   tr,
		receipts: make(chan string, 16), // never full: a script waits for each receipt
		report:   make(chan []received, 1),
		failure:  make(chan string, 1),
		probe:    newProbe(),
		reached:  map[int]bool{},
	}
}

// fail ends the run. Only the first failure counts.
func (r *run) fail(format string, args ...any) {
	select {
	case r.failure <- fmt.Sprintf(format, args...):
	default:
	}
}

// reach records that a step is reached, and reports whether this is the first time.
func (r *run) reach(pos int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.reached[pos] = true }()
	return !r.reached[pos]
}

// record records a request and returns its number.
func (r *run) record(req *http.Request) int {
	cookie := ""
	if c, err := req.Cookie(cookieName); err == nil {
		cookie = c.Value
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request{
		lastEventID: req.Header.Get("Last-Event-ID"),
		proto:       req.Proto,
		method:      req.Method,
		cookie:      cookie,
	})
	return len(r.requests)
}

func (r *run) allRequests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

// forms are the forms of heartbeats. The first connection of a run uses the first
// form, the second connection the second, and so on.
var forms = []sse.AcceptOptions{{}, {HeartbeatBlock: true}, {HeartbeatEvent: beat}}

// wireForm returns the bytes of a heartbeat with the options.
func wireForm(o *sse.AcceptOptions) string {
	switch {
	case o.HeartbeatEvent != "":
		return "event: " + o.HeartbeatEvent + "\ndata: \n\n"
	case o.HeartbeatBlock:
		return ":\n\n"
	}
	return ":\n"
}

// serve is the handler of the stream. It executes the steps of the script after the
// event of the request's Last-Event-ID, until a step ends the connection.
func (r *run) serve(w http.ResponseWriter, req *http.Request) {
	number := r.record(req)
	pos := r.script.after(req.Header.Get("Last-Event-ID"))
	if pos < 0 {
		r.fail("request %d: no event has Last-Event-ID %q",
			number, req.Header.Get("Last-Event-ID"))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	c := connection{run: r, number: number, w: w, req: req, gone: req.Context().Done()}
	opts := forms[(number-1)%len(forms)]
	opts.Heartbeat, opts.Retry = 10*time.Millisecond, retry
	c.beats = make(chan struct{}, 3)
	stream, err := sse.Accept(&tap{w, wireForm(&opts), c.beats}, req, &opts)
	if err != nil {
		r.fail("request %d: %v", number, err)
		return
	}
	defer stream.Close()
	c.stream = stream
	for ; pos < len(r.script); pos++ {
		if ended := c.do(pos); ended {
			return
		}
	}
	<-c.gone // after the last event, the client disconnects
}

// connection is one request of a client and its response.
type connection struct {
	run    *run
	number int
	w      http.ResponseWriter
	req    *http.Request
	gone   <-chan struct{} // closed when the client has closed the connection
	beats  chan struct{}   // receives a value for each written heartbeat
	stream *sse.Stream
	raw    bool // the stream is closed, and bytes are written without it
}

// do executes a step, and reports whether the connection has ended.
func (c *connection) do(pos int) (ended bool) {
	step := c.run.script[pos]
	switch step.do {
	case send:
		return c.send(step.event) != nil
	case heartbeats:
		return c.awaitHeartbeats(3) != nil
	case alone:
		c.run.probe.checkNotReconnected(c.run)
		return false
	}
	if !c.run.reach(pos) {
		return false
	}
	switch step.do {
	case idOnly:
		return c.write([]byte("id: "+step.event.ID+"\n\n")) != nil
	case cutInside:
		wire, err := sse.AppendEvent(nil, step.event)
		if err == nil {
			err = c.write(wire[:len(wire)/2])
		}
		if err != nil {
			c.run.fail("step %d: %v", pos, err)
		}
		fallthrough
	case cut:
		c.run.probe.cut()
		c.abort()
	}
	return true
}

// connKey is the context key of the net.Conn of a request.
type connKey struct{}

// abort aborts the response. On HTTP/2 this resets the stream; for every second
// request, abort also closes the connection. If the client does not notice that,
// abort returns, so that the response ends properly.
func (c *connection) abort() {
	c.stream.Close()
	if c.req.ProtoMajor == 2 {
		if c.run.traits.blindHTTP2 {
			return
		}
		if conn, ok := c.req.Context().Value(connKey{}).(net.Conn); ok && c.number%2 == 0 {
			conn.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// send sends an event. If its type is receipt, send waits for the receipt.
func (c *connection) send(event sse.Event) error {
	var err error
	if c.raw {
		var wire []byte
		if wire, err = sse.AppendEvent(nil, event); err == nil {
			err = c.write(wire)
		}
	} else {
		err = c.stream.Send(event)
	}
	if err != nil {
		c.run.fail("sending %q: %v", event.ID, err)
		return err
	}
	if event.Type == receipt {
		return c.awaitReceipt(event.Data)
	}
	return nil
}

// write writes bytes without the Stream, because the Stream writes only whole events.
// It closes the Stream first.
func (c *connection) write(p []byte) error {
	c.stream.Close()
	c.raw = true
	if _, err := c.w.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(c.w).Flush()
}

// awaitReceipt waits until the client has confirmed an event with the data.
func (c *connection) awaitReceipt(data string) error {
	select {
	case got := <-c.run.receipts:
		if got != data {
			c.run.fail("got a receipt for %q, want one for %q", got, data)
		}
		return nil
	case <-c.gone:
		c.run.fail("the client disconnected without a receipt for %q", data)
		return sse.ErrPeerGone
	}
}

// awaitHeartbeats waits until n heartbeats are written.
func (c *connection) awaitHeartbeats(n int) error {
	for range n {
		select {
		case <-c.beats:
		case <-c.gone:
			c.run.fail("the client disconnected during heartbeats")
			return sse.ErrPeerGone
		}
	}
	return nil
}

// tap is a ResponseWriter that reports written heartbeats.
type tap struct {
	http.ResponseWriter
	form  string          // a heartbeat in wire format
	beats chan<- struct{} // receives a value for each heartbeat, unless it is full
}

func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.ResponseWriter.Write(p)
	if string(p) == t.form {
		select {
		case t.beats <- struct{}{}:
		default:
		}
	}
	return n, err
}

// wait waits for the report of the client.
func (r *run) wait(t *testing.T, client *process) []received {
	t.Helper()
	select {
	case got := <-r.report:
		return got
	case failure := <-r.failure:
		t.Fatalf("%s: %s\nrequests: %+v", client.name, failure, r.allRequests())
	case <-client.done:
		t.Fatalf("%s ended without a report", client.name)
	case <-newDeadline(t):
		t.Fatalf("%s sent no report; its requests: %+v", client.name, r.allRequests())
	}
	return nil
}
