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

// crowdSpec is many subscribers in a process of their own, as a process has a limited
// number of descriptors. Number n subscribes to the topic n%Topics, where the data of
// the events are 0, 1, 2 and so on. They do as an EventSource does: when a stream ends,
// or there is no answer, they wait as they were told to, and come back with the last
// id.
//
// The process is told its spec; says "open" when all have a stream, and "back" when
// all have another one; is told how many events each topic has; and when all have
// them, or after a minute, it reports.
type crowdSpec struct {
	Addr        string
	First       int // number
	Subscribers int
	Topics      int
}

// crowdReport is what has become of them.
type crowdReport struct {
	Wrong   []string        // what was wrong, some of it
	Wrongs  int             // how often something was
	Retries []time.Duration // those they were told to wait
	Unheard map[string]int  // attempts that no hub has answered, by why
	Away    []time.Duration // from the end of a stream to the next one
	Late    []time.Duration // how much longer that was than they were told
}

const crowdTopic = "/load/"

// crowdProcess is the other process, seen from the test.
type crowdProcess struct {
	tb    testing.TB
	in    *json.Encoder
	lines *bufio.Reader
}

func (spec crowdSpec) start(tb testing.TB) *crowdProcess {
	tb.Helper()
	cmd := exec.Command("sse-crowd")
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
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	})
	p := &crowdProcess{tb: tb, in: json.NewEncoder(in), lines: bufio.NewReader(out)}
	p.tell(spec)
	return p
}

// dialer gives each process an address of its own, where there are several: to find a
// free port takes the kernel some milliseconds, once half of those of an address are
// in use.
func (spec crowdSpec) dialer() *net.Dialer {
	if runtime.GOOS != "linux" {
		return &net.Dialer{}
	}
	address := net.IPv4(127, 0, 0, byte(2+spec.First/max(1, spec.Subscribers)))
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}
}

func (p *crowdProcess) tell(what any) {
	p.tb.Helper()
	if err := p.in.Encode(what); err != nil {
		p.tb.Fatal(err)
	}
}

// await waits for a word.
func (p *crowdProcess) await(word string) {
	p.tb.Helper()
	if line, err := p.lines.ReadString('\n'); err != nil || line != word+"\n" {
		p.tb.Fatalf("the subscribers said %q (%v), want %q", line, err, word)
	}
}

func (p *crowdProcess) report() (r crowdReport) {
	p.tb.Helper()
	if err := json.NewDecoder(p.lines).Decode(&r); err != nil {
		p.tb.Fatal(err)
	}
	return r
}

// crowd is the other process.
func crowd() {
	in := json.NewDecoder(os.Stdin)
	all := members{crowdReport: crowdReport{Unheard: map[string]int{}}}
	if err := in.Decode(&all.spec); err != nil {
		return
	}
	all.start()
	all.open.Wait()
	fmt.Println("open")
	all.back.Wait()
	fmt.Println("back")
	var counts []int
	if err := in.Decode(&counts); err != nil {
		return
	}
	all.awaitCounts(counts)
	all.mu.Lock()
	defer all.mu.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(&all.crowdReport) // else the test misses it
}

// members are all subscribers of a process.
type members struct {
	spec crowdSpec
	all  []*member
	open sync.WaitGroup // those without a first stream
	back sync.WaitGroup // those without a second one

	mu sync.Mutex // guards the following
	crowdReport
}

// member is one subscriber.
type member struct {
	*members
	topic   int
	next    atomic.Int64 // the number that is next
	streams int
	lastID  string
	retry   time.Duration // the last that it was told
	told    bool          // in the stream that has ended
	ended   time.Time     // when that was
}

func (m *members) start() {
	m.open.Add(m.spec.Subscribers)
	m.back.Add(m.spec.Subscribers)
	slots := make(chan struct{}, 64) // those that connect for the first time
	for i := range m.spec.Subscribers {
		s := &member{members: m, topic: (m.spec.First + i) % m.spec.Topics, retry: 3 * time.Second}
		m.all = append(m.all, s)
		slots <- struct{}{}
		go s.run(sync.OnceFunc(func() { <-slots }))
	}
}

