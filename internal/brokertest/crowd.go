package brokertest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sse-go/sse"
)

// crowdSpec is the environment variable that makes RunCrowd run the clients. Its
// value is a Crowd in JSON.
const crowdSpec = "SSE_TEST_CROWD"

// Crowd describes clients that run in another process, because the number of
// descriptors of a process is limited, and because the clients' memory must not
// count as the server's. Each client expects events whose data is Numbered(0, …),
// Numbered(1, …), and so on (see [Numbered]).
type Crowd struct {
	Addr    string // host and port of the server
	Query   string // for example "?topic=a", or empty
	LastID  string // for the Last-Event-ID header, or empty
	Readers int    // number of clients that read their stream
	Events  int    // largest number of events that a reader receives
	Step    int    // the process reports when all readers have read Step more events; if 0, 1
	Stalled int    // number of clients that read nothing after the response's header
	Netns   string // network namespace of the clients, or empty
}

// CrowdProcess is the process in which the clients of a Crowd run.
type CrowdProcess struct {
	tb    testing.TB
	in    io.WriteCloser
	lines *bufio.Scanner
}

// Start starts the process and waits until its clients have connected. The clients
// send no request until Request is called. The process runs the test TestCrowd of
// the running test binary; TestCrowd must call RunCrowd. The process exits when
// the test of tb ends.
func (c *Crowd) Start(tb testing.TB) *CrowdProcess {
	tb.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	args := []string{os.Args[0], "-test.run=^TestCrowd$"}
	if c.Netns != "" {
		args = append([]string{"ip", "netns", "exec", c.Netns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), crowdSpec+"="+string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p := &CrowdProcess{tb: tb, lines: bufio.NewScanner(out)}
	if p.in, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = p.in.Close()
		_ = cmd.Wait()
	})
	p.awaitLine("connected")
	return p
}

// Request makes all clients send their request at once, and waits until each
// client has received the header of its response.
func (p *CrowdProcess) Request() {
	p.tb.Helper()
	_, _ = fmt.Fprintln(p.in, "go")
	p.awaitLine("answered")
}

// Await waits until every reader has read the given number of events. The number
// must be a multiple of Step.
func (p *CrowdProcess) Await(events int) {
	p.tb.Helper()
	p.awaitLine("all have " + strconv.Itoa(events))
}

func (p *CrowdProcess) awaitLine(want string) {
	p.tb.Helper()
	for p.lines.Scan() {
		switch line := p.lines.Text(); {
		case line == want:
			return
		case strings.HasPrefix(line, "error"):
			p.tb.Fatalf("a client failed: %s", line)
		}
	}
	p.tb.Fatalf("the process of the clients ended before it printed %q", want)
}

// RunCrowd is the body of TestCrowd. In a process that [Crowd.Start] has started,
// RunCrowd runs the clients and exits. In any other process it skips the test.
func RunCrowd(t *testing.T) {
	spec := os.Getenv(crowdSpec)
	if spec == "" {
		t.Skip("other tests run it in a process of its own")
	}
	var c Crowd
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		t.Fatal(err)
	}
	c.run()
	os.Exit(0)
}

func (c *Crowd) run() {
	conns := make([]net.Conn, c.Readers+c.Stalled)
	for i := range conns {
		conn, err := net.Dial("tcp", c.Addr)
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		if i >= c.Readers {
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		conns[i] = conn
	}
	fmt.Println("connected")
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	var answered sync.WaitGroup
	answered.Add(len(conns))
	progress := c.newProgress()
	for i, conn := range conns {
		go func() {
			if err := c.talk(conn, i < c.Readers, answered.Done, progress); err != nil {
				fmt.Printf("error: client %d: %v\n", i, err)
			}
		}()
	}
	answered.Wait()
	fmt.Println("answered")
	in.Scan() // blocks until the test ends and closes the pipe
	runtime.KeepAlive(conns)
}

// progress counts the readers that have read each multiple of step events.
type progress struct {
	step    int
	readers int64          // number of readers in all
	counts  []atomic.Int64 // counts[i] readers have read i*step events; counts[0] is unused
}

func (c *Crowd) newProgress() *progress {
	step := max(c.Step, 1)
	return &progress{step, int64(c.Readers), make([]atomic.Int64, c.Events/step+1)}
}

// add counts a reader that has read n events, if n is a multiple of step. n must be
// at most Events. It reports whether all readers have now read n events.
func (p *progress) add(n int) bool {
	return n%p.step == 0 && p.counts[n/p.step].Add(1) == p.readers
}

// talk runs one client on conn. It calls answered when it has read the header of
// the response. If reads is set, talk then reads events until the stream ends. It
// returns an error if an event is wrong or if the stream has more than c.Events.
func (c *Crowd) talk(conn net.Conn, reads bool, answered func(), progress *progress) error {
	request := "GET /" + c.Query + " HTTP/1.1\r\nHost: x\r\n"
	if c.LastID != "" {
		request += "Last-Event-ID: " + c.LastID + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
	//nolint:bodyclose // the connection must stay open until the process exits
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	answered()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	if !reads {
		return nil
	}
	decoder := sse.NewDecoder(resp.Body, nil)
	for n := 0; ; {
		event, err := decoder.Next()
		if err != nil {
			return fmt.Errorf("after %d events: %w", n, err)
		}
		if string(event.Type) == "sse.cursor" {
			continue
		}
		number, _, _ := strings.Cut(string(event.Data), " ")
		if number != strconv.Itoa(n) {
			return fmt.Errorf("event %d is %q %q", n, event.Type, number)
		}
		if n++; n > c.Events {
			return fmt.Errorf("the stream has more than %d events", c.Events)
		}
		if progress.add(n) {
			fmt.Println("all have", n)
		}
	}
}
