package drive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"
)

// Daemon is a server process that reads no commands: the hub, or a server of another
// project.
type Daemon struct {
	name string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended and err is set
	err  error
}

// StartDaemon starts the program at path.
func StartDaemon(ctx context.Context, name, path string, args ...string) (*Daemon, error) {
	d := &Daemon{name: name, cmd: exec.CommandContext(ctx, path, args...), gone: make(chan struct{})}
	var output Tail
	d.cmd.Stdout, d.cmd.Stderr = &output, &output
	// Send SIGTERM and not SIGKILL, so that a daemon such as nginx ends its own
	// children.
	d.cmd.SysProcAttr = DieWithParent(Terminated)
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(Terminated) }
	d.cmd.WaitDelay = 3 * time.Second
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process, for which Stop waits
		d.err = fmt.Errorf("%s ended: %v: %s", name, d.cmd.Wait(), &output)
		close(d.gone)
	}()
	return d, nil
}

// PID returns the id of the daemon's process.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Stop ends the daemon. The daemon ends its children. If it has not ended after three
// seconds, Stop kills it.
func (d *Daemon) Stop() {
	_ = d.cmd.Process.Signal(Terminated)
	select {
	case <-d.gone:
	case <-time.After(3 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.gone
	}
}

// AwaitListening waits until the daemon accepts connections at addr. It returns an
// error if the daemon ends, or after Timeout.
func (d *Daemon) AwaitListening(addr string) error {
	for deadline := time.Now().Add(Timeout); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-d.gone:
			return d.err
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New(d.name + " does not listen on " + addr)
}

// OnlyChild waits until the daemon has exactly one child process, and returns
// the id of that process.
func (d *Daemon) OnlyChild() (int, error) {
	for deadline := time.Now().Add(Timeout); ; time.Sleep(20 * time.Millisecond) {
		children, err := ChildrenOf(d.PID())
		if err != nil {
			return 0, err
		}
		if len(children) == 1 {
			return children[0], nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s must have one child process, but has %v", d.name, children)
		}
	}
}

// FreeAddr returns an address of 127.0.0.1 whose port is free at the moment.
func FreeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
