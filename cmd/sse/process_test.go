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

// soak makes some tests as large as the issues ask for.
var soak = os.Getenv("SSE_TEST_SOAK") != ""

// child is sse, but ends with the test that has started it.
func child() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(exitFailed)
	}()
	main()
}

// hubProcess is "sse serve" in a process of its own.
type hubProcess struct {
	tb       testing.TB
	cmd      *exec.Cmd
	spoken   chan struct{} // closed when it has said something
	ready    chan struct{} // closed when it has said that it serves
	stopping chan struct{} // closed when it has said that it stops
	done     chan struct{} // closed when it has ended

	mu   sync.Mutex // guards the following
	said strings.Builder
}

// startHub starts a hub, and does not wait until it serves.
func startHub(tb testing.TB, flags ...string) *hubProcess {
	tb.Helper()
	h := &hubProcess{
		tb: tb, cmd: exec.Command("sse-child", append([]string{"serve"}, flags...)...),
		spoken: make(chan struct{}), ready: make(chan struct{}),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	h.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	said, err := h.cmd.StderrPipe()
	if err == nil {
		_, err = h.cmd.StdinPipe() // which ends with this process
	}
	if err == nil {
		err = h.cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(h.done)
		h.listen(said)
		_ = h.cmd.Wait() // its exit code is for those who wait
	}()
	tb.Cleanup(h.kill)
	return h
}

func (h *hubProcess) listen(said io.Reader) {
	spoken := sync.OnceFunc(func() { close(h.spoken) })
	for lines := bufio.NewScanner(said); lines.Scan(); {
		h.mu.Lock()
		fmt.Fprintln(&h.said, lines.Text())
		h.mu.Unlock()
		spoken()
		switch { // each is said once
		case strings.HasPrefix(lines.Text(), "sse: serving "):
			close(h.ready)
		case strings.HasPrefix(lines.Text(), "sse: stopping: "):
			close(h.stopping)
		}
	}
}

// text is what it has said.
func (h *hubProcess) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.String()
}

// await waits for what is closed by listen.
func (h *hubProcess) await(what <-chan struct{}) {
	h.tb.Helper()
	select {
	case <-what:
	case <-h.done:
		h.tb.Fatalf("sse serve has ended: %v\n%s", h.cmd.ProcessState, h.text())
	}
}

// kill ends it at once, and waits.
func (h *hubProcess) kill() {
	_ = h.cmd.Process.Kill() // it may have ended
	<-h.done
}

// signal sends a signal.
func (h *hubProcess) signal(s os.Signal) {
	h.tb.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.tb.Fatal(err)
	}
}

// exit waits until it has ended, as it should.
func (h *hubProcess) exit(code int) {
	h.tb.Helper()
	<-h.done
	if got := h.cmd.ProcessState.ExitCode(); got != code {
		h.tb.Errorf("sse serve has ended with %v, want %d\n%s", h.cmd.ProcessState, code, h.text())
	}
}

// cpu is the CPU time that it has taken, once it has ended.
func (h *hubProcess) cpu() time.Duration {
	return h.cmd.ProcessState.UserTime() + h.cmd.ProcessState.SystemTime()
}

// freeAddr returns an address for hubs that follow each other. Its port is none of
// those that systems give to the ends of connections: while no hub listens, one who
// connects might be given the very port, and be connected to itself.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		four, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		six, err := net.Listen("tcp", "[::1]:"+port)
		free := err == nil || !strings.Contains(err.Error(), "in use")
		_ = four.Close()
		if six != nil {
			_ = six.Close()
		}
		if free {
			return "localhost:" + port
		}
	}
	tb.Fatal("no port is free")
	return ""
}

// site is where one hub follows the other, on one address and directory.
type site struct {
	tb    testing.TB
	addr  string
	flags []string
	hub   *hubProcess

	mu sync.Mutex    // guards the following
	up chan struct{} // closed while a hub serves
}

// newSite is a site without a hub. What is there of flags goes to every one.
func newSite(tb testing.TB, flags ...string) *site {
	s := &site{tb: tb, addr: freeAddr(tb), up: make(chan struct{})}
	s.flags = append([]string{"--addr", s.addr, "--data", filepath.Join(tb.TempDir(), "data")}, flags...)
	return s
}

// start starts a hub and waits until it serves.
func (s *site) start() {
	s.tb.Helper()
	s.hub = startHub(s.tb, s.flags...)
	s.hub.await(s.hub.ready)
	s.serves()
}

// serves lets those go on who wait for a hub.
func (s *site) serves() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.up)
}

// goes lets those wait who fail from now on.
func (s *site) goes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = make(chan struct{})
}

// await waits until a hub serves.
func (s *site) await(ctx context.Context) {
	s.mu.Lock()
	up := s.up
	s.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
	}
}

func skipWithoutSignals(t *testing.T) {
	t.Helper()
	if windows {
		t.Skip("a process cannot be interrupted by another")
	}
}

// counter counts what happens.
type counter struct {
	mu      sync.Mutex // guards the following
	n       int
	changed chan struct{} // closed, and made anew, when n grows; nil if nobody waits
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

// more waits until it has happened n times more.
func (c *counter) more(ctx context.Context, n int) error {
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
