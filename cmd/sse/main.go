// Command sse is Server-Sent Events in a shell:
//
//	sse serve                              # a hub on localhost:3000
//	sse listen :3000/handshake             # prints what is published there
//	sse send :3000/handshake 'hello'       # as does curl -d hello localhost:3000/handshake
//
// Listen never gives up unless it is told to, and says on standard error when it
// connects, loses and regains the stream. "sse COMMAND -h" shows every setting.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes. A script that counts on them: 0 is "done", 1 "it did not work",
// 2 "you asked for something that makes no sense".
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // second interrupt: as a shell reports a death by SIGINT
)

// errInterrupted is the cause of a context that an interrupt has canceled.
var errInterrupted = errors.New("interrupted")

// lookup finds an environment variable, as os.LookupEnv does.
type lookup func(name string) (value string, ok bool)

// world is what a command may touch: nothing in this module reads a global
// stream or variable, so that tests run commands in their own process.
type world struct {
	env    lookup
	stdin  io.Reader
	stdout io.Writer
	ui     *ui
}

func main() {
	// Without this, a write to a closed stdout (sse listen … | head) kills the
	// process with SIGPIPE, and a shell with pipefail calls that a failure. With
	// it the write fails with EPIPE, which ends quietly.
	signal.Ignore(syscall.SIGPIPE)

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx := interruptible(context.Background(), signals, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

// interruptible returns a context that the first signal cancels, for a clean
// end. The second signal calls exit: something (a pager that does not read, for
// instance) holds the clean end up, and the person insists. The goroutine
// lives until the second signal, or as long as the process.
func interruptible(
	parent context.Context, signals <-chan os.Signal, exit func(code int),
) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals
		exit(exitInterrupted)
	}()
	return ctx
}

// run is the whole command but for signals: it returns the exit code.
func run(
	ctx context.Context, args []string, env lookup, stdin io.Reader, stdout, stderr io.Writer,
) int {
	w := &world{env: env, stdin: stdin, stdout: stdout, ui: newUI(stdout, stderr, env)}
	return dispatch(ctx, w, args)
}
