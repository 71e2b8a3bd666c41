package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sse-go/sse"
)

// errRefused is the error of a connection to a port on which no server listens.
var errRefused = &url.Error{Op: "Get", URL: "http://x", Err: &net.OpError{
	Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
}}

// replayStates reports to l the states of a client while its server is not
// running, starts, stops, and starts again.
func replayStates(l *listener) {
	resumed := &http.Response{Request: &http.Request{
		Header: http.Header{"Last-Event-Id": {"7"}},
	}}
	for _, change := range []sse.StateChange{
		{State: sse.StateConnecting, Attempt: 1},
		{State: sse.StateRetrying, Attempt: 1, Err: errRefused, Delay: 1e9},
		{State: sse.StateConnecting, Attempt: 2},
		{State: sse.StateRetrying, Attempt: 2, Err: errRefused, Delay: 2e9},
		{State: sse.StateConnecting, Attempt: 3},
		{State: sse.StateOpen, Attempt: 3, Response: &http.Response{Request: &http.Request{}}},
		{State: sse.StateRetrying, Attempt: 3, Delay: 1e9},
		{State: sse.StateConnecting, Attempt: 4},
		{State: sse.StateRetrying, Attempt: 4, Err: errRefused, Delay: 2e9},
		{State: sse.StateConnecting, Attempt: 5},
		{State: sse.StateRetrying, Attempt: 5, Err: errRefused, Delay: 4e9},
		{State: sse.StateConnecting, Attempt: 6},
		{State: sse.StateOpen, Attempt: 6, Response: resumed},
		{State: sse.StateClosed, Attempt: 6},
	} {
		l.reportState(change)
	}
}

// While a server is unreachable, sse prints one line when the stream is lost,
// one when the reason changes, and one when the stream is open again.
func TestStatesAreReportedOnce(t *testing.T) {
	u, stdout, stderr := newTestUI(false, false)
	target, _ := parseURL("http://me:secret@localhost:3000/x")
	replayStates(&listener{ui: u, target: target})
	want := `sse: connecting to http://me:xxxxx@localhost:3000/x
sse: not connected (connection refused), retrying in 1s
sse: hint: nothing listens on localhost:3000: start the server, or check the port
sse: connected
sse: stream lost (the server ended the stream), retrying in 1s
sse: not connected (connection refused), retrying in 2s
sse: connected, continuing after ID 7
`
	if got := stderr.String(); got != want {
		t.Errorf("stderr:\n%s\nwant:\n%s", got, want)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout %q, want none", stdout)
	}
}

// On a terminal, a progress line shows the attempts that are not reported.
func TestStatesOnTerminal(t *testing.T) {
	u, _, stderr := newTestUI(true, false)
	target, _ := parseURL(":3000")
	replayStates(&listener{ui: u, target: target})
	if u.hasProgress {
		t.Error("the progress line was not removed")
	}
	// The sequence "\r\x1b[K" removes the text before it from the terminal. The text
	// after the last such sequence of a line remains visible.
	var seen []string
	for line := range strings.Lines(stderr.String()) {
		parts := strings.Split(line, "\r\x1b[K")
		seen = append(seen, parts[len(parts)-1])
	}
	if got, want := len(seen), 7; got != want {
		t.Errorf("%d lines remain, want %d:\n%q", got, want, seen)
	}
	for _, part := range []string{
		"sse: attempt 2 failed, retrying in 2s", "sse: connecting, attempt 6",
	} {
		if !strings.Contains(stderr.String(), part+"\r\x1b[K") {
			t.Errorf("%q was not shown and then removed:\n%q", part, stderr)
		}
	}
}

// startListen starts "sse listen" with these arguments and with a server that sends
// the responses of the script. The function code waits until the command has ended,
// and returns its exit code. Until then, stderr must not be used.
func startListen(
	ctx context.Context, t *testing.T, script string, stdout io.Writer, args ...string,
) (code func() int, stderr *bytes.Buffer) {
	t.Helper()
	responses, err := parseResponses(script)
	if err != nil {
		t.Fatal(err)
	}
	server := newScriptServer(responses)
	t.Cleanup(server.stop)

	stderr = &bytes.Buffer{}
	done := make(chan int, 1)
	args = append([]string{"listen", server.URL}, args...)
	go func() { done <- run(ctx, args, noEnv, strings.NewReader(""), stdout, stderr) }()
	return func() int { return <-done }, stderr
}

