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

// run is one client's reading of a script from our server.
type run struct {
	script   script
	traits   traits
	receipts chan string     // the data of what the client confirms
	report   chan []received // what it has received, in the end
	failure  chan string     // what prevents that

	probe probe

	mu       sync.Mutex // guards the following
	met      map[int]bool
	requests []request
}

// request is what matters of a client's request.
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
		receipts: make(chan string, 16), // more than ever wait
		report:   make(chan []received, 1),
		failure:  make(chan string, 1),
		probe:    newProbe(),
		met:      map[int]bool{},
	}
}

// fail ends the run. Only the first failure counts.
func (r *run) fail(format string, args ...any) {
	select {
	case r.failure <- fmt.Sprintf(format, args...):
	default:
	}
}

// meet reports whether a step is met for the first time.
func (r *run) meet(pos int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.met[pos] = true }()
	return !r.met[pos]
}

// note keeps what is to be said of a request, and returns its number.
func (r *run) note(req *http.Request) int {
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

func (r *run) noted() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

// forms are the heartbeats of the first connections, in turn.
var forms = []sse.HeartbeatForm{":\n", ":\n\n", beat}

// serve is the handler of the stream.
func (r *run) serve(w http.ResponseWriter, req *http.Request) {
	number := r.note(req)
	pos := r.script.after(req.Header.Get("Last-Event-ID"))
	if pos < 0 {
		r.fail("request %d: nothing has Last-Event-ID %q",
			number, req.Header.Get("Last-Event-ID"))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	c := connection{run: r, number: number, w: w, req: req, gone: req.Context().Done()}
	form := forms[(number-1)%len(forms)]
	c.beats = make(chan struct{}, 3)
	stream, err := sse.Accept(&tap{w, form, c.beats}, req, &sse.AcceptOptions{
		Heartbeat:     10 * time.Millisecond,
		HeartbeatForm: form,
		Retry:         retry,
	})
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
	<-c.gone // it has heard that it is done
}

// connection is one response to a client.
type connection struct {
	run    *run
	number int
	w      http.ResponseWriter
	req    *http.Request
	gone   <-chan struct{} // closed when the client has closed the connection
	beats  chan struct{}   // a heartbeat was written
	stream *sse.Stream
	raw    bool // the stream is closed, and bytes are written without it
}

// do does what a step says, and reports whether it was the end.
func (c *connection) do(pos int) (ended bool) {
	step := c.run.script[pos]
	switch step.do {
	case send:
		return c.send(step.event) != nil
	case heartbeats:
		return c.await(3) != nil
	case alone:
		c.run.probe.mustBeAway(c.run)
		return false
	}
	if !c.run.meet(pos) {
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

// connKey is the context key of the server's connections.
type connKey struct{}

// abort breaks the response off. On HTTP/2 it is by turns the stream that is
// reset, and the connection that is closed.
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

// send sends an event, and waits for the receipt if its type says so.
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
		return c.confirmed(event.Data)
	}
	return nil
}

// write writes bytes that a Stream does not. From then on there is none.
func (c *connection) write(p []byte) error {
	c.stream.Close()
	c.raw = true
	if _, err := c.w.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(c.w).Flush()
}

// confirmed waits for the receipt of an event.
func (c *connection) confirmed(data string) error {
	select {
	case got := <-c.run.receipts:
		if got != data {
			c.run.fail("the receipt is for %q, not for %q", got, data)
		}
		return nil
	case <-c.gone:
		c.run.fail("the client has gone without a receipt for %q", data)
		return sse.ErrPeerGone
	}
}

// await waits until n heartbeats were written.
func (c *connection) await(n int) error {
	for range n {
		select {
		case <-c.beats:
		case <-c.gone:
			c.run.fail("the client has gone while there were heartbeats")
			return sse.ErrPeerGone
		}
	}
	return nil
}

// tap tells of the heartbeats that are written to a client.
type tap struct {
	http.ResponseWriter
	form  sse.HeartbeatForm
	beats chan<- struct{} // those that nobody waits for are dropped
}

func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.ResponseWriter.Write(p)
	if string(p) == string(t.form) || string(p) == "event: "+string(t.form)+"\ndata: \n\n" {
		select {
		case t.beats <- struct{}{}:
		default:
		}
	}
	return n, err
}

// wait returns the client's report.
func (r *run) wait(t *testing.T, client *process) []received {
	t.Helper()
	select {
	case got := <-r.report:
		return got
	case failure := <-r.failure:
		t.Fatalf("%s: %s\nrequests: %+v", client.name, failure, r.noted())
	case <-client.done:
		t.Fatalf("%s has ended without a report", client.name)
	case <-newDeadline(t):
		t.Fatalf("%s does not report; its requests: %+v", client.name, r.noted())
	}
	return nil
}
