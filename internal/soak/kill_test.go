package soak_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/internal/testrand"
)

// If the environment variable killedLog is set, TestKillBroker runs only the server.
// The value is the path of the server's log. If killedPark is not empty, the broker
// of the server parks streams.
const (
	killedLog  = "SSE_TEST_KILLED_LOG"
	killedPark = "SSE_TEST_KILLED_PARK"
)

// The server is killed again and again, and connections are dropped at random.
// Nevertheless, every client receives each event of its topics in the log once and in
// order. The log has every acknowledged event.
func TestKillBroker(t *testing.T) {
	if path := os.Getenv(killedLog); path != "" {
		serveUntilKilled(path, os.Getenv(killedPark) != "")
	}
	brokertest.OnSockets(t, testKill)
}

// serveUntilKilled runs the server and does not return. It exits when its parent
// process exits, because standard input then ends.
func serveUntilKilled(path string, park bool) {
	log, err := reflog.Open(path, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The broker has few events in memory, so that streams also resume from the log.
	broker := &sse.Broker{Log: log, Park: park, Retention: sse.Retention{Events: 16}}
	broker.Streams.Retry = 10 * time.Millisecond
	mux := http.NewServeMux()
	mux.Handle("GET /events", broker)
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		event := sse.Event{Data: string(data)}
		p, err := broker.Publish(r.Context(), event, r.URL.Query()["topic"]...)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, p)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, mux))
	os.Exit(1)
}

