package drive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"
)

// Daemon is a server that says nothing, as those that are not ours.
type Daemon struct {
	name string
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended, and err says why
	err  error
}

// StartDaemon starts the program at path.
func StartDaemon(ctx context.Context, name, path string, args ...string) (*Daemon, error) {
	d := &Daemon{name: name, cmd: exec.CommandContext(ctx, path, args...), gone: make(chan struct{})}
	var output Tail
	d.cmd.Stdout, d.cmd.Stderr = &output, &output
	// Not SIGKILL: who has children, as nginx has, must end them.
	d.cmd.SysProcAttr = DieWithParent(Terminated)
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(Terminated) }
	d.cmd.WaitDelay = 3 * time.Second
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process, which stop waits for
		d.err = fmt.Errorf("%s has ended: %v: %s", name, d.cmd.Wait(), &output)
		close(d.gone)
	}()
	return d, nil
}

// PID is that of the process that was started.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Stop ends the daemon, and the processes that it ends itself.
func (d *Daemon) Stop() {
	_ = d.cmd.Process.Signal(Terminated)
	select {
	case <-d.gone:
	case <-time.After(3 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.gone
	}
}

// AwaitListening waits until the server accepts connections.
func (d *Daemon) AwaitListening(addr string) error {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
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

// OnlyChild waits for the one process that the daemon starts.
func (d *Daemon) OnlyChild() (int, error) {
	for deadline := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		children, err := ChildrenOf(d.PID())
		if err != nil {
			return 0, err
		}
		if len(children) == 1 {
			return children[0], nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s has processes %v, want one", d.name, children)
		}
	}
}

// FreeAddr is an address of 127.0.0.1 whose port is free now.
func FreeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
