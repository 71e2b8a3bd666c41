package interop

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a command that runs under a supervisor.
type process struct {
	name   string
	stdout *output
	stderr *output
	stdin  io.WriteCloser // standard input of the supervisor
	done   chan struct{}  // closed when the supervisor and its children have ended
}

// start starts a command under a supervisor, with env added to the environment. The
// command is killed at the end of the test.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, superviseVariable+"=1")
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = 10 * time.Second // a process outside the group may still have the output open
	p := &process{
		name:   filepath.Base(name),
		stdout: newOutput(),
		stderr: newOutput(),
		done:   make(chan struct{}),
	}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }() // ignore the error: the process was killed
	t.Cleanup(func() {
		_ = p.stdin.Close()
		<-p.done
		if t.Failed() {
			t.Logf("%s wrote to stderr:\n%s", p.name, tail(p.stderr.String()))
		}
	})
	return p
}

// interrupt interrupts the command, as Ctrl-C does, and waits until it has ended.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if _, err := p.stdin.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-newDeadline(t):
		t.Fatalf("%s did not end", p.name)
	}
}

// firstLine waits for the first line of standard output and returns it.
func (p *process) firstLine(t *testing.T) string {
	t.Helper()
	select {
	case <-p.stdout.hasLine:
	case <-p.done:
		t.Fatalf("%s ended without output", p.name)
	case <-newDeadline(t):
		t.Fatalf("%s wrote no line", p.name)
	}
	line, _, _ := strings.Cut(p.stdout.String(), "\n")
	return line
}

// output collects the output of a process.
type output struct {
	hasLine chan struct{} // closed when there is a complete line

	mu  sync.Mutex // guards the following
	buf bytes.Buffer
}

func newOutput() *output { return &output{hasLine: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	hadLine := bytes.IndexByte(o.buf.Bytes(), '\n') >= 0
	o.buf.Write(p)
	if !hadLine && bytes.IndexByte(p, '\n') >= 0 {
		close(o.hasLine)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// scratch returns a new directory for a process. Call scratch before start, so that
// the directory is removed after the process has ended. A child of the process may
// still create files then. T.TempDir would fail the test in this case, but scratch
// tries the removal again.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := eventually(func() error { return os.RemoveAll(dir) })
		if err != nil {
			t.Logf("could not remove a directory: %v", err)
		}
	})
	return dir
}

// eventually calls f every 5 ms until f returns nil. After the deadline, it returns
// the last error of f.
func eventually(f func() error) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-timeout.C:
			return err
		}
	}
}

// tail returns the end of s, at most 4,000 bytes, so that a log stays readable.
func tail(s string) string {
	const limit = 4000
	if len(s) <= limit {
		return s
	}
	return "…" + s[len(s)-limit:]
}

// newDeadline returns a channel that receives a value after the deadline.
func newDeadline(t *testing.T) <-chan time.Time {
	timer := time.NewTimer(deadline)
	t.Cleanup(func() { timer.Stop() })
	return timer.C
}
