package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
)

// daemon is a server that is not ours, so that it says nothing.
type daemon struct {
	name string
	cmd  *exec.Cmd
	pid  int
	gone chan struct{} // closed when it has ended, and err says why
	err  error
}

func startDaemon(ctx context.Context, name, path string, args ...string) (*daemon, error) {
	d := &daemon{name: name, cmd: exec.CommandContext(ctx, path, args...), gone: make(chan struct{})}
	var output drive.Tail
	d.cmd.Stdout, d.cmd.Stderr = &output, &output
	// Not SIGKILL: who has children, as nginx has, must end them.
	d.cmd.SysProcAttr = drive.DieWithParent(drive.Terminated)
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(drive.Terminated) }
	d.cmd.WaitDelay = 3 * time.Second
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d.pid = d.cmd.Process.Pid
	go func() { // ends with the process, which stop waits for
		d.err = fmt.Errorf("%s has ended: %v: %s", name, d.cmd.Wait(), &output)
		close(d.gone)
	}()
	return d, nil
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(drive.Terminated)
	select {
	case <-d.gone:
	case <-time.After(3 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.gone
	}
}

// awaitListening waits until the server accepts connections.
func (d *daemon) awaitListening(addr string) error {
	for deadline := time.Now().Add(drive.Patience); time.Now().Before(deadline); {
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

// onlyChild waits for the one process that the daemon starts.
func (d *daemon) onlyChild() (int, error) {
	for deadline := time.Now().Add(drive.Patience); ; time.Sleep(20 * time.Millisecond) {
		children, err := drive.ChildrenOf(d.pid)
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

// freeAddr is an address of 127.0.0.1 whose port is free now.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
