package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// tally is what a generator has done since it printed its first tally, as JSON.
type tally struct {
	Units    float64 // in the unit of the flood
	Answered int     // number of responses
	Refused  int     // number of responses with status 503
	Failed   int     // number of steps without a response, or with another status
	Error    string  // the last failure
	Seconds  float64
	CPU      float64 // CPU time of the generator in seconds
}

// generator sends the requests of a flood. It has a process of its own.
type generator struct {
	addr     string
	throttle throttle
	first    sync.WaitGroup // waits until each worker has ended its first step

	mu    sync.Mutex // guards the following
	tally tally
}

// worker is a client of the flood, with at most one request at a time.
type worker struct {
	*generator
	number int
	n      int      // number of steps so far
	conn   net.Conn // nil if there is none
	in     *bufio.Reader
	left   int           // number of pieces that remain of the body that is being sent
	open   []net.Conn    // other connections that stay open, the oldest first
	rest   time.Duration // pause after the step; step sets it
}

// generate is the main function of the generator's process. The arguments are the name
// of the flood, "flood" or "idle", the address of the hub, and the number of seconds
// after which the process ends in any case. The process prints an empty tally after a
// second, and after all idle connections are open. For each line of its standard input,
// it prints a tally. It ends at the end of its input, and the kernel then closes its
// connections.
func generate(args []string) error {
	if len(args) != 4 {
		return errors.New("generate: the program itself starts generators")
	}
	seconds, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	time.AfterFunc(time.Duration(seconds)*time.Second, func() { os.Exit(1) })
	f := named(args[0])
	workers, step := f.workers, f.step
	if args[1] == "idle" {
		workers, step = f.conns, idle
	}
	runtime.GOMAXPROCS(1)
	g := &generator{addr: args[2], throttle: throttle{share: maxShare}}
	g.first.Add(workers)
	for i := range workers {
		go g.work(&worker{generator: g, number: i}, step) // ends with the process
	}
	if args[1] == "idle" {
		g.first.Wait()
	}
	time.Sleep(time.Second)
	g.mu.Lock()
	g.tally = tally{}
	g.mu.Unlock()
	began, cpu := time.Now(), control.CPUTime(os.Getpid())
	replies := json.NewEncoder(os.Stdout)
	err = replies.Encode(tally{})
	for lines := bufio.NewScanner(os.Stdin); err == nil && lines.Scan(); {
		g.mu.Lock()
		t := g.tally
		g.mu.Unlock()
		t.Seconds = time.Since(began).Seconds()
		t.CPU = float64(control.CPUTime(os.Getpid())-cpu) / 1e9
		err = replies.Encode(t)
	}
	return err
}

// work repeats a step of the flood. After a failure, the worker pauses and opens a new
// connection.
func (g *generator) work(w *worker, step stepFunc) {
	for ; ; w.n++ {
		g.throttle.wait()
		w.rest = 0
		units, err := step(w)
		g.mu.Lock()
		g.tally.Units += units
		if err != nil {
			g.tally.Failed++
			g.tally.Error = err.Error()
			w.drop()
			w.rest = 10 * time.Millisecond
		}
		g.mu.Unlock()
		if w.n == 0 {
			g.first.Done()
		}
		time.Sleep(w.rest)
	}
}

// dial opens a connection, unless the worker has one. A close resets the connection, so
// that no port remains in the state TIME_WAIT.
func (w *worker) dial() error {
	if w.conn != nil {
		return nil
	}
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		return err
	}
	w.conn, w.in, w.left = conn, bufio.NewReader(conn), 0
	return conn.(*net.TCPConn).SetLinger(0)
}

// drop closes the connection of the worker, if there is one.
func (w *worker) drop() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends the rest of a request, and reads the head of the response. The status of a
// request without a key may be 401.
func (w *worker) ask(text string) (*http.Response, error) {
	if err := w.dial(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w.conn, text); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.Answered++
	switch status := response.StatusCode; {
	case status == http.StatusServiceUnavailable:
		w.tally.Refused++
	case status/100 != 2 && status != http.StatusUnauthorized:
		return nil, fmt.Errorf("status %s", response.Status)
	}
	return response, nil
}

// exchange sends the rest of a request, and reads the whole response.
func (w *worker) exchange(text string) error {
	response, err := w.ask(text)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	if response.Close {
		w.drop()
	}
	return err
}

const (
	// maxShare is the largest share of one processor that a generator may use.
	maxShare = 0.5

	// burst is how much CPU time a generator may save for later.
	burst = time.Millisecond
)

// throttle limits the CPU time of a process to a share of the time that passes.
type throttle struct {
	share float64

	mu       sync.Mutex // guards the following
	now, cpu int64      // time and CPU time of the last call of pause, in nanoseconds
	credit   float64    // CPU time that the process may use at once, in nanoseconds
}

// pause returns for how long the process must not work. Its arguments are the time and
// the CPU time of the process so far, in nanoseconds.
func (t *throttle) pause(now, cpu int64) time.Duration {
	t.credit = min(float64(burst), t.credit+t.share*float64(now-t.now)-float64(cpu-t.cpu))
	t.now, t.cpu = now, cpu
	return time.Duration(max(0, -t.credit/t.share))
}

// wait blocks until the process may work. Meanwhile, all other callers wait too.
func (t *throttle) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		d := t.pause(control.Now(), control.CPUTime(os.Getpid()))
		if d == 0 {
			return
		}
		time.Sleep(max(d, time.Millisecond)) // the time of a longer sleep becomes credit
	}
}
