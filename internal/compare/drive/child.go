package drive

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Child is a process that reads commands, one in each line, and replies with lines of
// JSON. R is the type of its replies.
type Child[R any] struct {
	name    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan R
	gone    chan struct{} // closed when the process has ended and err is set
	err     error
	stderr  Tail
}

// Timeout limits the time until a child replies or ends.
const Timeout = 20 * time.Second

// Spawn starts a child. If aside is not nil, it is called with each line that the
// child prints, in the goroutine that reads the lines. If it returns true, the line
// is not a reply.
func Spawn[R any](ctx context.Context, name string, aside func(line []byte) bool,
	path string, args ...string) (*Child[R], error) {
	c := &Child[R]{name: name, answers: make(chan R, 4), gone: make(chan struct{})}
	c.cmd = exec.CommandContext(ctx, path, args...)
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = DieWithParent(Killed)
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in = in
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go c.read(out, aside) // ends with the process, for which Stop waits
	return c, nil
}

func (c *Child[R]) read(out io.Reader, aside func(line []byte) bool) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if aside != nil && aside(lines.Bytes()) {
			continue
		}
		var answer R
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			fmt.Fprintf(&c.stderr, "%s: %v", lines.Bytes(), err)
			break
		}
		select {
		case c.answers <- answer:
		default:
			fmt.Fprintf(&c.stderr, "unexpected reply %s", lines.Bytes())
		}
	}
	// The process has closed its output or sent an invalid line, so it cannot be used
	// any more.
	_ = c.cmd.Process.Kill()
	if err := c.cmd.Wait(); err != nil {
		c.err = fmt.Errorf("%s: %w: %s", c.name, err, &c.stderr)
	} else {
		c.err = fmt.Errorf("%s ended: %s", c.name, &c.stderr)
	}
	close(c.gone)
}

func (c *Child[R]) PID() int { return c.cmd.Process.Pid }

// Send writes a command line.
func (c *Child[R]) Send(format string, args ...any) error {
	_, err := fmt.Fprintf(c.in, format+"\n", args...)
	if err != nil {
		return errors.Join(c.Failure(), err)
	}
	return nil
}

// Reply waits for the next reply. It returns an error if the child ends or does not
// reply within limit.
func (c *Child[R]) Reply(limit time.Duration) (answer R, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case answer = <-c.answers:
		return answer, nil
	case <-c.gone:
		// The last reply of the child may explain more than its exit status.
		select {
		case answer = <-c.answers:
			return answer, nil
		default:
		}
		return answer, c.err
	case <-timer.C:
		return answer, fmt.Errorf("%s did not reply within %v", c.name, limit)
	}
}

// Failure returns the error of a child that has ended, or nil if it is running.
func (c *Child[R]) Failure() error {
	select {
	case <-c.gone:
		return c.err
	default:
		return nil
	}
}

// Stop ends the child by closing its input, and kills it after a second.
func (c *Child[R]) Stop() {
	c.in.Close()
	select {
	case <-c.gone:
	case <-time.After(time.Second):
		_ = c.cmd.Process.Kill()
		<-c.gone
	}
}

// Tail is a writer that stores the last 2,000 bytes that were written to it.
type Tail struct {
	mu   sync.Mutex // guards the following
	text []byte
}

func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-2000):]
	return len(p), nil
}

func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
