package property

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/internal/testrand"
	"github.com/sse-go/sse/ssetest"
)

// world is the state of one random program: the current broker, the log if there
// is one, the subjects, and the model.
type world struct {
	t           *testing.T
	wait        brokertest.Wait
	rand        *rand.Rand
	seed        uint64
	server      *ssetest.Server
	transport   *http.Transport
	log         *reflog.Log // or nil
	logRules    []reflog.Retention
	topics      []string // the topics and patterns that the program uses
	patterns    []string
	retention   sse.Retention
	rules       []sse.TopicRetention
	cursor      sse.CursorForm
	streams     sse.StreamOptions
	maxAge      time.Duration
	maxSubjects int            // largest number of subjects at a time
	slow        atomic.Bool    // clients read slowly
	steps       []string       // descriptions of the steps done
	counts      map[string]int // number of steps, gaps and ends of streams, by name
	subjects    []*subject     // the subjects that unsubscribe has not removed
	flooded     map[*life]int  // by life, the group of its first flood

	group  atomic.Int64
	newest atomic.Uint64 // newest sequence of the current life
	tokens atomic.Int64  // number of calls of draft
	hooks  atomic.Int64  // calls of OnConnect minus calls of OnDisconnect

	mu        sync.Mutex // guards the following
	broker    *sse.Broker
	all       []*subject   // including removed subjects
	lives     []*life      // the last one is the life of broker
	published []*published // by published.token
	pending   []*published // the events of this group, which are not yet in a life
}

func newWorld(t *testing.T, wait brokertest.Wait, seed uint64, withLog bool,
	counts map[string]int) *world {
	w := &world{
		t: t, wait: wait, seed: seed, rand: testrand.WithSeed(seed), counts: counts,
		flooded: make(map[*life]int),
	}
	w.configure(withLog)
	opts := wait.Options
	opts.BufferSize = w.pick(32, 256, 4<<10, 64<<10)
	w.server = ssetest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		broker, _ := w.current()
		broker.ServeHTTP(rw, r)
	}), &opts)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!opts.HTTP2)
	protocols.SetUnencryptedHTTP2(opts.HTTP2)
	w.transport = &http.Transport{
		Protocols:   protocols,
		DialContext: w.dial,
		// Without this limit, an HTTP/2 client buffers megabytes while it stalls.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 10},
	}
	t.Cleanup(w.transport.CloseIdleConnections)
	w.begin()
	t.Cleanup(w.end)
	return w
}