func testKill(t *testing.T, park bool) {
	rounds, clients := 8, 12
	switch {
	case brokertest.Soak:
		rounds = 200
	case testing.Short():
		rounds = 3
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	v := newVictim(t, park)
	v.start()
	proxy := brokertest.NewDroppingProxy(t, func() string { addr, _ := v.address(); return addr })
	var started []*killClient
	for i := range clients {
		topics := [][]string{{"a"}, {"b"}, {"a", "b"}}[i%3]
		started = append(started, listenThrough(ctx, t, proxy, topics))
	}
	publishers := newPublishers(ctx, v, 3)
	rng := testrand.New(t)
	for range rounds {
		publishers.await(10 + rng.IntN(40))
		v.kill()
		v.start()
	}
	publishers.await(20)
	publishers.stop()
	publishers.publish("end", "a", "b")
	for _, c := range started {
		<-c.done
	}
	v.kill()
	checkKilled(t, v.path, publishers.acknowledged, started)
}

// checkKilled checks that the log has every acknowledged event once, and that
// each client received the events of its topics in the order of the log.
func checkKilled(t *testing.T, path string, acknowledged map[string]string,
	clients []*killClient) {
	t.Helper()
	log, err := reflog.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	stored := func(topics ...string) []string {
		page, err := log.Read(t.Context(), sse.ReadRequest{
			Selection: sse.Selection{Topics: topics}, Limit: 1 << 30,
		})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, e := range page.Entries {
			texts = append(texts, e.Position.String()+" "+e.Event.Data)
		}
		return texts
	}
	all := stored("a", "b")
	for id, data := range acknowledged {
		if n := countOf(all, id+" "+data); n != 1 {
			t.Errorf("the log has the acknowledged event %s %q %d times, want once", id, data, n)
		}
	}
	streams := 0
	for i, c := range clients {
		streams += c.streams
		if want := stored(c.topics...); !slices.Equal(c.got, want) {
			n := 0
			for n < min(len(c.got), len(want)) && c.got[n] == want[n] {
				n++
			}
			t.Errorf("client %d (%v) received %d events, want %d; they differ from event %d on: "+
				"%q, want %q (error %v)", i, c.topics, len(c.got), len(want), n,
				c.got[n:min(n+3, len(c.got))], want[n:min(n+3, len(want))], c.err)
		}
	}
	t.Logf("%d events stored, %d acknowledged; %d clients had %d streams",
		len(all), len(acknowledged), len(clients), streams)
}

func countOf(list []string, text string) int {
	n := 0
	for _, s := range list {
		if s == text {
			n++
		}
	}
	return n
}

// victim is the server process.
type victim struct {
	t    *testing.T
	path string
	park bool
	cmd  *exec.Cmd
	in   io.Closer

	mu      sync.Mutex // guards the following
	addr    string
	changed chan struct{} // closed and replaced when addr changes
}

func newVictim(t *testing.T, park bool) *victim {
	v := &victim{t: t, path: filepath.Join(t.TempDir(), "log"), park: park,
		changed: make(chan struct{})}
	t.Cleanup(v.kill)
	return v
}

func (v *victim) start() {
	v.t.Helper()
	v.cmd = exec.Command(os.Args[0], "-test.run=^TestKillBroker$")
	v.cmd.Env = append(os.Environ(), killedLog+"="+v.path)
	if v.park {
		v.cmd.Env = append(v.cmd.Env, killedPark+"=1")
	}
	v.cmd.Stderr = os.Stderr
	out, err := v.cmd.StdoutPipe()
	if err == nil {
		v.in, err = v.cmd.StdinPipe()
	}
	if err == nil {
		err = v.cmd.Start()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		v.t.Fatalf("the server did not start: %v", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addr = strings.TrimSpace(addr)
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *victim) kill() {
	if v.cmd != nil {
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
		_ = v.in.Close()
		v.cmd = nil
	}
}

// address returns the server's address and a channel that is closed when the
// address changes.
func (v *victim) address() (string, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.addr, v.changed
}

// publishers are goroutines that publish one event after the other, each event on one
// or two topics.
type publishers struct {
	ctx    context.Context
	v      *victim
	client *http.Client
	wg     sync.WaitGroup
	cancel context.CancelFunc
	acks   chan struct{} // receives an element for each acknowledged event

	mu           sync.Mutex        // guards the following
	acknowledged map[string]string // data of each acknowledged event, by ID
}

func newPublishers(ctx context.Context, v *victim, n int) *publishers {
	p := &publishers{ctx: ctx, v: v, client: &http.Client{Transport: &http.Transport{}},
		acks: make(chan struct{}), acknowledged: make(map[string]string)}
	var until context.Context
	until, p.cancel = context.WithCancel(ctx)
	rng := testrand.New(v.t)
	for i := range n {
		p.wg.Go(func() {
			for k := 0; until.Err() == nil; k++ {
				topics := [][]string{{"a"}, {"b"}, {"a", "b"}}[rng.IntN(3)]
				p.publish(fmt.Sprintf("%d.%d %s", i, k, strings.Repeat("x", rng.IntN(200))), topics...)
				select {
				case p.acks <- struct{}{}:
				case <-until.Done():
				}
			}
		})
	}
	return p
}

// await waits until n more events are acknowledged.
func (p *publishers) await(n int) {
	for range n {
		select {
		case <-p.acks:
		case <-p.ctx.Done():
			p.v.t.Fatal("the server acknowledges no more events")
		}
	}
}

func (p *publishers) stop() {
	p.cancel()
	p.wg.Wait()
}

// publish publishes an event. If an attempt fails, it waits until the server has
// another address, and tries again. The log may also contain the event of a failed
// attempt, so each attempt has different data.
func (p *publishers) publish(data string, topics ...string) {
	for attempt := 0; p.ctx.Err() == nil; attempt++ {
		addr, changed := p.v.address()
		text := data
		if attempt > 0 {
			text = fmt.Sprintf("%s again %d", data, attempt)
		}
		if id, err := p.post(addr, text, topics); err == nil {
			p.mu.Lock()
			p.acknowledged[id] = text
			p.mu.Unlock()
			return
		}
		p.client.CloseIdleConnections()
		select {
		case <-changed:
		case <-p.ctx.Done():
		}
	}
}

func (p *publishers) post(addr, data string, topics []string) (string, error) {
	url := "http://" + addr + "/publish?topic=" + strings.Join(topics, "&topic=")
	resp, err := p.client.Post(url, "text/plain", strings.NewReader(data))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	id, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		p.v.t.Errorf("the response to publishing is %s: %s", resp.Status, id)
		err = errors.New(resp.Status)
	}
	return string(id), err
}

// killClient is a client and the events that it has received up to the event "end".
type killClient struct {
	topics  []string
	got     []string // position and data of each event
	streams int      // number of streams so far
	err     error
	done    chan struct{} // closed when the other fields are final
}

// listenThrough starts a client that connects through the proxy with the given
// address.
func listenThrough(ctx context.Context, t *testing.T, proxy string, topics []string) *killClient {
	c := &killClient{topics: topics, done: make(chan struct{})}
	transport := &http.Transport{}
	client := &sse.Client{
		URL:        "http://" + proxy + "/events?since=earliest&topic=" + strings.Join(topics, "&topic="),
		HTTPClient: &http.Client{Transport: transport},
		RetryDelay: 10 * time.Millisecond, MaxRetryDelay: 100 * time.Millisecond,
		OnState: func(change sse.StateChange) {
			if change.State == sse.StateOpen {
				c.streams++
			}
		},
	}
	go func() {
		defer close(c.done)
		defer transport.CloseIdleConnections()
		for event, err := range client.Events(ctx) {
			if err != nil {
				c.err = err
				continue
			}
			c.got = append(c.got, strings.TrimPrefix(event.Type+" "+event.ID+" "+event.Data, " "))
			if strings.HasPrefix(event.Data, "end") {
				return
			}
		}
	}()
	return c
}
