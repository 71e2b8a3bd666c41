package sse

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/memnet"
)

// ParkInMemory makes a broker park streams of the network in memory. To be called
// before it is used.
func ParkInMemory(b *Broker) {
	b.Park = true
	b.core.loops.create = func() (poller, error) { return newFakePoller(), nil }
}

// ParkInMemoryAfter is ParkInMemory, and calls f each time that the head of a stream is
// out, but nothing else has happened for it.
func ParkInMemoryAfter(b *Broker, f func()) {
	b.Park = true
	b.core.loops.create = func() (poller, error) { return latePoller{newFakePoller(), f}, nil }
}

type latePoller struct {
	*fakePoller
	before func()
}

func (l latePoller) adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	l.before()
	return l.fakePoller.adopt(conn, token, timeout)
}

// fakePoller is a poller for connections in memory, with a goroutine for each.
type fakePoller struct {
	mu      sync.Mutex // guards the following
	conns   map[int]*memnet.Conn
	lastFD  int
	stopped bool

	events chan readiness
	done   chan struct{} // closed by stop
	wg     sync.WaitGroup
}

func newFakePoller() *fakePoller {
	return &fakePoller{
		conns:  make(map[int]*memnet.Conn),
		events: make(chan readiness),
		done:   make(chan struct{}),
	}
}

func (f *fakePoller) adopt(conn net.Conn, token uint64, _ time.Duration) (int, error) {
	c, ok := conn.(*memnet.Conn)
	if !ok {
		return -1, fmt.Errorf("%T is not in memory", conn)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return -1, net.ErrClosed
	}
	f.lastFD++
	f.conns[f.lastFD] = c
	f.wg.Go(func() {
		for {
			gone, err := c.Await()
			if err != nil {
				return
			}
			select {
			case f.events <- readiness{token, gone}:
			case <-f.done:
				return
			}
			if gone {
				return
			}
		}
	})
	return f.lastFD, nil
}

func (f *fakePoller) conn(fd int) *memnet.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.conns[fd]
	if c == nil {
		panic(fmt.Sprintf("descriptor %d is not open", fd))
	}
	return c
}

func (f *fakePoller) write(out *output) {
	for out.n < len(out.data) {
		n, err := f.conn(out.fd).TryWrite(out.data[out.n:])
		out.n += n
		if out.err = err; err != nil || n == 0 {
			return
		}
	}
}

func (f *fakePoller) writeAll(outs []*output) {
	for _, out := range outs {
		if out.n != 0 || out.err != nil {
			panic("an output is written twice")
		}
		f.write(out)
	}
}

func (f *fakePoller) free() {}

func (f *fakePoller) close(fd int) {
	_ = f.conn(fd).Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, fd)
}

func (f *fakePoller) wait(events []readiness) (int, error) {
	select {
	case events[0] = <-f.events:
		return 1, nil
	case <-f.done:
		return 0, net.ErrClosed
	}
}

func (f *fakePoller) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.stopped = true
		close(f.done)
	}
}