// end stops the subjects and the broker that a failed program has left running.
func (w *world) end() {
	w.slow.Store(false)
	time.Sleep(time.Second) // until the last slow read has returned
	for _, s := range w.subjects {
		s.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = w.broker.Shutdown(ctx)
}

func (w *world) dial(context.Context, string, string) (net.Conn, error) {
	return &link{Conn: w.server.Dial(), w: w}, nil
}

// link is a client's end of a connection. While world.slow is set, each Read takes
// a millisecond and returns at most 100 bytes.
type link struct {
	net.Conn
	w *world
}

func (l *link) Read(p []byte) (int, error) {
	if l.w.slow.Load() {
		time.Sleep(time.Millisecond)
		p = p[:min(len(p), 100)]
	}
	return l.Conn.Read(p)
}

// configure draws at random the names, the retention and the options of this
// program.
func (w *world) configure(withLog bool) {
	w.drawNames()
	w.slow.Store(w.chance(20))
	w.maxSubjects = w.pick(3, 6, 12)
	w.retention = w.limits()
	if withLog {
		for range w.rand.IntN(3) {
			rule := reflog.Retention{Entries: w.pick(0, 1, 3, 10, 40), Age: w.age()}
			if w.rand.IntN(3) > 0 {
				rule.Pattern = w.pattern()
			}
			w.logRules = append(w.logRules, rule)
		}
		w.log = reflog.New(&reflog.Options{Retention: w.logRules})
	} else {
		for range w.rand.IntN(3) {
			limits := w.limits()
			w.rules = append(w.rules, sse.TopicRetention{
				Pattern: w.pattern(), Events: limits.Events, Bytes: limits.Bytes, Age: limits.Age,
			})
		}
	}
	w.cursor = []sse.CursorForm{"", "", "", sse.CursorBlock, sse.CursorOff}[w.rand.IntN(5)]
	w.streams.Heartbeat = []time.Duration{0, time.Second, -1}[w.rand.IntN(3)]
	w.streams.WriteTimeout = []time.Duration{0, 2 * time.Second}[w.rand.IntN(2)]
	if w.chance(10) {
		w.maxAge = 20 * time.Second
	}
}

// limits returns a random retention.
func (w *world) limits() sse.Retention {
	limits := sse.Retention{Events: w.pick(1, 2, 5, 20, 100, 0), Age: w.age()}
	if w.chance(20) {
		limits.Bytes = int64(w.pick(100, 2000, 20000))
	}
	return limits
}

func (w *world) age() time.Duration {
	if w.chance(15) {
		return time.Duration(w.pick(1, 5, 30)) * time.Second
	}
	return 0
}

func (w *world) chance(percent int) bool { return w.rand.IntN(100) < percent }

func (w *world) pick(values ...int) int { return values[w.rand.IntN(len(values))] }

// begin starts a broker and makes it the current one. Without a log, the broker
// begins another life.
func (w *world) begin() {
	b := &sse.Broker{
		Retention: w.retention, TopicRetention: w.rules, Cursor: w.cursor, Streams: w.streams,
		MaxAge:       w.maxAge,
		OnConnect:    func(sse.Subscriber) { w.hooks.Add(1) },
		OnDisconnect: func(_ sse.Subscriber, err error) { w.hooks.Add(-1); w.countEnd(err) },
	}
	if w.wait.Park != nil {
		w.wait.Park(b)
	}
	if w.log != nil {
		b.Log = w.log
	}
	n := len(w.lives)
	if w.log != nil && n > 0 {
		n--
	}
	b.Select = func(r *http.Request) (sse.Selection, error) {
		// Do not record an attempt for a request that was canceled before its handler
		// ran: the subject may have recorded its next attempt already.
		if err := r.Context().Err(); err != nil {
			return sse.Selection{}, err
		}
		i, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			return sse.Selection{}, err
		}
		w.mu.Lock()
		s := w.all[i]
		w.mu.Unlock()
		asked := r.Header.Get("Last-Event-ID")
		if asked == "" {
			asked = r.URL.Query().Get("lastEventId")
		}
		s.recordAttempt(n, asked)
		return s.sel, nil
	}
	at, err := b.Position(w.t.Context())
	if err != nil {
		w.fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broker = b
	if n < len(w.lives) {
		return
	}
	w.newest.Store(0)
	w.lives = append(w.lives, &life{epoch: at.Epoch, keep: w.newKeeper()})
}

func (w *world) newKeeper() keeper {
	if w.log != nil {
		return &logKeeper{rules: w.logRules}
	}
	limits := w.retention
	if limits.Events == 0 {
		limits.Events = 16 << 10
	}
	return &windowKeeper{
		limits: limits, rules: w.rules,
		wanted: make(map[string][]*published), sizes: make(map[string]int64),
	}
}

// current returns the current broker, and the index of its life in w.lives.
func (w *world) current() (*sse.Broker, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broker, len(w.lives) - 1
}

func (w *world) lifeOf(epoch uint64) *life {
	for _, l := range w.lives {
		if l.epoch == epoch {
			return l
		}
	}
	return nil
}

// publish publishes an event and records it.
func (w *world) publish(event sse.Event, topics []string) {
	broker, n := w.current()
	e := w.draft(event, topics, n)
	at, err := broker.Publish(w.t.Context(), e.event, topics...)
	if err != nil {
		w.t.Errorf("Publish: %v", err)
		return
	}
	w.record(e, at)
}

// publishAll publishes several events with one call and records them.
func (w *world) publishAll(events []sse.Event, topics [][]string) {
	broker, n := w.current()
	var drafts []*published
	var entries []sse.Entry
	for i := range events {
		e := w.draft(events[i], topics[i], n)
		e.more = i < len(events)-1
		drafts = append(drafts, e)
		entries = append(entries, sse.Entry{Topics: topics[i], Event: e.event})
	}
	result, err := broker.Append(w.t.Context(), sse.AppendRequest{Entries: entries})
	if err != nil {
		w.t.Errorf("Append: %v", err)
		return
	}
	for i, e := range drafts {
		w.record(e, result.Positions[i])
	}
}

// draft returns an event that is not published yet. Its data begins with a unique
// number, so that identify finds the event again.
func (w *world) draft(event sse.Event, topics []string, life int) *published {
	token := int(w.tokens.Add(1)) - 1
	event.Data = strings.TrimSpace(strconv.Itoa(token) + " " + event.Data)
	e := &published{token: token, life: life, event: event, time: time.Now(), lost: never}
	for _, topic := range topics {
		if !slices.Contains(e.topics, topic) {
			e.topics = append(e.topics, topic)
		}
	}
	if len(topics) == 0 {
		e.topics = []string{""}
	}
	e.group = int(w.group.Load())
	return e
}

// record records that an event was published at a position.
func (w *world) record(e *published, at sse.Position) {
	e.at = at
	event := e.event
	if event.ID == "" {
		event.ID = at.String()
	}
	wire, _ := sse.AppendEvent(nil, event)
	e.size = int64(len(wire) + len(fmt.Sprintf("%x\r\n\r\n", len(wire))))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, e)
	for len(w.published) <= e.token {
		w.published = append(w.published, nil)
	}
	w.published[e.token] = e
	w.newest.Store(max(w.newest.Load(), at.Seq))
}

