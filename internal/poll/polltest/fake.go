// Package polltest provides a fake [poll.Poller] for tests in fake time.
package polltest

import (
	"fmt"
	"net"
	"reflect"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/memnet"
	"github.com/sse-go/sse/internal/poll"
)

// Fake is a Poller for the in-memory connections of memnet. It runs a goroutine
// for each adopted connection.
type Fake struct {
	mu      sync.Mutex // guards the following
	conns   map[int]*memnet.Conn
	lastFD  int
	stopped bool

	events chan poll.Readiness
	done   chan struct{} // closed by Stop
	wg     sync.WaitGroup
}

var _ poll.Poller = (*Fake)(nil)

// NewFake returns a Fake without connections.
func NewFake() *Fake {
	return &Fake{
		conns:  make(map[int]*memnet.Conn),
		events: make(chan poll.Readiness),
		done:   make(chan struct{}),
	}
}

// Adopts implements [poll.Poller].
func (f *Fake) Adopts(conn reflect.Type) bool { return conn == reflect.TypeFor[*memnet.Conn]() }

// Adopt implements [poll.Poller]. It fails if conn is not a [*memnet.Conn].
func (f *Fake) Adopt(conn net.Conn, token uint64, _ time.Duration) (int, error) {
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
	f.wg.Go(func() { // ends when the connection is closed, its peer has left, or Stop is called
		for {
			gone, err := c.Await()
			if err != nil {
				return
			}
			select {
			case f.events <- poll.Readiness{Token: token, Gone: gone}:
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

func (f *Fake) conn(fd int) *memnet.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.conns[fd]
	if c == nil {
		panic(fmt.Sprintf("descriptor %d is not open", fd))
	}
	return c
}

// Write implements [poll.Poller].
func (f *Fake) Write(out *poll.Output) {
	for out.N < len(out.Data) {
		n, err := f.conn(out.FD).TryWrite(out.Data[out.N:])
		out.N += n
		if out.Err = err; err != nil || n == 0 {
			return
		}
	}
}

// WriteAll implements [poll.Poller]. It panics if an output has a nonzero N or an
// error, because package sse must pass each output only once.
func (f *Fake) WriteAll(outs []*poll.Output) {
	for _, out := range outs {
		if out.N != 0 || out.Err != nil {
			panic("an output is written twice")
		}
		f.Write(out)
	}
}

// Free implements [poll.Poller].
func (f *Fake) Free() {}

// Close implements [poll.Poller].
func (f *Fake) Close(fd int) {
	_ = f.conn(fd).Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, fd)
}

// Wait implements [poll.Poller]. It stores one event at a time.
func (f *Fake) Wait(events []poll.Readiness) (int, error) {
	select {
	case events[0] = <-f.events:
		return 1, nil
	case <-f.done:
		return 0, net.ErrClosed
	}
}

// Stop implements [poll.Poller].
func (f *Fake) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.stopped = true
		close(f.done)
	}
}

// Open returns the number of descriptors that are open.
func (f *Fake) Open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// Report makes Wait return the event. It blocks until Wait has received the event.
func (f *Fake) Report(event poll.Readiness) { f.events <- event }
