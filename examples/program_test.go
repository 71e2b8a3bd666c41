package examples_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline is how long a test waits for a condition, for example for a line of the log,
// before the test fails.
const deadline = 30 * time.Second

const address = "localhost:3000"

// needPort fails the test if another program uses port 3000.
func needPort(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("port 3000 must be free; stop the program that uses it: %v", err)
	}
	listener.Close()
}

// builder returns a function that builds a program of this directory, and returns the path
// of the executable. It builds each program once.
func builder(t *testing.T) func(program string) string {
	dir, built := t.TempDir(), map[string]string{}
	return func(program string) string {
		t.Helper()
		if built[program] == "" {
			path := filepath.Join(dir, strings.ReplaceAll(program, "/", "-")+".exe")
			output, err := exec.Command("go", "build", "-o", path, "./"+program).CombinedOutput()
			if err != nil {
				t.Fatalf("go build ./%s: %v\n%s", program, err, output)
			}
			built[program] = path
		}
		return built[program]
	}
}

// program is a process and the lines that it has written.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and exit is set
	exit error

	mu      sync.Mutex    // guards the following
	stdout  []string      // complete lines
	stderr  []string      // complete lines
	changed chan struct{} // closed, and replaced, when a line is added
}

func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{
		t:       t,
		cmd:     exec.Command(path, args...),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	p.cmd.Stdout = &lineWriter{program: p, lines: &p.stdout}
	p.cmd.Stderr = &lineWriter{program: p, lines: &p.stderr}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exit = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s wrote to stderr:\n%s", filepath.Base(path), strings.Join(p.stderr, "\n"))
		}
	})
	return p
}

// startServer starts a server, and returns once the server accepts connections.
func startServer(t *testing.T, path string) *program {
	t.Helper()
	p := start(t, path)
	p.waitLog("server on", 1)
	waitListening(t, p)
	return p
}

// waitListening waits until the server p accepts connections on port 3000.
func waitListening(t *testing.T, p *program) {
	t.Helper()
	retry := time.NewTicker(time.Millisecond)
	defer retry.Stop()
	timeout := time.After(deadline)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-retry.C:
		case <-p.done:
			t.Fatalf("the server has ended: %v", p.exit)
		case <-timeout:
			t.Fatalf("no server: %v", err)
		}
	}
}

// startListening starts a server that logs its address once it listens, and returns
// the address.
func startListening(t *testing.T, path string, args ...string) (p *program, address string) {
	t.Helper()
	p = start(t, path, args...)
	const prefix = "server on http://"
	p.waitLog(prefix, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.stderr {
		if _, rest, ok := strings.Cut(line, prefix); ok {
			address, _, _ = strings.Cut(rest, ";")
		}
	}
	return p, address
}

// kill sends SIGKILL, and waits until the process has ended.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// interrupt sends an interrupt, as Ctrl-C does, and waits until the process has ended.
func (p *program) interrupt() {
	p.t.Helper()
	interrupt := p.cmd.Process.Signal
	if runtime.GOOS == "windows" { // Windows has no such signal
		interrupt = func(os.Signal) error { return p.cmd.Process.Kill() }
	}
	if err := interrupt(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	_ = p.waitExit() // without its own handler, an interrupted program ends with an error
}

func (p *program) waitExit() error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.exit
	case <-time.After(deadline):
		p.t.Fatal("the program has not ended")
		return nil
	}
}

// wait blocks until ok returns true. ok may read the fields that mu guards. The test
// fails if the program ends first, or if ok is still false after timeout.
func (p *program) wait(condition string, timeout time.Duration, ok func() bool) {
	p.t.Helper()
	expired := time.After(timeout)
	ended := p.done
	for {
		p.mu.Lock()
		reached, changed := ok(), p.changed
		p.mu.Unlock()
		switch {
		case reached:
			return
		case ended == nil:
			p.t.Fatalf("the program has ended (%v) without %s", p.exit, condition)
		}
		select {
		case <-changed:
		case <-ended:
			ended = nil // no further lines follow: check the condition once more
		case <-expired:
			p.t.Fatalf("after %v, the program is still without %s", timeout, condition)
		}
	}
}

