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

// deadline bounds every wait. It is there to fail a test, never to time it.
const deadline = 30 * time.Second

const address = "localhost:3000"

// needPort fails a test that would meet somebody else's server.
func needPort(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("this test needs port 3000 for itself; stop what uses it: %v", err)
	}
	listener.Close()
}

// builder returns a function that builds a program of this directory, once.
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

// program is a running process, and the lines it has written.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and exit is set
	exit error

	mu      sync.Mutex    // guards the following
	stdout  []string      // complete lines
	stderr  []string      // likewise
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

// startServer starts a server and returns once it accepts connections.
func startServer(t *testing.T, path string) *program {
	t.Helper()
	p := start(t, path)
	p.waitLog("server on", 1)
	retry := time.NewTicker(time.Millisecond) // it logs just before it listens
	defer retry.Stop()
	timeout := time.After(deadline)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return p
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

// startListening starts a server that says where it listens once it does, and
// returns the address.
func startListening(t *testing.T, path string, args ...string) (p *program, address string) {
	t.Helper()
	p = start(t, path, args...)
	const before = "server on http://"
	p.waitLog(before, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.stderr {
		if _, rest, ok := strings.Cut(line, before); ok {
			address, _, _ = strings.Cut(rest, ";")
		}
	}
	return p, address
}

// kill is kill -9, and waits for the process to end.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// interrupt is Ctrl-C, and waits for the process to end.
func (p *program) interrupt() {
	p.t.Helper()
	interrupt := p.cmd.Process.Signal
	if runtime.GOOS == "windows" { // has no such signal
		interrupt = func(os.Signal) error { return p.cmd.Process.Kill() }
	}
	if err := interrupt(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	_ = p.waitExit() // an interrupted program ends with an error
}

func (p *program) waitExit() error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.exit
	case <-time.After(deadline):
		p.t.Fatal("the program does not end")
		return nil
	}
}

// wait blocks until ok, which may read what mu guards, is true.
func (p *program) wait(what string, timeout time.Duration, ok func() bool) {
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
			p.t.Fatalf("the program has ended (%v) without %s", p.exit, what)
		}
		select {
		case <-changed:
		case <-ended:
			ended = nil // all lines are there: look once more
		case <-expired:
			p.t.Fatalf("still without %s", what)
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
	p.wait(fmt.Sprintf("%d times %q in its log", n, text), timeout, func() bool {
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

// waitLogOrder waits until the log has lines with these texts in this order,
// and any others in between.
func (p *program) waitLogOrder(texts ...string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("a log with %q in this order", texts), deadline, func() bool {
		missing := texts
		for _, line := range p.stderr {
			if len(missing) > 0 && strings.Contains(line, missing[0]) {
				missing = missing[1:]
			}
		}
		return len(missing) == 0
	})
}

// waitMessages waits until n messages are printed.
func (p *program) waitMessages(n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%d messages", n), deadline, func() bool { return len(p.stdout) >= n })
}

// wantMessages wants exactly these messages, one line each, waiting for them
// to come.
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

// lineWriter adds what is written to the lines of a program.
type lineWriter struct {
	program *program
	lines   *[]string
	partial []byte // of the last line
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

// answer is what a curl prints.
type answer struct {
	t       *testing.T
	reached int
}

// curl stands for `curl localhost:3000`, with -d body if there is one.
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

// post stands for `curl -d body address/path`, and fails as that does with -f.
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
