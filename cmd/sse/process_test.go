package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// soak reports whether SSE_TEST_SOAK is set. TestServeReplaced then uses 18,000
// subscribers.
var soak = os.Getenv("SSE_TEST_SOAK") != ""

// runChild runs the command in a child process of a test. When the test process
// ends, its end of the pipe to stdin is closed, and the child exits.
func runChild() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(exitFailed)
	}()
	main()
}

// hubProcess is a process that runs "sse serve".
type hubProcess struct {
	tb       testing.TB
	cmd      *exec.Cmd
	hasLog   chan struct{} // closed when the hub has logged its first line
	ready    chan struct{} // closed when the hub has logged that it serves
	stopping chan struct{} // closed when the hub has logged that it is stopping
	done     chan struct{} // closed when the process has ended

	mu  sync.Mutex // guards the following
	log strings.Builder
}

// startHub starts a hub. It does not wait until the hub serves.
func startHub(tb testing.TB, flags ...string) *hubProcess {
	tb.Helper()
	return startHubWith(tb, exec.Command("sse-child", append([]string{"serve"}, flags...)...))
}

// startHubWith is like startHub, but cmd is the command that runs the hub.
func startHubWith(tb testing.TB, cmd *exec.Cmd) *hubProcess {
	tb.Helper()
	h := &hubProcess{
		tb: tb, cmd: cmd,
		hasLog: make(chan struct{}), ready: make(chan struct{}),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	h.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	stderr, err := h.cmd.StderrPipe()
	if err == nil {
		_, err = h.cmd.StdinPipe() // see runChild
	}
	if err == nil {
		err = h.cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(h.done)
		h.readLog(stderr)
		_ = h.cmd.Wait() // checkExit checks the exit code
	}()
	tb.Cleanup(h.kill)
	return h
}

// readLog reads the hub's stderr until the process ends.
func (h *hubProcess) readLog(stderr io.Reader) {
	closeHasLog := sync.OnceFunc(func() { close(h.hasLog) })
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		h.mu.Lock()
		fmt.Fprintln(&h.log, lines.Text())
		h.mu.Unlock()
		closeHasLog()
		switch { // the hub logs each of these lines once
		case strings.HasPrefix(lines.Text(), "sse: serving "):
			close(h.ready)
		case strings.HasPrefix(lines.Text(), "sse: stopping: "):
			close(h.stopping)
		}
	}
}

// logText returns the lines that the hub has logged.
func (h *hubProcess) logText() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// await waits until readLog has closed event. The test fails if the process
// ends.
func (h *hubProcess) await(event <-chan struct{}) {
	h.tb.Helper()
	select {
	case <-event:
	case <-h.done:
		h.tb.Fatalf("sse serve ended: %v\n%s", h.cmd.ProcessState, h.logText())
	}
}

// kill kills the process and waits until it has ended.
func (h *hubProcess) kill() {
	_ = h.cmd.Process.Kill() // it may have ended already
	<-h.done
}

// signal sends a signal to the process.
func (h *hubProcess) signal(s os.Signal) {
	h.tb.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.tb.Fatal(err)
	}
}

// checkExit waits until the process has ended, and checks its exit code.
func (h *hubProcess) checkExit(code int) {
	h.tb.Helper()
	<-h.done
	if got := h.cmd.ProcessState.ExitCode(); got != code {
		h.tb.Errorf("sse serve ended with %v, want exit code %d\n%s",
			h.cmd.ProcessState, code, h.logText())
	}
}

// cpuTime returns the CPU time of the process, which must have ended.
func (h *hubProcess) cpuTime() time.Duration {
	return h.cmd.ProcessState.UserTime() + h.cmd.ProcessState.SystemTime()
}

// freeAddr returns an address for hubs that run one after the other. Its port is
// outside the range from which systems take the local ports of connections. With a
// port in this range, a client that connects while no hub listens could get the
// port as its local port, and so connect to itself.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		ipv4, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		ipv6, err := net.Listen("tcp", "[::1]:"+port)
		free := err == nil || !strings.Contains(err.Error(), "in use")
		_ = ipv4.Close()
		if ipv6 != nil {
			_ = ipv6.Close()
		}
		if free {
			return "localhost:" + port
		}
	}
	tb.Fatal("found no free port")
	return ""
}

// hubService runs hubs, one after the other, with the same address and the same
// data directory.
type hubService struct {
	tb    testing.TB
	addr  string
	flags []string
	hub   *hubProcess // the current hub

	mu sync.Mutex    // guards the following
	up chan struct{} // closed by markUp, replaced by markDown
}

// newHubService returns a service whose first hub is not started yet. The flags
// apply to every hub.
func newHubService(tb testing.TB, flags ...string) *hubService {
	s := &hubService{tb: tb, addr: freeAddr(tb), up: make(chan struct{})}
	s.flags = append([]string{
		"--addr", s.addr, "--data", filepath.Join(tb.TempDir(), "data"),
	}, flags...)
	return s
}

// dir returns the data directory.
func (s *hubService) dir() string { return s.flags[3] }

// start starts a hub and waits until it serves.
func (s *hubService) start() {
	s.tb.Helper()
	s.hub = startHub(s.tb, s.flags...)
	s.hub.await(s.hub.ready)
	s.markUp()
}

// markUp records that a hub serves, and so unblocks await. Each call must follow a
// call of markDown, except the first.
func (s *hubService) markUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.up)
}

// markDown records that no hub serves: await then blocks until the next markUp.
func (s *hubService) markDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = make(chan struct{})
}

// await waits until a hub serves or ctx is done.
func (s *hubService) await(ctx context.Context) {
	s.mu.Lock()
	up := s.up
	s.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
	}
}

// skipWithoutSignals skips the test on systems without signals.
func skipWithoutSignals(t *testing.T) {
	t.Helper()
	if onWindows {
		t.Skip("a process cannot interrupt another process")
	}
}

// counter counts events, for example events that a hub has acknowledged.
type counter struct {
	mu      sync.Mutex // guards the following
	n       int
	changed chan struct{} // closed and replaced when n grows; nil if no goroutine waits
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// awaitMore waits until add has been called n more times. If ctx is done first, it
// returns the error of ctx.
func (c *counter) awaitMore(ctx context.Context, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for want := c.n + n; c.n < want; {
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