// waitLog waits until n lines of the log contain text.
func (p *program) waitLog(text string, n int) {
	p.t.Helper()
	p.waitLogFor(text, n, deadline)
}

func (p *program) waitLogFor(text string, n int, timeout time.Duration) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%d lines of the log with %q", n, text), timeout, func() bool {
		return countLines(p.stderr, text) >= n
	})
}

// output returns the lines that the program has printed so far.
func (p *program) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stdout)
}

func (p *program) countLog(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return countLines(p.stderr, text)
}

func countLines(lines []string, text string) (n int) {
	for _, line := range lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// waitLogOrder waits until the log has lines with these texts in this order. There
// may be other lines in between.
func (p *program) waitLogOrder(texts ...string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("log lines with %q in this order", texts), deadline, func() bool {
		missing := texts
		for _, line := range p.stderr {
			if len(missing) > 0 && strings.Contains(line, missing[0]) {
				missing = missing[1:]
			}
		}
		return len(missing) == 0
	})
}

// waitMessages waits until the program has printed n messages.
func (p *program) waitMessages(n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%d messages", n), deadline, func() bool { return len(p.stdout) >= n })
}

// wantMessages waits for len(want) messages, and checks that the program has printed
// exactly these messages, one per line.
func (p *program) wantMessages(want ...string) {
	p.t.Helper()
	p.waitMessages(len(want))
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.stdout, want) {
		p.t.Errorf("messages: got %.2000q, want %.2000q", p.stdout, want)
	}
}

func (p *program) waitOutput(line string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("the output %q", line), deadline, func() bool {
		return slices.Contains(p.stdout, line)
	})
}

func (p *program) wantLast(want string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.stdout) == 0 || p.stdout[len(p.stdout)-1] != want {
		p.t.Errorf("output: got %q, want %q last", p.stdout, want)
	}
}

// lineWriter splits the output of a program into lines, and appends each line to the
// slice lines when the line is complete.
type lineWriter struct {
	program *program
	lines   *[]string
	partial []byte // the last line, without its end
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.program.mu.Lock()
	defer w.program.mu.Unlock()
	n := len(b)
	for {
		line, rest, complete := bytes.Cut(b, []byte("\n"))
		w.partial = append(w.partial, line...)
		if !complete {
			break
		}
		*w.lines = append(*w.lines, string(w.partial))
		w.partial, b = w.partial[:0], rest
	}
	close(w.program.changed)
	w.program.changed = make(chan struct{})
	return n, nil
}

// answer is the answer of the server to a curl.
type answer struct {
	t       *testing.T
	reached int
}

// curl sends the request of `curl localhost:3000`, with -d body if body is not empty.
func curl(t *testing.T, body string) answer {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	text := request(t, method, address, body)
	var reached int
	if _, err := fmt.Sscanf(text, "clients reached: %d\n", &reached); err != nil {
		t.Fatalf("the server answered %q: %v", text, err)
	}
	return answer{t, reached}
}

func (a answer) wantReached(want int) {
	a.t.Helper()
	if a.reached != want {
		a.t.Errorf("clients reached: got %d, want %d", a.reached, want)
	}
}

func request(t *testing.T, method, address, body string) string {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+address+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %q, %v", method, response.StatusCode, text, err)
	}
	return string(text)
}

// post sends the request of `curl -f -d body address/path`. A status of 300 or more
// is an error.
func post(address, path, body string) (string, error) {
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post("http://"+address+path, "text/plain", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %q", response.Status, text)
	}
	return string(text), err
}

func mustPost(t *testing.T, address, path, body string) string {
	t.Helper()
	text, err := post(address, path, body)
	if err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
	return text
}
