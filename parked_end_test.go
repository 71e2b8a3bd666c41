package sse

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leavingPoller is of peers that go while they are told the end.
type leavingPoller struct {
	*fakePoller
	handled chan struct{} // bound: 1; has an element since all was dealt with that wait reported

	mu     sync.Mutex // guards the following
	token  uint64     // of the last that was adopted
	closes int
}

func (l *leavingPoller) adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	l.mu.Lock()
	l.token = token
	l.mu.Unlock()
	return l.fakePoller.adopt(conn, token, timeout)
}

func (l *leavingPoller) wait(events []readiness) (int, error) {
	select {
	case l.handled <- struct{}{}:
	default:
	}
	return l.fakePoller.wait(events)
}

func (l *leavingPoller) write(out *output) {
	if p := out.data; bytes.HasSuffix(p, []byte("\r\n0\r\n\r\n")) || string(p) == "0\r\n\r\n" {
		<-l.handled
		l.mu.Lock()
		token := l.token
		l.mu.Unlock()
		l.events <- readiness{token, true}
		<-l.handled
	}
	l.fakePoller.write(out)
}

func (l *leavingPoller) close(fd int) {
	l.mu.Lock()
	first := l.closes == 0
	l.closes++
	l.mu.Unlock()
	if first { // in the system the next one would be another's
		l.fakePoller.close(fd)
	}
}

// However a stream ends, and whatever is heard of its peer meanwhile, the descriptor
// is closed once, and its place in the table is free once.
func TestParkedEndsOnce(t *testing.T) {
	for name, end := range map[string]func(*Broker){
		"pulled": func(b *Broker) {
			_, _ = b.PublishAll(context.Background(), Entry{}, Entry{}, Entry{}) // of which one is kept
		},
		"kicked":    func(b *Broker) { b.Kick(1) },
		"shut down": func(b *Broker) { _ = b.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &leavingPoller{fakePoller: newFakePoller(), handled: make(chan struct{}, 1)}
				broker := &Broker{Retention: Retention{Events: 1}}
				broker.Select = func(*http.Request) (Selection, error) { return Selection{Loss: LossRefuse}, nil }
				h := newLoopHost(broker, l)
				s := h.listen(t)
				end(broker)
				synctest.Wait()
				if !s.has("0\r\n\r\n") {
					t.Error("the stream has no end")
				}
				if err := h.close(s); err != nil {
					t.Error(err)
				}
				if l.closes != 1 {
					t.Errorf("the descriptor was closed %d times", l.closes)
				}
				if free := broker.core.loops.all[0].free; len(free) != 1 {
					t.Errorf("the free places are %v", free)
				}
			})
		})
	}
}
