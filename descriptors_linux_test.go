package sse_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// descriptorLimit tells TestDescriptorsExhausted, run again, to be a server that
// may have so many descriptors; descriptorPark, that its broker parks.
const (
	descriptorLimit = "SSE_TEST_DESCRIPTORS"
	descriptorPark  = "SSE_TEST_DESCRIPTORS_PARK"
)

// Issue 5, acceptance 6: when there are no more descriptors, the log says so, and
// once there are again, everything is as before.
func TestDescriptorsExhausted(t *testing.T) {
	if limit := os.Getenv(descriptorLimit); limit != "" {
		serveWithDescriptors(limit, os.Getenv(descriptorPark) != "")
	}
	onSockets(t, testDescriptors)
}

// serveWithDescriptors does not return. It answers each line that it reads with
// how many descriptors are open.
func serveWithDescriptors(limit string, park bool) {
	n, err := strconv.ParseUint(limit, 10, 64)
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n})
	}
	var listener net.Listener
	if err == nil {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	dir, err := os.Open("/proc/self/fd") // later it may be too late
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	// There is no room for those that would be counted still.
	broker := &sse.Broker{Park: park, MaxSubscribers: int(n)}
	broker.Stream.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	mux := http.NewServeMux()
	mux.Handle("GET /events", broker)
	mux.HandleFunc("GET /publish", func(w http.ResponseWriter, r *http.Request) {
		p, err := broker.Publish(r.Context(), sse.Event{Data: "hello"})
		fmt.Fprint(w, p, err)
	})
	server := &http.Server{Handler: mux, ErrorLog: log.New(os.Stderr, "", 0)}
	go server.Serve(listener)
	fmt.Println(listener.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		_, _ = dir.Seek(0, io.SeekStart)
		names, err := dir.Readdirnames(-1)
		fmt.Println(len(names), len(broker.Subscribers()), err)
	}
	os.Exit(0)
}

// limitedServer is that process, and what it has logged.
type limitedServer struct {
	t     *testing.T
	addr  string
	in    io.Writer
	out   *bufio.Scanner
	lines chan string // of its log
}

func newLimitedServer(t *testing.T, limit int, park bool) *limitedServer {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDescriptorsExhausted$")
	cmd.Env = append(os.Environ(), fmt.Sprint(descriptorLimit, "=", limit))
	if park {
		cmd.Env = append(cmd.Env, descriptorPark+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &limitedServer{t: t, in: in, out: bufio.NewScanner(out), lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for scanner := bufio.NewScanner(errs); scanner.Scan(); {
			select {
			case s.lines <- scanner.Text():
			default: // enough of them
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-done
		_ = cmd.Wait()
	})
	if !s.out.Scan() {
		t.Fatal("the server does not start")
	}
	s.addr = s.out.Text()
	return s
}

// open is how many descriptors and how many subscribers there are.
func (s *limitedServer) open() (descriptors, subscribers int) {
	s.t.Helper()
	fmt.Fprintln(s.in)
	if !s.out.Scan() {
		s.t.Fatal("the server has ended")
	}
	if _, err := fmt.Sscan(s.out.Text(), &descriptors, &subscribers); err != nil {
		s.t.Fatal(err)
	}
	return descriptors, subscribers
}

// awaitLog waits until the server has logged a text.
func (s *limitedServer) awaitLog(text string) {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case line := <-s.lines:
			if strings.Contains(line, text) {
				s.t.Logf("it says: %s", line)
				return
			}
		case <-timeout:
			s.t.Fatalf("the server does not say %q", text)
		}
	}
}

// subscribe returns an open stream, or an error if the server gives none.
func (s *limitedServer) subscribe() (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprint(conn, "GET /events HTTP/1.0\r\n\r\n")
	return conn, bufio.NewReader(conn), nil
}

func testDescriptors(t *testing.T, park bool) {
	const limit = 64
	s := newLimitedServer(t, limit, park)
	s.works()
	before, _ := s.open()
	var conns []net.Conn
	for range 2 * limit {
		conn, _, err := s.subscribe()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	s.awaitLog("accept4: too many open files")
	if park {
		s.awaitLog("sse: a stream was dropped, as it could not be parked")
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	s.works()
	// What was accepted before is closed by and by.
	late := time.Now().Add(time.Minute)
	for descriptors, subscribers := s.open(); descriptors > before || subscribers != 0; {
		if time.Now().After(late) {
			t.Fatalf("%d descriptors and %d subscribers are left, want %d and none",
				descriptors, subscribers, before)
		}
		descriptors, subscribers = s.open()
	}
	s.works()
}

// works checks that a subscriber gets an event.
func (s *limitedServer) works() {
	s.t.Helper()
	conn, r, err := s.subscribe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	s.expect(r, "event: sse.cursor")
	resp, err := http.Get("http://" + s.addr + "/publish")
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	s.expect(r, "data: hello")
}

// expect reads up to a line.
func (s *limitedServer) expect(r *bufio.Reader, want string) {
	s.t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("before the line %q: %v", want, err)
		}
		if strings.TrimSpace(line) == want {
			return
		}
	}
}
