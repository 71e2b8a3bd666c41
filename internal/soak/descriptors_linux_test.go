package soak_test

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
	"github.com/sse-go/sse/internal/brokertest"
)

// If the environment variable descriptorLimit is set, TestDescriptorsExhausted runs
// only the server. The value is the server's limit of descriptors. If descriptorPark
// is not empty, the broker of the server parks streams.
const (
	descriptorLimit = "SSE_TEST_DESCRIPTORS"
	descriptorPark  = "SSE_TEST_DESCRIPTORS_PARK"
)

// When the server runs out of descriptors, it logs the error. When descriptors are
// available again, it accepts connections again.
func TestDescriptorsExhausted(t *testing.T) {
	if limit := os.Getenv(descriptorLimit); limit != "" {
		serveWithDescriptors(limit, os.Getenv(descriptorPark) != "")
	}
	brokertest.OnSockets(t, testDescriptors)
}

// serveWithDescriptors runs the server and does not return. For each line on
// standard input it prints the numbers of open descriptors and of subscribers.
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
	dir, err := os.Open("/proc/self/fd") // open it now: later there may be no free descriptor
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	// MaxSubscribers equals the limit of descriptors. If the broker still counted
	// streams that have ended, it would refuse the last subscribers.
	broker := &sse.Broker{Park: park, MaxSubscribers: int(n)}
	broker.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
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

// limitedServer is the server process and its log.
type limitedServer struct {
	t     *testing.T
	addr  string
	in    io.Writer
	out   *bufio.Scanner
	lines chan string // lines of the server's log
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
			default: // drop lines while the buffer is full
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-done
		_ = cmd.Wait()
	})
	if !s.out.Scan() {
		t.Fatal("the server did not start")
	}
	s.addr = s.out.Text()
	return s
}

// count returns the numbers of open descriptors and of subscribers.
func (s *limitedServer) count() (descriptors, subscribers int) {
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

// awaitLog waits until the server logs a line that contains text.
func (s *limitedServer) awaitLog(text string) {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case line := <-s.lines:
			if strings.Contains(line, text) {
				s.t.Logf("the server logged: %s", line)
				return
			}
		case <-timeout:
			s.t.Fatalf("the server did not log %q", text)
		}
	}
}

// subscribe connects and requests a stream. It does not wait for the response.
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
	s.checkDelivery()
	before, _ := s.count()
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
		s.awaitLog("sse: a stream was closed because it could not be parked")
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	s.checkDelivery()
	// The server notices one after the other that the connections are closed.
	late := time.Now().Add(time.Minute)
	for descriptors, subscribers := s.count(); descriptors > before || subscribers != 0; {
		if time.Now().After(late) {
			t.Fatalf("%d descriptors and %d subscribers are left, want %d and none",
				descriptors, subscribers, before)
		}
		descriptors, subscribers = s.count()
	}
	s.checkDelivery()
}

// checkDelivery checks that a new subscriber receives an event.
func (s *limitedServer) checkDelivery() {
	s.t.Helper()
	conn, r, err := s.subscribe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	s.readTo(r, "event: sse.cursor")
	resp, err := http.Get("http://" + s.addr + "/publish")
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	s.readTo(r, "data: hello")
}

// readTo reads lines up to and including the line want.
func (s *limitedServer) readTo(r *bufio.Reader, want string) {
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
