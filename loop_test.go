package sse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/memnet"
)

// loopHost is a server whose broker parks with a poller of the test's.
type loopHost struct {
	broker   *Broker
	listener *memnet.Listener
	server   *http.Server
	served   sync.WaitGroup
}

func newLoopHost(b *Broker, p poller) *loopHost {
	b.Park = true
	b.core.loops.create = func() (poller, error) { return p, nil }
	h := &loopHost{broker: b, listener: memnet.Listen(0), server: &http.Server{Handler: b}}
	h.served.Go(func() { _ = h.server.Serve(h.listener) })
	return h
}

// listen subscribes, and collects what comes.
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

// close ends all, and reports what Shutdown says.
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

// sink collects bytes.
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

// What was put together for one stream does not wait for the hook of another that is
// in the same batch.
func TestHookHoldsNobodyBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		broker := &Broker{OnDisconnect: func(Subscriber, error) { <-hold }}
		h := newLoopHost(broker, newFakePoller())
		first, second := h.listen(t), h.listen(t)
		c := &broker.core
		event := Event{Data: "before the hook"}
		d := newDraft(&event, defaultTopics)
		c.mu.Lock() // so that both are of one batch
		c.win.publish(&d, defaultTopics, time.Now())
		c.tell(c.all[0])
		c.endLocked(c.all[1], ErrKicked)
		c.mu.Unlock()
		synctest.Wait()
		if !first.has(event.Data) {
			t.Error("the event waits for the hook of another")
		}
		close(hold)
		if err := h.close(first, second); err != nil {
			t.Error(err)
		}
	})
}

// A stream whose OnConnect still runs when Shutdown has had its time ends once that
// returns.
func TestShutdownDuringOnConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		left := 0
		broker := &Broker{
			OnConnect:    func(Subscriber) { <-hold },
			OnDisconnect: func(Subscriber, error) { left++ },
		}
		p := newFakePoller()
		h := newLoopHost(broker, p)
		s := h.listen(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := broker.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v", err)
		}
		close(hold)
		synctest.Wait()
		if left != 1 || len(p.conns) != 0 {
			t.Errorf("%d have left, %d descriptors are open", left, len(p.conns))
		}
		if err := h.close(s); err != nil {
			t.Error(err)
		}
	})
}

type freePoller struct {
	*fakePoller
	freed *int
}

func (f freePoller) free() { *f.freed++ }

// If there is no poller for each loop, those that there are do not stay.
func TestStartLoopsFails(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // for three loops
	full := errors.New("no more")
	made, freed := 0, 0
	var broker Broker
	broker.core.loops.create = func() (poller, error) {
		if made == 2 {
			return nil, full
		}
		made++
		return freePoller{newFakePoller(), &freed}, nil
	}
	c, err := broker.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.startLoops(); !errors.Is(err, full) || freed != 2 {
		t.Errorf("%v, and %d of 2 pollers were freed", err, freed)
	}
}