// passes reports whether the filter n accepts the event.
func (e *published) passes(n int) bool { return passes(e.event.Data, n) }

// passes reports whether the filter n accepts an event with the data. The filter n
// excludes about one event in n.
func passes(data string, n int) bool {
	hash := fnv.New32()
	hash.Write([]byte(data))
	return hash.Sum32()%uint32(n) != 0
}

// settle waits until all other goroutines of the bubble are blocked. Then it adds
// the events of this group to their lives, records an itemSync for each subject
// unless clients read slowly, and begins the next group.
func (w *world) settle() {
	synctest.Wait()
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	slices.SortFunc(pending, func(a, b *published) int {
		if a.life != b.life {
			return a.life - b.life
		}
		return int(a.at.Seq) - int(b.at.Seq)
	})
	for _, e := range pending {
		if err := w.lives[e.life].add(e); err != nil {
			w.fatal(err)
		}
	}
	if !w.slow.Load() {
		for _, s := range w.subjects {
			s.sync()
		}
	}
	w.group.Add(1)
}

// inexact reports whether the life l has had a flood by the given group. The broker
// then does not record the newest loss of each topic, so it may send a gap although
// only events of other topics were lost.
func (w *world) inexact(l *life, group int) bool {
	from, ok := w.flooded[l]
	return ok && group >= from
}

// verify checks the record of a subject against the model, and fails the test if the
// resume property does not hold.
func (w *world) verify(s *subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		w.fatal(fmt.Errorf("subscriber %s has given up: %w", s, s.ended))
	}
	c := &checker{w: w, s: s, start: s.start, ago: s.ago}
	if err := c.check(s.items); err != nil {
		w.fatal(err)
	}
}

func (w *world) fatal(err error) {
	w.t.Helper()
	w.t.Fatalf("%v\nretention %+v, of topics %+v, of the log %+v\nlast steps:\n\t%s\n"+
		"to run the program again, set SSE_TEST_SEED=%d",
		err, w.retention, w.rules, w.logRules,
		strings.Join(w.steps[max(0, len(w.steps)-40):], "\n\t"), w.seed)
}