func (m *members) wrong(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Wrongs++; len(m.Wrong) < 10 {
		m.Wrong = append(m.Wrong, fmt.Sprintf(format, args...))
	}
}

// awaitCounts waits until all have what there is of their topics.
func (m *members) awaitCounts(counts []int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for _, s := range m.all {
		for s.next.Load() < int64(counts[s.topic]) {
			select {
			case <-tick.C:
				continue
			case <-timeout:
			}
			for _, s := range m.all {
				if got := s.next.Load(); got < int64(counts[s.topic]) {
					m.wrong("a subscriber has %d events of topic %d, want %d", got, s.topic, counts[s.topic])
				}
			}
			return
		}
	}
}

// run is a subscriber until the process ends.
func (s *member) run(begun func()) {
	for {
		if err := s.stream(begun); err != nil {
			s.unheard(err)
		}
		<-time.After(s.retry)
	}
}

// stream is one request, and its stream until the end.
func (s *member) stream(begun func()) error {
	conn, err := s.spec.dialer().Dial("tcp4", s.spec.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := "GET " + crowdTopic + strconv.Itoa(s.topic) + " HTTP/1.1\r\nHost: localhost\r\n"
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
		s.wrong("answered with %s", response.Status) // an EventSource would give up
		return nil
	}
	defer response.Body.Close()
	begun()
	s.opened()
	decoder := sse.NewDecoder(response.Body, &sse.DecoderOptions{
		OnRetry: func(retry time.Duration) { s.retry, s.told = retry, true },
	})
	s.told = false
	for {
		event, err := decoder.Next()
		if err != nil {
			s.end(err)
			return nil
		}
		s.take(&event)
	}
}

// unheard notes that no hub has answered.
func (s *member) unheard(err error) {
	var errno syscall.Errno
	why := "closed"
	if errors.As(err, &errno) {
		why = errno.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Unheard[why]++
}

// opened counts a stream that has begun.
func (s *member) opened() {
	switch s.streams++; s.streams {
	case 1:
		s.open.Done()
		return
	case 2:
		s.back.Done()
	}
	away := time.Since(s.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Away = append(s.Away, away)
	s.Late = append(s.Late, away-s.retry)
}

// end notes how a stream has ended.
func (s *member) end(err error) {
	s.ended = time.Now()
	if err != io.EOF {
		s.wrong("a stream was cut: %v", err)
	}
	if !s.told {
		s.wrong("a stream has ended without a retry")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Retries = append(s.Retries, s.retry)
}

func (s *member) take(event *sse.RawEvent) {
	s.lastID = string(event.ID)
	if string(event.Type) == "sse.cursor" {
		return
	}
	number, err := strconv.ParseInt(string(event.Data), 10, 64)
	switch want := s.next.Load(); {
	case err != nil:
		s.wrong("an event of type %q with the data %q, want %d", event.Type, event.Data, want)
		return
	case number < want:
		s.wrong("the event %d came twice, or late: want %d", number, want)
		return
	case number > want:
		s.wrong("%d events were lost before %d", number-want, number)
	}
	s.next.Store(number + 1)
}

// add adds the report of another process.
func (r *crowdReport) add(other crowdReport) {
	r.Wrong, r.Wrongs = append(r.Wrong, other.Wrong...), r.Wrongs+other.Wrongs
	for why, n := range other.Unheard {
		if r.Unheard == nil {
			r.Unheard = map[string]int{}
		}
		r.Unheard[why] += n
	}
	r.Retries = append(r.Retries, other.Retries...)
	r.Away = append(r.Away, other.Away...)
	r.Late = append(r.Late, other.Late...)
}

// spread says how durations are distributed.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[int(share*float64(len(all)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%v to %v, half %v, 99 %% %v", at(0), at(1), at(0.5), at(0.99))
}