const oneThenSilence = "HTTP 200\ndata: one\n\nSTALL\n"

func TestInterruptEndsListen(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r, w := io.Pipe()
	code, stderr := startListen(ctx, t, oneThenSilence, w)
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "one\n" {
		t.Fatalf("first line %q, %v; want one", line, err)
	}
	cancel(errInterrupted)
	if got := code(); got != exitDone {
		t.Errorf("exit code %d, want 0; stderr:\n%s", got, stderr)
	}
}

func TestInterruptBeforeCountFails(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r, w := io.Pipe()
	code, stderr := startListen(ctx, t, oneThenSilence, w, "--count", "2")
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel(errInterrupted)
	if got := code(); got != exitFailed {
		t.Errorf("exit code %d, want 1", got)
	}
	if want := "sse: interrupted after 1 of 2 events\n"; !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("stderr %q, want suffix %q", stderr, want)
	}
}

// writerFunc is a function that implements io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestClosedStdoutEndsQuietly(t *testing.T) {
	for _, args := range [][]string{nil, {"--json"}, {"--raw"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			closed := writerFunc(func([]byte) (int, error) { return 0, syscall.EPIPE })
			code, stderr := startListen(context.Background(), t, oneThenSilence, closed, args...)
			if got := code(); got != exitDone {
				t.Errorf("exit code %d, want 0", got)
			}
			if strings.Count(stderr.String(), "\n") != 2 { // "connecting to …" and "connected"
				t.Errorf("stderr %q, want two lines", stderr)
			}
		})
	}
}

func TestStdoutErrorIsReported(t *testing.T) {
	for _, args := range [][]string{nil, {"--json"}, {"--raw"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			full := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
			code, stderr := startListen(context.Background(), t, oneThenSilence, full, args...)
			if got := code(); got != exitFailed {
				t.Errorf("exit code %d, want 1", got)
			}
			const want = "sse: cannot write to stdout: disk full\n"
			if !strings.HasSuffix(stderr.String(), want) {
				t.Errorf("stderr %q, want suffix %q", stderr, want)
			}
		})
	}
}

// sse listen waits for a slow reader of stdout, and loses no event.
func TestSlowStdout(t *testing.T) {
	const n = 2000
	var script strings.Builder
	script.WriteString("HTTP 200\n")
	for i := range n {
		fmt.Fprintf(&script, "id: %d\ndata: %d %s\n\n", i, i, strings.Repeat("x", 1000))
	}
	script.WriteString("STALL\n")
	r, w := io.Pipe() // has no buffer
	code, stderr := startListen(context.Background(), t, script.String(), w,
		"--count", fmt.Sprint(n))
	lines := bufio.NewReader(r)
	for i := range n {
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("%d ", i); !strings.HasPrefix(line, want) {
			t.Fatalf("line %d is %.20q, %v; want prefix %q; stderr:\n%s", i, line, err, want, stderr)
		}
	}
	if got := code(); got != exitDone {
		t.Errorf("exit code %d, want 0", got)
	}
}

func TestOptionsThatAreNotValid(t *testing.T) {
	for line, want := range map[string]string{
		"--raw --json":       "--raw and --json must not be used together",
		"--raw --type a":     "--raw and --type must not be used together",
		"--count -1":         "--count -1 must not be negative",
		"--retry 0s":         "--retry 0s must be at least 1ms",
		"--timeout -1s":      "--timeout -1s must be at least 0s",
		"--idle-timeout -1s": "--idle-timeout -1s must be at least 0s",
		"-X a,b":             `-X "a,b" must be a method, for example POST`,
	} {
		o, operands, err := parseListen(nil, strings.Fields(line+" :3000")...)
		if err != nil {
			t.Fatal(err)
		}
		var f *failure
		_, err = o.target(operands)
		if !errors.As(err, &f) || f.message != want || f.code != exitUsage {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}
