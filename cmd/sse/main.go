// Command sse publishes and receives Server-Sent Events on the command line:
//
//	sse serve                              # run a hub on localhost:3000
//	sse listen :3000/handshake             # print the events of a topic
//	sse send :3000/handshake 'hello'       # publish an event to a topic
//
// By default, sse listen reconnects after each temporary failure, until the user
// interrupts it. On standard error, it reports that it connects, that it has lost the
// stream, and that it is connected again. The command "sse COMMAND -h" prints every
// setting.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes. Scripts rely on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2   // the command line is not valid
	exitInterrupted = 130 // a second signal; shells use this code for SIGINT
)

// errInterrupted is the cause of a context that a signal, such as SIGINT, has canceled.
var errInterrupted = errors.New("interrupted")

// lookupEnv looks up an environment variable, like os.LookupEnv.
type lookupEnv func(name string) (value string, ok bool)

// process holds the environment variables and the standard streams that a
// command uses. No command reads them from package os, so that tests can run a
// command inside the test process.
type process struct {
	env    lookupEnv
	stdin  io.Reader
	stdout io.Writer
	ui     *ui
}

func main() {
	// Without this line, a write to a closed stdout (sse listen … | head) kills
	// the process with SIGPIPE, and a shell with pipefail reports a failure.
	// With this line, the write fails with EPIPE, and the command ends without a
	// message.
	signal.Ignore(syscall.SIGPIPE)

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup starts a process that ignores SIGHUP
		signal.Notify(signals, syscall.SIGHUP)
	}
	ctx := withInterrupts(context.Background(), signals, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

// withInterrupts returns a context that the first signal cancels, so that the
// command can end cleanly. The next signal that is not SIGHUP calls exit. Without
// exit, a command could not be stopped while a write to stdout blocks, for example
// because a pager does not read. A SIGHUP after the first signal has no effect,
// because a terminal that closes may send SIGHUP twice, and systemd may send SIGHUP
// right after SIGTERM. The goroutine runs until the process ends.
func withInterrupts(
	parent context.Context, signals <-chan os.Signal, exit func(code int),
) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		<-signals
		cancel(errInterrupted)
		for s := range signals {
			if s != syscall.SIGHUP {
				exit(exitInterrupted)
			}
		}
	}()
	return ctx
}

// run runs the command line args and returns the exit code. Unlike main, it
// does not handle signals.
func run(
	ctx context.Context, args []string, env lookupEnv, stdin io.Reader, stdout, stderr io.Writer,
) int {
	p := &process{env: env, stdin: stdin, stdout: stdout, ui: newUI(stdout, stderr, env)}
	return dispatch(ctx, p, args)
}
