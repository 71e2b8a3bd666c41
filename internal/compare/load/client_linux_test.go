package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sse-go/sse/internal/compare/control"
)

// If SSE_TEST_LOAD is set, the test binary runs the client.
func TestMain(m *testing.M) {
	if os.Getenv("SSE_TEST_LOAD") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a client in its own process.
type process struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SSE_TEST_LOAD=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return &process{t, in, bufio.NewScanner(out)}
}

func (p *process) send(c control.LoadCommand) {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(c); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) want(is string) (r control.LoadReply) {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the client ended, want %q", is)
	}
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil || r.Is != is {
		p.t.Fatalf("got %s, error %v, want %q", p.out.Bytes(), err, is)
	}
	return r
}

// server starts a server. After goOn is closed, it sends each subscriber the events
// of its topic: the numbers of their waves are in events, by topic. If end is true,
// the server then ends the streams. Otherwise the streams stay open.
func server(t *testing.T, events map[string][]int64, end bool) (addr string, goOn chan struct{}) {
	t.Helper()
	goOn, done := make(chan struct{}), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, ": hello\n\n")
		flusher := http.NewResponseController(w)
		_ = flusher.Flush()
		<-goOn
		topic := r.URL.Query().Get("topic")
		number := 0
		_, _ = fmt.Sscanf(topic, "t/%d", &number)
		for _, wave := range events[topic] {
			e := control.Event{Topic: number, Wave: wave, Sent: control.Now()}
			fmt.Fprintf(w, "data: %s\n\n", control.AppendEvent(nil, e, 100))
			_ = flusher.Flush()
		}
		if !end {
			<-done
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(handler)}
	go func() { _ = s.Serve(listener) }() // ends with Close
	t.Cleanup(func() {
		close(done)
		s.Close()
	})
	return listener.Addr().String(), goOn
}

func TestClient(t *testing.T) {
	for _, test := range []struct {
		name   string
		events map[string][]int64
		end    bool
		want   string // a part of the first error
	}{
		{"all", map[string][]int64{"t/0": {1, 2, 3}, "t/1": {1, 2, 3}}, false, ""},
		{"lost", map[string][]int64{"t/0": {1, 3}, "t/1": {1, 2, 3}}, false, "lost: event 3 of topic 0"},
		{"twice", map[string][]int64{"t/0": {1, 2, 2, 3}, "t/1": {1, 2, 3}}, false, "repeated or out of"},
		{"ended", map[string][]int64{"t/0": {1, 2, 3}, "t/1": {1, 2, 3}}, true, "the server ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, goOn := server(t, test.events, test.end)
			p := start(t)
			p.send(control.LoadCommand{
				Do: control.LoadConnect, Addr: addr, Path: "/?topic={topic}", Count: 20, Topics: 2,
				Body: true, Concurrency: 3, TimeoutMS: 10_000,
			})
			if r := p.want(control.LoadConnected); r.Subscribers != 20 {
				t.Fatalf("got %d subscribers, want 20", r.Subscribers)
			}
			p.send(control.LoadCommand{Do: control.LoadProgress, Every: 3})
			close(goOn)
			report := func() control.LoadReply {
				p.send(control.LoadCommand{Do: control.LoadReport})
				return p.want(control.LoadReported)
			}
			if test.want == "" {
				if r := p.want(control.LoadReached); r.Wave != 3 {
					t.Fatalf("got wave %d, want 3", r.Wave)
				}
				r := report()
				if r.Events != 60 || r.Errors != 0 || r.Latency.Total() != 60 || r.Wave != 3 {
					t.Fatalf("got %+v, want 60 events without errors", r)
				}
				return
			}
			for {
				p.send(control.LoadCommand{Do: control.LoadReport})
				if !p.out.Scan() {
					t.Fatal("the client ended")
				}
				var r control.LoadReply
				if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
					t.Fatal(err)
				}
				if r.Errors == 0 {
					continue // no error yet, or a line with LoadReached
				}
				if !strings.Contains(r.Text, test.want) {
					t.Fatalf("got error %q, want %q", r.Text, test.want)
				}
				return
			}
		})
	}
}

// After LoadExpectEnd, the proper end of a stream is no error, but a broken
// connection is.
func TestClientExpectEnd(t *testing.T) {
	for _, test := range []struct {
		name   string
		cut    bool
		errors int64
	}{
		{"ended", false, 0},
		{"cut", true, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			goOn := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, ": hello\n\n")
				_ = http.NewResponseController(w).Flush()
				<-goOn
				if test.cut && r.URL.Query().Get("topic") == "t/1" {
					panic(http.ErrAbortHandler)
				}
			}))
			defer s.Close()
			p := start(t)
			p.send(control.LoadCommand{
				Do: control.LoadConnect, Addr: s.Listener.Addr().String(), Path: "/?topic={topic}",
				Count: 20, Topics: 2, Concurrency: 3, TimeoutMS: 10_000,
			})
			p.want(control.LoadConnected)
			p.send(control.LoadCommand{Do: control.LoadExpectEnd})
			p.want(control.LoadDone)
			close(goOn)
			if r := p.want(control.LoadEnded); r.Errors != test.errors {
				t.Errorf("got %d errors, want %d: %s", r.Errors, test.errors, r.Text)
			}
			p.send(control.LoadCommand{Do: control.LoadExpectEnd})
			p.want(control.LoadDone)
			p.want(control.LoadEnded)
		})
	}
}

func TestClientRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	for _, test := range []struct{ addr, want string }{
		{addr, "connection refused"},
		{"192.0.2.1:80", "must be 127.x.y.z:port"},
	} {
		p := start(t)
		p.send(control.LoadCommand{
			Do: control.LoadConnect, Addr: test.addr, Path: "/", Count: 1, TimeoutMS: 10_000,
		})
		if r := p.want(control.LoadFailed); !strings.Contains(r.Text, test.want) {
			t.Errorf("got error %q, want %q", r.Text, test.want)
		}
	}
}

// BenchmarkFeed measures the cost of an event in the client, which must be much less
// than its cost in any server. One operation is 256 events from one read.
func BenchmarkFeed(b *testing.B) {
	c := &client{now: control.Now()}
	c.deliver = c.count
	c.waves.each = 1
	s := &subscriber{phase: inSize}
	var stream []byte
	for wave := range int64(256) {
		e := control.Event{Wave: wave + 1, Sent: c.now - 12_345}
		block := "data: " + string(control.AppendEvent(nil, e, 100)) + "\n\n"
		stream = fmt.Appendf(stream, "%x\r\n%s\r\n", len(block), block)
	}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		s.checker, c.waves.reached = checker{}, 0
		err := s.feed(stream, c.deliver)
		if c.waves.advance(); err != nil || c.errors > 0 || c.waves.reached != 256 {
			b.Fatal(err, c.firstError, c.waves.reached)
		}
	}
}
