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
)

// rounds is how often something happens to the connections, or to the server.
const rounds = 9

// killing is a broker whose server is killed and started again on the same log,
// while events are published and connections break. In the end every client must
// have got what the log has, exactly once, in order.
type killing struct {
	t       *testing.T
	random  *rand.Rand
	path    string // of the log
	cable   *cable
	broker  *brokerProcess
	starts  int
	clients []string
	via     *http.Client // to publish with
	gaveUp  chan string  // why a browser cannot go on, if there is one

	mu    sync.Mutex // guards the following
	acked []sse.Position
	sent  atomic.Int64
}

func newKilling(t *testing.T, clients ...string) *killing {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := &killing{
		t:       t,
		random:  rand.New(rand.NewPCG(seed, 0)),
		path:    filepath.Join(scratch(t), "events.jsonl"),
		cable:   newCable(t),
		clients: clients,
		via:     &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	k.start()
	return k
}

// url is what a client asks for. Two topics of three; what was there before it
// came, too.
func (k *killing) url(client string) string {
	return "http://" + k.cable.address + "/events?since=earliest&topic=a&topic=b&client=" + client
}

// start starts the server. It parks every second time.
func (k *killing) start() {
	k.t.Helper()
	k.starts++
	k.broker = startBroker(k.t, k.path, k.starts%2 == 0)
	k.cable.plug(k.t, k.broker.address)
}

// kill kills the server.
func (k *killing) kill() {
	k.broker.kill()
	k.cable.unplug()
}

// publish publishes one event. Its topics, type and id depend on its number.
func (k *killing) publish(event sse.Event, topics ...string) (sse.Position, error) {
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

func (k *killing) mustPublish(event sse.Event, topics ...string) sse.Position {
	k.t.Helper()
	at, err := k.publish(event, topics...)
	if err != nil {
		k.t.Fatal(err)
	}
	return at
}

// publishSome publishes events until one is not answered.
func (k *killing) publishSome(n int) {
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

// round publishes, and meanwhile something happens.
func (k *killing) round() {
	k.t.Helper()
	const most = 40
	var publishing sync.WaitGroup
	until := k.sent.Load() + 1 + k.random.Int64N(most/2)
	publishing.Go(func() { k.publishSome(most) })
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
func (k *killing) awaitAll() {
	k.t.Helper()
	for _, client := range k.clients {
		k.eventually(func() error { return k.cable.open(client) })
	}
}

func (k *killing) eventually(f func() error) {
	k.t.Helper()
	err := eventually(func() error {
		select {
		case why := <-k.gaveUp:
			k.t.Fatal(why)
		default:
		}
		return f()
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

// run lets it all happen. The clients must be on their way.
func (k *killing) run() {
	k.t.Helper()
	k.awaitAll()
	for range rounds {
		k.round()
	}
	k.awaitAll()
	k.checkCursor()
	k.mustPublish(sse.Event{Type: done, Data: "the end"}, "b")
}

// checkCursor publishes what no client gets. All the same each of them comes back,
// after the server was killed, with the position of the last event.
func (k *killing) checkCursor() {
	k.t.Helper()
	var at sse.Position
	for range 3 {
		at = k.mustPublish(sse.Event{Data: "foreign"}, "c")
	}
	before := map[string]int{}
	for _, client := range k.clients {
		k.eventually(func() error { return k.cable.knows(client, at) })
		before[client] = len(k.cable.of(client))
	}
	k.kill()
	k.start()
	k.awaitAll()
	for client, n := range before {
		calls := k.cable.of(client)
		if len(calls) <= n {
			k.t.Fatalf("%s has not come back", client)
		}
		if got := calls[n].lastEventID; got != at.String() {
			k.t.Errorf("%s has come back with Last-Event-ID %q; the last cursor was %q", client, got, at)
		}
	}
}

// want is what every client must have received: what is in the log.
func (k *killing) want() []received {
	k.t.Helper()
	k.kill()
	log, err := reflog.Open(k.path, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer log.Close()
	page, err := log.Read(k.t.Context(), sse.Position{}, sse.Position{},
		sse.Selection{Patterns: []sse.Pattern{everyTopic(k.t)}}, 1<<30)
	if err != nil {
		k.t.Fatal(err)
	}
	kept := map[sse.Position]bool{}
	sel := sse.Selection{Topics: []string{"a", "b"}}
	var want []received
	for _, entry := range page.Entries {
		kept[entry.Position] = true
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
		if !kept[at] {
			k.t.Errorf("the log does not have %v, which was published", at)
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

// requests says how many each client has sent, and which of them a page by hand.
func (k *killing) requests() string {
	var text strings.Builder
	for _, client := range k.clients {
		byHand := 0
		calls := k.cable.of(client)
		for _, l := range calls {
			if l.byHand {
				byHand++
			}
		}
		fmt.Fprintf(&text, "%s came %d times, %d of them by hand; ", client, len(calls), byHand)
	}
	return text.String()
}

// reading is our client's.
type reading struct {
	done   chan struct{} // closed when the following is set
	events []received
	err    error
}

// readOurs reads with our client until the agreed end.
func (k *killing) readOurs(client string) *reading {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	transport := &http.Transport{}
	c := &sse.Client{
		URL:           k.url(client),
		HTTPClient:    &http.Client{Transport: transport},
		MaxRetryDelay: -1,
	}
	r := &reading{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer transport.CloseIdleConnections()
		for event, err := range c.Events(ctx) {
			if r.err = err; err != nil {
				return
			}
			got := received{Type: event.Type, Data: event.Data, LastEventID: event.ID}
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

// check waits for the end, and compares.
func (r *reading) check(t *testing.T, want []received) {
	t.Helper()
	if r.err != nil {
		t.Errorf("our client, after %d events: %v", len(r.events), r.err)
	}
	compare(t, r.events, want)
}

// TestKilled is for our client alone, without any browser.
func TestKilled(t *testing.T) {
	notShort(t)
	k := newKilling(t, "ours-1", "ours-2")
	one, two := k.readOurs("ours-1"), k.readOurs("ours-2")
	k.run()
	<-one.done
	<-two.done
	want := k.want()
	one.check(t, want)
	two.check(t, want)
}

// testKilled is for a browser, and our client beside it.
func testKilled(t *testing.T, b *browser) {
	k := newKilling(t, "browser", "ours")
	ours := k.readOurs("ours")
	// Not sse.cursor: so if one of those is dispatched all the same, it shows.
	types := []string{"message", "tick", "sse.gap", done}
	r := newRun(nil, b.traits)
	k.gaveUp = r.failure
	b.open(t, r, page{from: b.plain.URL, again: b.traits.givesUp}, k.url("browser"), types)
	k.run()
	got := r.wait(t, b.process)
	<-ours.done
	want := k.want()
	compare(t, got, want)
	ours.check(t, want)
}
