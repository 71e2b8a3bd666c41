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
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// subscriberSpec describes many subscribers that run in a process of their own. The
// test uses several such processes, because a process can open only a limited number
// of descriptors. Subscriber n subscribes to the topic with the number n%Topics. The
// data of the events of a topic is 0, 1, 2 and so on. A subscriber behaves like an
// EventSource: when its stream ends, or a request gets no response, it waits for the
// last reconnect delay, and then reconnects with the last ID.
//
// The test and the process communicate by stdin and stdout of the process:
//
//   - The test sends the spec.
//   - The process prints "open" when every subscriber has a stream.
//   - The process prints "reconnected" when every subscriber has had two streams.
//   - The test sends the number of events of each topic.
//   - The process sends its report when every subscriber has received all events of
//     its topic, or after a minute.
type subscriberSpec struct {
	Addr        string
	First       int // number of the first subscriber
	Subscribers int
	Topics      int
}

// subscriberReport is the result of one process, or of several after add.
type subscriberReport struct {
	Errors         []string // at most ten of each process
	ErrorCount     int
	Delays         []time.Duration // reconnect delays that the hub sent
	FailedAttempts map[string]int  // number of attempts without a response, by cause
	Gaps           []time.Duration // from the end of a stream to the next stream
	Excess         []time.Duration // difference between each gap and its delay
}

// subscriberTopics is the path of a topic, without the topic's number at the end.
const subscriberTopics = "/load/"

// subscriberProcess is a process with subscribers, as the test sees it.
type subscriberProcess struct {
	tb    testing.TB
	in    *json.Encoder
	lines *bufio.Reader
}

func (spec subscriberSpec) start(tb testing.TB) *subscriberProcess {
	tb.Helper()
	cmd := exec.Command("sse-subscribers")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // ends the process
		_ = cmd.Wait()
	})
	p := &subscriberProcess{tb: tb, in: json.NewEncoder(in), lines: bufio.NewReader(out)}
	p.send(spec)
	return p
}

// dialer returns a dialer. On Linux, each process has its own local address, for
// example 127.0.0.3. If all processes shared one address, more than half of its ports
// would be in use, and the kernel would need milliseconds to find a free port.
func (spec subscriberSpec) dialer() *net.Dialer {
	if runtime.GOOS != "linux" {
		return &net.Dialer{}
	}
	address := net.IPv4(127, 0, 0, byte(2+spec.First/max(1, spec.Subscribers)))
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}
}

// send sends a value to the process.
func (p *subscriberProcess) send(value any) {
	p.tb.Helper()
	if err := p.in.Encode(value); err != nil {
		p.tb.Fatal(err)
	}
}

// await waits until the process prints a word.
func (p *subscriberProcess) await(word string) {
	p.tb.Helper()
	if line, err := p.lines.ReadString('\n'); err != nil || line != word+"\n" {
		p.tb.Fatalf("the subscribers printed %q (%v), want %q", line, err, word)
	}
}

// report waits for the report of the process.
func (p *subscriberProcess) report() (r subscriberReport) {
	p.tb.Helper()
	if err := json.NewDecoder(p.lines).Decode(&r); err != nil {
		p.tb.Fatal(err)
	}
	return r
}

// runSubscribers is the main function of a process with subscribers.
func runSubscribers() {
	in := json.NewDecoder(os.Stdin)
	g := subscriberGroup{subscriberReport: subscriberReport{FailedAttempts: map[string]int{}}}
	if err := in.Decode(&g.spec); err != nil {
		return
	}
	g.start()
	g.open.Wait()
	fmt.Println("open")
	g.reconnected.Wait()
	fmt.Println("reconnected")
	var counts []int
	if err := in.Decode(&counts); err != nil {
		return
	}
	g.awaitCounts(counts)
	g.mu.Lock()
	defer g.mu.Unlock()
	// If this fails, the test fails because it gets no report.
	_ = json.NewEncoder(os.Stdout).Encode(&g.subscriberReport)
}

// subscriberGroup is all subscribers of a process.
type subscriberGroup struct {
	spec        subscriberSpec
	subscribers []*subscriber
	open        sync.WaitGroup // subscribers without a first stream
	reconnected sync.WaitGroup // subscribers without a second stream

	mu sync.Mutex // guards the following
	subscriberReport
}

type subscriber struct {
	*subscriberGroup
	topic    int
	next     atomic.Int64 // number of the next event
	streams  int
	lastID   string
	delay    time.Duration // the last reconnect delay
	hasDelay bool          // the current or last stream contained a delay
	ended    time.Time     // end of the last stream
}

func (g *subscriberGroup) start() {
	g.open.Add(g.spec.Subscribers)
	g.reconnected.Add(g.spec.Subscribers)
	slots := make(chan struct{}, 64) // held by subscribers without a first stream
	for i := range g.spec.Subscribers {
		s := &subscriber{
			subscriberGroup: g, topic: (g.spec.First + i) % g.spec.Topics, delay: 3 * time.Second,
		}
		g.subscribers = append(g.subscribers, s)
		slots <- struct{}{}
		go s.run(sync.OnceFunc(func() { <-slots }))
	}
}

