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

// refused is how a connection to a port that nobody listens on fails.
var refused = &url.Error{Op: "Get", URL: "http://x", Err: &net.OpError{
	Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
}}

// history drives the states of a client whose server is not there, comes,
// goes for a while, and comes back.
func history(l *listener) {
	again := &http.Response{Request: &http.Request{
		Header: http.Header{"Last-Event-Id": {"7"}},
	}}
	for _, change := range []sse.StateChange{
		{State: sse.StateConnecting, Attempt: 1},
		{State: sse.StateRetrying, Attempt: 1, Err: refused, Delay: 1e9},
		{State: sse.StateConnecting, Attempt: 2},
		{State: sse.StateRetrying, Attempt: 2, Err: refused, Delay: 2e9},
		{State: sse.StateConnecting, Attempt: 3},
		{State: sse.StateOpen, Attempt: 3, Response: &http.Response{Request: &http.Request{}}},
		{State: sse.StateRetrying, Attempt: 3, Delay: 1e9},
		{State: sse.StateConnecting, Attempt: 4},
		{State: sse.StateRetrying, Attempt: 4, Err: refused, Delay: 2e9},
		{State: sse.StateConnecting, Attempt: 5},
		{State: sse.StateRetrying, Attempt: 5, Err: refused, Delay: 4e9},
		{State: sse.StateConnecting, Attempt: 6},
		{State: sse.StateOpen, Attempt: 6, Response: again},
		{State: sse.StateClosed, Attempt: 6},
	} {
		l.onState(change)
	}
}

// A server that is away for long costs a line when it goes, one when the reason
// changes, and one when it is back.
func TestStatesAreToldOnce(t *testing.T) {
	u, stdout, stderr := testUI(false, false)
	target, _ := parseURL("http://me:secret@localhost:3000/x")
	history(&listener{ui: u, target: target})
	want := `sse: connecting to http://me:xxxxx@localhost:3000/x
sse: not connected (connection refused), retrying in 1s
sse: hint: nothing listens on localhost:3000: start the server, or check the port
sse: connected
sse: stream lost (the server ended it), retrying in 1s
sse: not connected (connection refused), retrying in 2s
sse: connected, continuing after 7
`
	if got := stderr.String(); got != want {
		t.Errorf("stderr:\n%s\nwant:\n%s", got, want)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout: %q", stdout)
	}
}

// On a terminal, what happens in between is shown on a line that is redrawn.
func TestStatesOnTerminal(t *testing.T) {
	u, _, stderr := testUI(true, false)
	target, _ := parseURL(":3000")
	history(&listener{ui: u, target: target})
	if u.waiting {
		t.Error("a line is left that waits to be redrawn")
	}
	// What the person sees in the end: each redrawing begins with CR.
	var seen []string
	for line := range strings.Lines(stderr.String()) {
		parts := strings.Split(line, "\r\x1b[K")
		seen = append(seen, parts[len(parts)-1])
	}
	if got, want := len(seen), 7; got != want {
		t.Errorf("%d lines stay, want %d:\n%q", got, want, seen)
	}
	for _, part := range []string{
		"sse: attempt 2 failed, retrying in 2s", "sse: connecting, attempt 6",
	} {
		if !strings.Contains(stderr.String(), part+"\r\x1b[K") {
			t.Errorf("%q is never shown and taken away:\n%q", part, stderr)
		}
	}
}

// startListen runs "sse listen" with these arguments on a server that answers as
// the script says.
func startListen(
	ctx context.Context, t *testing.T, script string, stdout io.Writer, args ...string,
) (code func() int, stderr *bytes.Buffer) {
	t.Helper()
	answers, err := parseAnswers(script)
	if err != nil {
		t.Fatal(err)
	}
	server := newScripted(answers)
	t.Cleanup(server.stop)

	stderr = &bytes.Buffer{}
	done := make(chan int, 1)
	args = append([]string{"listen", server.URL}, args...)
	go func() { done <- run(ctx, args, noEnv, strings.NewReader(""), stdout, stderr) }()
	return func() int { return <-done }, stderr
}

const oneThenSilence = "HTTP 200\ndata: one\n\nSTALL\n"

func TestInterruptIsACleanEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r, w := io.Pipe()
	code, stderr := startListen(ctx, t, oneThenSilence, w)
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "one\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	cancel(errInterrupted)
	if got := code(); got != exitDone {
		t.Errorf("exit code %d, want 0; stderr:\n%s", got, stderr)
	}
}

// The ^C that a terminal shows goes, unless that would take data away.
func TestInterruptOnTerminal(t *testing.T) {
	for _, tt := range []struct {
		terminal, midLine bool
		want              string
	}{
		{false, false, ""}, {false, true, ""}, {true, false, "\r\x1b[K"}, {true, true, "\n"},
	} {
		u, _, stderr := testUI(tt.terminal, false)
		if u.interrupted(tt.midLine); stderr.String() != tt.want {
			t.Errorf("terminal %t, mid-line %t: got %q, want %q",
				tt.terminal, tt.midLine, stderr, tt.want)
		}
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

// writerFunc is a writer that is a function.
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
			if strings.Count(stderr.String(), "\n") != 2 { // connecting, connected
				t.Errorf("stderr: %q", stderr)
			}
		})
	}
}

func TestBrokenStdoutIsTold(t *testing.T) {
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

// A reader that is slow is waited for: no event is lost, and none is held in
// memory but what the connection holds.
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
			t.Fatalf("line %d is %.20q, %v; stderr:\n%s", i, line, err, stderr)
		}
	}
	if got := code(); got != exitDone {
		t.Errorf("exit code %d, want 0", got)
	}
}

func TestSecondInterruptQuits(t *testing.T) {
	signals, code := make(chan os.Signal, 2), make(chan int)
	ctx := interruptible(context.Background(), signals, func(c int) { code <- c })
	signals <- os.Interrupt
	<-ctx.Done()
	if got := context.Cause(ctx); !errors.Is(got, errInterrupted) {
		t.Errorf("cause %v, want %v", got, errInterrupted)
	}
	select {
	case c := <-code:
		t.Fatalf("exit %d at the first interrupt", c)
	default:
	}
	signals <- syscall.SIGTERM
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}
