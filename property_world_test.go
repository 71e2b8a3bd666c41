package sse_test

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
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/ssetest"
)

// world is what one random program runs in: brokers one after the other, a log or
// none, and subjects.
type world struct {
	t         *testing.T
	f         *brokerFixture
	rand      *rand.Rand
	seed      uint64
	server    *ssetest.Server
	transport *http.Transport
	log       *reflog.Log // or nil
	logRules  []reflog.Retention
	topics    []string // what is drawn from
	patterns  []string
	retention sse.Retention
	rules     []sse.Retention
	cursor    sse.CursorForm
	accept    sse.AcceptOptions
	maxAge    time.Duration
	most      int         // how many subjects there are at a time
	slow      atomic.Bool // what a client reads takes time
	steps     []string
	counts    map[string]int
	subjects  []*subject
	flooded   map[*life]int // the group from which topics may be forgotten

	group  atomic.Int64
	newest atomic.Uint64 // of the life that is current
	tokens atomic.Int64
	hooks  atomic.Int64 // OnConnect minus OnDisconnect

	mu        sync.Mutex // guards the following
	broker    *sse.Broker
	all       []*subject
	lives     []*life
	published []*published // by the number in their data
	pending   []*published // of this group
}

func newWorld(t *testing.T, f *brokerFixture, seed uint64, withLog bool, counts map[string]int) *world {
	w := &world{
		t: t, f: f, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), counts: counts,
		flooded: make(map[*life]int),
	}
	w.configure(withLog)
	opts := f.opts
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
		// Or else a client that does not read would still be sent a lot.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 10},
	}
	t.Cleanup(w.transport.CloseIdleConnections)
	w.begin()
	t.Cleanup(w.end)
	return w
}

// end stops all that is left if the program has failed.
func (w *world) end() {
	w.slow.Store(false)
	time.Sleep(time.Second) // for those who read slowly
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

// link is a client's end of a connection. If the world is slow, it is too.
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

// configure draws what is kept, and how streams are.
func (w *world) configure(withLog bool) {
	w.drawNames()
	w.slow.Store(w.chance(20))
	w.most = w.pick(3, 6, 12)
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
			rule := w.limits()
			rule.Pattern = w.pattern()
			w.rules = append(w.rules, rule)
		}
	}
	w.cursor = []sse.CursorForm{"", "", "", sse.CursorBlock, sse.CursorOff}[w.rand.IntN(5)]
	w.accept.Heartbeat = []time.Duration{0, time.Second, -1}[w.rand.IntN(3)]
	w.accept.WriteTimeout = []time.Duration{0, 2 * time.Second}[w.rand.IntN(2)]
	if w.chance(10) {
		w.maxAge = 20 * time.Second
	}
}

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

// begin starts a broker. Without a log, that is another life.
func (w *world) begin() {
	b := &sse.Broker{
		Retention: w.retention, TopicRetention: w.rules, Cursor: w.cursor, Stream: w.accept,
		MaxAge:       w.maxAge,
		OnConnect:    func(sse.Subscriber) { w.hooks.Add(1) },
		OnDisconnect: func(_ sse.Subscriber, err error) { w.hooks.Add(-1); w.countEnd(err) },
	}
	if w.f.broker.Park {
		sse.ParkInMemory(b)
	}
	if w.log != nil {
		b.Log = w.log
	}
	n := len(w.lives)
	if w.log != nil && n > 0 {
		n--
	}
	b.Select = func(r *http.Request) (sse.Selection, error) {
		// One that was given up before its handler ran is no attempt: the next may have
		// been noted already.
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
		s.attempting(n, asked)
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

// current is the broker that requests reach, and its life.
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

// publish publishes one event, and tells the model.
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

// publishAll publishes several with one call.
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
	at, err := broker.PublishAll(w.t.Context(), entries...)
	if err != nil {
		w.t.Errorf("PublishAll: %v", err)
		return
	}
	for i, e := range drafts {
		w.record(e, at[i])
	}
}

// draft is an event before it is published, with a number of its own in its data.
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

// record notes that an event was published.
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

// passes is the filter that leaves out one event in n.
func (e *published) passes(n int) bool { return passes(e.event.Data, n) }

func passes(data string, n int) bool {
	hash := fnv.New32()
	hash.Write([]byte(data))
	return hash.Sum32()%uint32(n) != 0
}

// settle ends a group: it waits until nothing goes on any more.
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

// forgotten reports whether the broker may know no more of which topics it has
// lost something.
func (w *world) forgotten(l *life, group int) bool {
	from, ok := w.flooded[l]
	return ok && group >= from
}

// verify checks what a subject has seen so far.
func (w *world) verify(s *subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		w.fatal(fmt.Errorf("subscriber %s gave up: %w", s, s.ended))
	}
	c := &checker{w: w, s: s, start: s.start, ago: s.ago}
	if err := c.check(s.items); err != nil {
		w.fatal(err)
	}
}

func (w *world) fatal(err error) {
	w.t.Helper()
	w.t.Fatalf("%v\nretention %+v, of topics %+v, of the log %+v\nlast steps:\n\t%s\n"+
		"run again with SSE_TEST_SEED=%d",
		err, w.retention, w.rules, w.logRules, strings.Join(w.steps[max(0, len(w.steps)-40):], "\n\t"), w.seed)
}
