package sse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/sse-go/sse/internal/memnet"
	"github.com/sse-go/sse/internal/poll"
	"github.com/sse-go/sse/internal/poll/polltest"
)

// loopHost is a server in memory whose broker parks its streams: the goroutines called
// loops write to all streams, by means of a given poller.
type loopHost struct {
	broker   *Broker
	listener *memnet.Listener
	server   *http.Server
	served   sync.WaitGroup
}

func newLoopHost(b *Broker, p poll.Poller) *loopHost {
	b.Park = true
	b.state.loops.newPoller = func() (poll.Poller, error) { return p, nil }
	h := &loopHost{broker: b, listener: memnet.Listen(0), server: &http.Server{Handler: b}}
	h.served.Go(func() { _ = h.server.Serve(h.listener) })
	return h
}

// listen opens a stream and returns a sink that collects its bytes. Before it returns,
// the broker has parked the stream, unless a hook blocks.
func (h *loopHost) listen(t *testing.T) *sink {
	t.Helper()
	conn, err := h.listener.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s := &sink{conn: conn}
	h.served.Go(func() { _, _ = io.Copy(s, conn) })
	synctest.Wait()
	return s
}

// close shuts down the broker, closes the server and the connections of sinks, and
// returns the error of Broker.Shutdown.
func (h *loopHost) close(sinks ...*sink) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	err := h.broker.Shutdown(ctx)
	for _, s := range sinks {
		_ = s.conn.Close()
	}
	_ = h.server.Close()
	h.served.Wait()
	return err
}

// sink collects the bytes that a connection receives.
type sink struct {
	conn net.Conn
	mu   sync.Mutex // guards buf
	buf  []byte
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, p...)
	return len(p), nil
}

func (s *sink) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.buf, []byte(text))
}

// countingPoller counts the calls of WriteAll.
type countingPoller struct {
	*polltest.Fake
	writes int
}

func (c *countingPoller) WriteAll(outs []*poll.Output) {
	c.writes++
	c.Fake.WriteAll(outs)
}

// A loop does the work for several streams in one batch, and writes all its output at
// once. But before it calls a hook, it writes the output of the streams that come earlier
// in the batch.
func TestHookDelaysNoEarlierStream(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // so that there is one loop
	hooks := map[string]func(b *Broker, hook func()){
		"no hook":      func(*Broker, func()) {},
		"OnDisconnect": func(b *Broker, hook func()) { b.OnDisconnect = func(Subscriber, error) { hook() } },
		"OnGap":        func(b *Broker, hook func()) { b.OnGap = func(Subscriber, Gap) { hook() } },
		"OnDrop":       func(b *Broker, hook func()) { b.OnDrop = func(Subscriber, int) { hook() } },
	}
	for _, work := range []streamWork{
		{"event", 1, false, 1, nil},
		{"lag", 2, false, 2, []string{"OnGap", "OnDrop"}}, // a gap, then the second event
		{"end", 1, true, 1, []string{"OnDisconnect"}},
	} {
		for name, set := range hooks {
			t.Run(work.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					broker, p := &Broker{}, &countingPoller{Fake: polltest.NewFake()}
					before, want, wantBefore := 0, work.writes, 0
					set(broker, func() { before = p.writes })
					if slices.Contains(work.calls, name) {
						want, wantBefore = want+1, 1
					}
					work.do(t, broker, p)
					if p.writes != want || before != wantBefore {
						t.Errorf("%d writes, %d of them before the hook; want %d and %d",
							p.writes, before, want, wantBefore)
					}
				})
			})
		}
	}
}

// streamWork is the work for the second of two parked streams: it receives an event, lags
// by two events, or ends. The first stream receives the events.
type streamWork struct {
	name   string
	events int
	end    bool
	writes int      // calls of WriteAll, unless a hook is called
	calls  []string // hooks that are called if they are set
}

// do makes the work for both streams in one batch, and waits until it is done.
func (work *streamWork) do(t *testing.T, b *Broker, p *countingPoller) {
	t.Helper()
	var sel Selection
	b.Select = func(*http.Request) (Selection, error) { return sel, nil }
	h := newLoopHost(b, p)
	first := h.listen(t)
	sel = Selection{Lag: LagSkip, MaxLag: 1}
	second := h.listen(t)
	t.Cleanup(func() {
		if err := h.close(first, second); err != nil {
			t.Error(err)
		}
	})
	p.writes = 0
	st := &b.state
	st.mu.Lock()
	for range work.events {
		d := newDraft(&Event{Data: "x"})
		st.window.publish(&d, defaultTopics, time.Now())
	}
	st.wakeSubscriber(st.subscribers[0])
	if st.wakeSubscriber(st.subscribers[1]); work.end {
		st.endLocked(st.subscribers[1], ErrKicked)
	}
	st.mu.Unlock()
	synctest.Wait()
}

