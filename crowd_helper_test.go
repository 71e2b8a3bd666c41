package sse_test

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

// crowdSpec tells TestCrowd, run again, to be many clients: descriptors are
// limited, and what clients take must not be counted as the server's.
const crowdSpec = "SSE_TEST_CROWD"

// crowd is many clients in another process. Each reads events whose data is a
// number, from 0 on, and perhaps more after a space.
type crowd struct {
	Addr    string // of the server
	Query   string
	LastID  string // for the header, or empty
	Readers int    // how many read …
	Events  int    // … so many events
	Step    int    // tell each time when all have read so many more
	Stalled int    // how many read nothing after the header
	Netns   string // the network namespace that they are in, or empty
}

// crowdProcess is the other process, seen from the test.
type crowdProcess struct {
	tb    testing.TB
	in    io.WriteCloser
	lines *bufio.Scanner
}

// start connects the clients. They send no request yet.
func (c *crowd) start(tb testing.TB) *crowdProcess {
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
	p := &crowdProcess{tb: tb, lines: bufio.NewScanner(out)}
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
	p.await("connected")
	return p
}

// ask makes all clients send their request at once, and waits until all have been
// answered.
func (p *crowdProcess) ask() {
	p.tb.Helper()
	fmt.Fprintln(p.in, "go")
	p.await("answered")
}

// await waits for a line.
func (p *crowdProcess) await(want string) {
	p.tb.Helper()
	for p.lines.Scan() {
		switch line := p.lines.Text(); {
		case line == want:
			return
		case strings.HasPrefix(line, "error"):
			p.tb.Fatalf("a client: %s", line)
		}
	}
	p.tb.Fatalf("the clients ended before they were %q", want)
}

// awaitAll waits until every reader has read so many events, a multiple of Step.
func (p *crowdProcess) awaitAll(events int) {
	p.tb.Helper()
	p.await("all have " + strconv.Itoa(events))
}

// TestCrowd is the other process.
func TestCrowd(t *testing.T) {
	spec := os.Getenv(crowdSpec)
	if spec == "" {
		t.Skip("it is run by other tests")
	}
	var c crowd
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		t.Fatal(err)
	}
	c.run()
	os.Exit(0)
}

func (c *crowd) run() {
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
	all := make([]atomic.Int64, c.Events/max(c.Step, 1)+1)
	for i, conn := range conns {
		go func() {
			if err := c.talk(conn, i < c.Readers, answered.Done, all); err != nil {
				fmt.Printf("error: client %d: %v\n", i, err)
			}
		}()
	}
	answered.Wait()
	fmt.Println("answered")
	in.Scan() // false when the test is over
	runtime.KeepAlive(conns)
}

// talk is one client. It calls answered when the response has begun.
func (c *crowd) talk(conn net.Conn, reads bool, answered func(), all []atomic.Int64) error {
	request := "GET /" + c.Query + " HTTP/1.1\r\nHost: x\r\n"
	if c.LastID != "" {
		request += "Last-Event-ID: " + c.LastID + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
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
		n++
		if n%c.Step == 0 && all[n/c.Step].Add(1) == int64(c.Readers) {
			fmt.Println("all have", n)
		}
	}
}
