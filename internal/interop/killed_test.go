package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/internal/testrand"
)

// rounds is the number of times that the server is killed or connections are broken.
const rounds = 9

// killTest is a test with a broker whose server is killed and started again on
// the same log, while events are published and connections break. At the end
// every client must have received the events of the log exactly once and in
// order.
type killTest struct {
	t       *testing.T
	random  *rand.Rand
	path    string // file of the event log
	cable   *cable
	broker  *brokerProcess
	starts  int          // number of servers started so far
	clients []string     // names of the clients
	via     *http.Client // HTTP client of the publisher
	failure chan string  // receives a failure of the browser; nil without a browser
	sent    atomic.Int64 // number of the last event that was sent

	mu    sync.Mutex     // guards the following
	acked []sse.Position // positions of the events whose publishing succeeded
}

func newKillTest(t *testing.T, clients ...string) *killTest {
	t.Helper()
	k := &killTest{
		t:       t,
		random:  testrand.New(t),
		path:    filepath.Join(scratch(t), "events.jsonl"),
		cable:   newCable(t),
		clients: clients,
		via:     &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	k.start()
	return k
}

// url returns the URL of a client's stream. The stream selects the topics a and b,
// and starts at the earliest event. Other events are on the topic c.
func (k *killTest) url(client string) string {
	return "http://" + k.cable.address + "/events?since=earliest&topic=a&topic=b&client=" + client
}

// start starts the server. Every second server parks its streams.
func (k *killTest) start() {
	k.t.Helper()
	k.starts++
	k.broker = startBroker(k.t, k.path, k.starts%2 == 0)
	k.cable.plug(k.t, k.broker.address)
}

// kill kills the server and makes the cable refuse connections until start.
func (k *killTest) kill() {
	k.broker.kill()
	k.cable.unplug()
}

// publish publishes an event, and records its position if there is no error.
func (k *killTest) publish(event sse.Event, topics ...string) (sse.Position, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	at, err := k.broker.publish(ctx, k.via, event, topics...)
	if err == nil {
		k.mu.Lock()
		k.acked = append(k.acked, at)
		k.mu.Unlock()
	}
	return at, err
}

func (k *killTest) mustPublish(event sse.Event, topics ...string) sse.Position {
	k.t.Helper()
	at, err := k.publish(event, topics...)
	if err != nil {
		k.t.Fatal(err)
	}
	return at
}

// publishSome publishes n events, or fewer if a request fails. The topics, type and
// ID of an event depend on its number.
func (k *killTest) publishSome(n int) {
	for range n {
		number := k.sent.Add(1)
		event := sse.Event{Data: fmt.Sprint("event-", number)}
		if number%3 == 0 {
			event.Type = "tick"
		}
		if number%7 == 0 {
			event.ID = fmt.Sprint("own-", number)
		}
		topics := [][]string{{"a"}, {"b"}, {"a", "b"}, {"c"}, {"c", "a"}}[number%5]
		if _, err := k.publish(event, topics...); err != nil {
			return
		}
	}
}

// round publishes events. While it does so, it kills the server or breaks
// connections.
func (k *killTest) round() {
	k.t.Helper()
	const maxEvents = 40
	var publishing sync.WaitGroup
	until := k.sent.Load() + 1 + k.random.Int64N(maxEvents/2)
	publishing.Go(func() { k.publishSome(maxEvents) })
	k.eventually(func() error {
		if n := k.sent.Load(); n < until {
			return fmt.Errorf("event %d is not published", n)
		}
		return nil
	})
	killed := k.random.IntN(2) == 0
	if killed {
		k.kill()
	} else {
		k.cable.drop(k.random)
	}
	publishing.Wait()
	if killed {
		k.start()
	}
	if k.random.IntN(2) == 0 {
		k.awaitAll()
	}
}

// awaitAll waits until all clients have a stream.
func (k *killTest) awaitAll() {
	k.t.Helper()
	for _, client := range k.clients {
		k.eventually(func() error { return k.cable.checkOpen(client) })
	}
}

func (k *killTest) eventually(f func() error) {
	k.t.Helper()
	err := eventually(func() error {
		select {
		case failure := <-k.failure:
			k.t.Fatal(failure)
		default:
		}
		return f()
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

// run executes all rounds, and then publishes the event at which clients stop. The
// clients must be running.
func (k *killTest) run() {
	k.t.Helper()
	k.awaitAll()
	for range rounds {
		k.round()
	}
	k.awaitAll()
	k.checkCursor()
	k.mustPublish(sse.Event{Type: done, Data: "the end"}, "b")
}

// checkCursor publishes events that no client selects, waits until the broker has
// sent each client a cursor with the position of the last of them, and kills the
// server. Each client must reconnect with this position.
func (k *killTest) checkCursor() {
	k.t.Helper()
	var at sse.Position
	for range 3 {
		at = k.mustPublish(sse.Event{Data: "foreign"}, "c")
	}
	before := map[string]int{}
	for _, client := range k.clients {
		k.eventually(func() error { return k.cable.checkRead(client, at) })
		before[client] = len(k.cable.callsOf(client))
	}
	k.kill()
	k.start()
	k.awaitAll()
	for client, n := range before {
		calls := k.cable.callsOf(client)
		if len(calls) <= n {
			k.t.Fatalf("%s did not reconnect", client)
		}
		if got := calls[n].lastEventID; got != at.String() {
			k.t.Errorf("%s reconnected with Last-Event-ID %q, want the last cursor %q", client, got, at)
		}
	}
}

// want kills the server and returns the events that every client must have
// received: the events of the log with the selected topics.
func (k *killTest) want() []received {
	k.t.Helper()
	k.kill()
	log, err := reflog.Open(k.path, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer log.Close()
	page, err := log.Read(k.t.Context(), sse.ReadRequest{
		Selection: sse.Selection{Patterns: []sse.Pattern{everyTopic(k.t)}}, Limit: 1 << 30,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	stored := map[sse.Position]bool{}
	sel := sse.Selection{Topics: []string{"a", "b"}}
	var want []received
	for _, entry := range page.Entries {
		stored[entry.Position] = true
		if !sel.Match(entry.Topics) {
			continue
		}
		event := received{Type: entry.Event.Type, Data: entry.Event.Data, LastEventID: entry.Event.ID}
		if event.Type == "" {
			event.Type = "message"
		}
		if event.LastEventID == "" {
			event.LastEventID = entry.Position.String()
		}
		want = append(want, event)
	}
	for _, at := range k.acked {
		if !stored[at] {
			k.t.Errorf("event %v was published, but is not in the log", at)
		}
	}
	k.t.Logf("%d events for each client; %d servers; %s", len(want), k.starts, k.requests())
	return want
}

func everyTopic(t *testing.T) sse.Pattern {
	t.Helper()
	p, err := sse.ParsePattern("**")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// requests returns a text with two numbers for each client: all its requests, and the
// requests that a script in a page has sent because the browser had given up.
func (k *killTest) requests() string {
	var text strings.Builder
	for _, client := range k.clients {
		byHand := 0
		calls := k.cable.callsOf(client)
		for _, l := range calls {
			if l.byHand {
				byHand++
			}
		}
		fmt.Fprintf(&text, "%s sent %d requests, %d of them by hand; ", client, len(calls), byHand)
	}
	return text.String()
}

// readResult is the result of readWithClient.
type readResult struct {
	done   chan struct{} // closed when the following fields are set
	events []received
	err    error
}

// readWithClient starts our client, which reads until it receives an event of the
// type done. It does not wait for the client.
func (k *killTest) readWithClient(client string) *readResult {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	transport := &http.Transport{}
	c := &sse.Client{
		URL:           k.url(client),
		HTTPClient:    &http.Client{Transport: transport},
		MaxRetryDelay: -1,
	}
	r := &readResult{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer transport.CloseIdleConnections()
		for event, err := range c.Events(ctx) {
			if r.err = err; err != nil {
				return
			}
			got := received{Type: event.Type, Data: event.Data, LastEventID: event.LastEventID}
			if got.Type == "" {
				got.Type = "message"
			}
			if r.events = append(r.events, got); got.Type == done {
				return
			}
		}
	}()
	k.t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// check compares the events that the client has received with want. r.done must be
// closed.
func (r *readResult) check(t *testing.T, want []received) {
	t.Helper()
	if r.err != nil {
		t.Errorf("our client, after %d events: got error %v", len(r.events), r.err)
	}
	compare(t, r.events, want)
}

// TestKilled runs the test with two of our clients, without a browser.
func TestKilled(t *testing.T) {
	skipIfShort(t)
	k := newKillTest(t, "sse-1", "sse-2")
	one, two := k.readWithClient("sse-1"), k.readWithClient("sse-2")
	k.run()
	<-one.done
	<-two.done
	want := k.want()
	one.check(t, want)
	two.check(t, want)
}

// testKilled runs the test with a browser and one of our clients.
func testKilled(t *testing.T, b *browser) {
	k := newKillTest(t, "browser", "sse")
	client := k.readWithClient("sse")
	// The page does not listen to sse.cursor, because cursors are not in the log. It
	// listens to sse.gap, so that a gap makes the comparison fail.
	types := []string{"message", "tick", "sse.gap", done}
	r := newRun(nil, b.traits)
	k.failure = r.failure
	b.open(t, r, page{from: b.plain.URL, again: b.traits.givesUp}, k.url("browser"), types)
	k.run()
	got := b.wait(t, r)
	<-client.done
	want := k.want()
	compare(t, got, want)
	client.check(t, want)
}