// A stream whose OnConnect still runs when Shutdown returns ends as soon as
// OnConnect returns.
func TestShutdownDuringOnConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		left := 0
		broker := &Broker{
			OnConnect:    func(Subscriber) { <-hold },
			OnDisconnect: func(Subscriber, error) { left++ },
		}
		p := polltest.NewFake()
		h := newLoopHost(broker, p)
		s := h.listen(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := broker.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v, want DeadlineExceeded", err)
		}
		close(hold)
		synctest.Wait()
		if left != 1 || p.Open() != 0 {
			t.Errorf("%d streams have ended and %d descriptors are open, want 1 and 0", left, p.Open())
		}
		if err := h.close(s); err != nil {
			t.Error(err)
		}
	})
}

// freePoller counts the calls of Free.
type freePoller struct {
	*polltest.Fake
	freed *int
}

func (f freePoller) Free() { *f.freed++ }

// If the poller of the third loop cannot be created, the pollers of the first two
// loops are freed.
func TestStartLoopsFails(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // so that there are three loops
	full := errors.New("no more pollers")
	made, freed := 0, 0
	var broker Broker
	broker.state.loops.newPoller = func() (poll.Poller, error) {
		if made == 2 {
			return nil, full
		}
		made++
		return freePoller{polltest.NewFake(), &freed}, nil
	}
	c, err := broker.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.loops.start(c); !errors.Is(err, full) || freed != 2 {
		t.Errorf("loops.start returned %v, and %d of 2 pollers were freed", err, freed)
	}
}

// leavingPoller is a poller whose peer disconnects at the worst time: just before the
// end of its stream is written. It also counts the calls of Close.
type leavingPoller struct {
	*polltest.Fake
	handled chan struct{} // bound: 1; gets an element when Wait's earlier events are handled

	mu     sync.Mutex // guards the following
	token  uint64     // of the connection adopted last
	closes int
}

func (l *leavingPoller) Adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	l.mu.Lock()
	l.token = token
	l.mu.Unlock()
	return l.Fake.Adopt(conn, token, timeout)
}

func (l *leavingPoller) Wait(events []poll.Readiness) (int, error) {
	select {
	case l.handled <- struct{}{}:
	default:
	}
	return l.Fake.Wait(events)
}

func (l *leavingPoller) Write(out *poll.Output) {
	if p := out.Data; bytes.HasSuffix(p, []byte("\r\n0\r\n\r\n")) || string(p) == "0\r\n\r\n" {
		<-l.handled
		l.mu.Lock()
		token := l.token
		l.mu.Unlock()
		l.Report(poll.Readiness{Token: token, Gone: true})
		<-l.handled
	}
	l.Fake.Write(out)
}

func (l *leavingPoller) Close(fd int) {
	l.mu.Lock()
	first := l.closes == 0
	l.closes++
	l.mu.Unlock()
	if first { // a second close is only counted: it could close another connection
		l.Fake.Close(fd)
	}
}

// However a parked stream ends, and even if its peer disconnects at the same time,
// the loop closes its descriptor once, and frees its slot in the loop's table of
// streams once.
func TestParkedEndsOnce(t *testing.T) {
	for name, end := range map[string]func(*Broker){
		"pulled": func(b *Broker) {
			_, _ = b.Append(context.Background(), AppendRequest{Entries: []Entry{{}, {}, {}}}) // more than the window stores
		},
		"kicked":    func(b *Broker) { b.Kick(func(s Subscriber) bool { return s.ID == 1 }) },
		"shut down": func(b *Broker) { _ = b.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &leavingPoller{Fake: polltest.NewFake(), handled: make(chan struct{}, 1)}
				broker := &Broker{Retention: Retention{Events: 1}}
				broker.Select = func(*http.Request) (Selection, error) { return Selection{Loss: LossRefuse}, nil }
				h := newLoopHost(broker, l)
				s := h.listen(t)
				end(broker)
				synctest.Wait()
				if !s.has("0\r\n\r\n") {
					t.Error("the stream has no last chunk")
				}
				if err := h.close(s); err != nil {
					t.Error(err)
				}
				if l.closes != 1 {
					t.Errorf("the descriptor was closed %d times, want once", l.closes)
				}
				if free := broker.state.loops.all[0].freeIndexes; len(free) != 1 {
					t.Errorf("the free slots are %v, want one", free)
				}
			})
		})
	}
}

// On a system of 64 bits, the struct of a parked stream has 240 bytes. A larger struct
// would be noticed in a server with a million streams.
func TestParkedSize(t *testing.T) {
	const want = 240
	if is64 := unsafe.Sizeof(uintptr(0)) == 8; is64 && unsafe.Sizeof(parked{}) != want {
		t.Errorf("a parked stream needs %d bytes, want %d", unsafe.Sizeof(parked{}), want)
	}
}