func (g *subscriberGroup) addError(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ErrorCount++; len(g.Errors) < 10 {
		g.Errors = append(g.Errors, fmt.Sprintf(format, args...))
	}
}

// awaitCounts waits until every subscriber has received all events of its topic, but
// at most a minute. It reports each subscriber that has not as an error.
func (g *subscriberGroup) awaitCounts(counts []int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for _, s := range g.subscribers {
		for s.next.Load() < int64(counts[s.topic]) {
			select {
			case <-tick.C:
				continue
			case <-timeout:
			}
			for _, s := range g.subscribers {
				if got := s.next.Load(); got < int64(counts[s.topic]) {
					g.addError("a subscriber has %d events of topic %d, want %d",
						got, s.topic, counts[s.topic])
				}
			}
			return
		}
	}
}

// run connects again after each stream and each failed attempt, until the process
// ends. It calls opened each time that a stream opens.
func (s *subscriber) run(opened func()) {
	for {
		if err := s.readStream(opened); err != nil {
			s.countFailedAttempt(err)
		}
		<-time.After(s.delay)
	}
}

// readStream sends one request and reads its stream to the end. It returns an
// error if there is no response.
func (s *subscriber) readStream(opened func()) error {
	conn, err := s.spec.dialer().Dial("tcp4", s.spec.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := "GET " + subscriberTopics + strconv.Itoa(s.topic) +
		" HTTP/1.1\r\nHost: localhost\r\n"
	if s.lastID != "" {
		request += "Last-Event-ID: " + s.lastID + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		s.addError("status %s, after which an EventSource does not reconnect", response.Status)
		return nil
	}
	defer response.Body.Close()
	opened()
	s.beginStream()
	decoder := sse.NewDecoder(response.Body, &sse.DecoderOptions{
		OnRetry: func(delay time.Duration) { s.delay, s.hasDelay = delay, true },
	})
	s.hasDelay = false
	for {
		event, err := decoder.Next()
		if err != nil {
			s.endStream(err)
			return nil
		}
		s.receive(&event)
	}
}

// countFailedAttempt counts an attempt without a response.
func (s *subscriber) countFailedAttempt(err error) {
	var errno syscall.Errno
	cause := "closed"
	if errors.As(err, &errno) {
		cause = errno.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.FailedAttempts[cause]++
}

// beginStream counts a stream that has opened. If it is not the subscriber's first
// stream, beginStream records the gap before it.
func (s *subscriber) beginStream() {
	switch s.streams++; s.streams {
	case 1:
		s.open.Done()
		return
	case 2:
		s.reconnected.Done()
	}
	gap := time.Since(s.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Gaps = append(s.Gaps, gap)
	s.Excess = append(s.Excess, gap-s.delay)
}

// endStream records the end of a stream. The stream must have ended cleanly and
// with a reconnect delay.
func (s *subscriber) endStream(err error) {
	s.ended = time.Now()
	if err != io.EOF {
		s.addError("a stream was cut: %v", err)
	}
	if !s.hasDelay {
		s.addError("a stream ended without a reconnect delay")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Delays = append(s.Delays, s.delay)
}

// receive checks that the event is the next one.
func (s *subscriber) receive(event *sse.RawEvent) {
	s.lastID = string(event.LastEventID)
	if string(event.Type) == "sse.cursor" {
		return
	}
	number, err := strconv.ParseInt(string(event.Data), 10, 64)
	switch want := s.next.Load(); {
	case err != nil:
		s.addError("an event has the type %q and the data %q, want %d", event.Type, event.Data, want)
		return
	case number < want:
		s.addError("event %d arrived twice or late, want %d", number, want)
		return
	case number > want:
		s.addError("%d events were lost before %d", number-want, number)
	}
	s.next.Store(number + 1)
}

// add adds the report of another process.
func (r *subscriberReport) add(other subscriberReport) {
	r.Errors = append(r.Errors, other.Errors...)
	r.ErrorCount += other.ErrorCount
	for cause, n := range other.FailedAttempts {
		if r.FailedAttempts == nil {
			r.FailedAttempts = map[string]int{}
		}
		r.FailedAttempts[cause] += n
	}
	r.Delays = append(r.Delays, other.Delays...)
	r.Gaps = append(r.Gaps, other.Gaps...)
	r.Excess = append(r.Excess, other.Excess...)
}

// formatSpread returns the minimum, the maximum, the median and the 99th
// percentile of durations as text.
func formatSpread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	percentile := func(share float64) time.Duration {
		return all[int(share*float64(len(all)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%v to %v, median %v, 99%% %v",
		percentile(0), percentile(1), percentile(0.5), percentile(0.99))
}
