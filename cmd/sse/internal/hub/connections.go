package hub

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse"
)

const (
	// reservedDescriptors is how many descriptors the default of
	// Config.MaxConnections leaves for files. The event log may use half of them for
	// its tables. A table is a file with stored events.
	reservedDescriptors = 512

	// minSpareDescriptors is how many descriptors --max-connections must leave for
	// files.
	minSpareDescriptors = 64

	// idleTime is how long a connection must have been idle before the hub may close
	// it to make room for another connection. While the limit is reached, the hub
	// looks for such connections once in idleTime.
	idleTime = time.Second

	// fullLogPause is the shortest time between two warnings that the limit of
	// connections is reached.
	fullLogPause = time.Minute
)

// defaultMaxConnections returns the default of Config.MaxConnections for a process
// with this descriptor limit. If descriptors is zero, the limit is unknown; the result
// is then math.MaxInt32.
func defaultMaxConnections(descriptors uint64) int {
	switch {
	case descriptors == 0 || descriptors > math.MaxInt32:
		return math.MaxInt32
	case descriptors < 2*reservedDescriptors:
		return max(1, int(descriptors/2))
	}
	return int(descriptors) - reservedDescriptors
}

// connections counts the open connections, and limits their number: while the
// limit is reached, the hub accepts no connection.
//
// When the broker parks a stream, it takes the connection from net/http, and waits
// for events without a goroutine of the stream:
//
//	accepted ─► served by net/http ─────────────────────────► closed
//	                  │ hijacked                              ▲
//	                  └► handed over ─► parked by the broker ─┘
//
// A connection is counted until it is closed. A connection that has just been parked
// is counted twice, until the handler of its request has returned.
type connections struct {
	max    int
	logger *slog.Logger
	served sync.Map // net.Conn → *connection, of the connections that net/http serves

	mu        sync.Mutex // guards the following
	open      int
	changed   chan struct{} // closed when open falls; nil if no goroutine waits
	lastSweep time.Time     // when awaitRoom last called closeIdle
	lastLog   time.Time     // when awaitRoom last logged that the limit is reached
}

// connection is the state of one connection.
type connection struct {
	conn      net.Conn
	state     atomic.Int32 // an http.ConnState
	idleSince atomic.Int64 // when the state became New or Idle, in nanoseconds since 1970
	released  atomic.Bool  // no longer counted as served by net/http
}

// connectionKey is the key of the *connection in the context of a request.
type connectionKey struct{}

// configure makes a server and a broker report their connections to c. It wraps
// ConnContext and Handler of the server and OnDisconnect of the broker, which must be
// set already. It replaces ConnState of the server and OnConnect of the broker.
func (c *connections) configure(server *http.Server, broker *sse.Broker) {
	nextContext, handler, ended := server.ConnContext, server.Handler, broker.OnDisconnect
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(nextContext(ctx, conn), connectionKey{}, c.add(conn))
	}
	server.ConnState = c.note
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // only a GET can be a stream, and be hijacked
			defer c.endHandover(r)
		}
		handler.ServeHTTP(w, r)
	})
	broker.OnConnect = func(s sse.Subscriber) {
		if s.Wait == "parked" {
			c.count(1)
		}
	}
	broker.OnDisconnect = func(s sse.Subscriber, reason error) {
		if s.Wait == "parked" { // the broker has closed the connection
			c.count(-1)
		}
		ended(s, reason)
	}
}

// add counts a connection that net/http has accepted, and returns its record.
func (c *connections) add(conn net.Conn) *connection {
	record := &connection{conn: conn}
	record.idleSince.Store(time.Now().UnixNano())
	c.served.Store(conn, record)
	c.count(1)
	return record
}

// note is called by net/http when the state of a connection changes. It records the
// new state, and no longer counts a connection that was closed.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	value, ok := c.served.Load(conn)
	if !ok {
		return
	}
	record := value.(*connection)
	switch state {
	case http.StateIdle:
		record.idleSince.Store(time.Now().UnixNano())
	case http.StateHijacked: // endHandover releases the record
		c.served.Delete(conn)
	case http.StateClosed:
		c.served.Delete(conn)
		c.release(record)
	}
	record.state.Store(int32(state))
}

// endHandover is called when the handler of a request has returned. If the handler
// has hijacked the connection, endHandover no longer counts the connection as served:
// it is closed already, or OnConnect has counted it as parked.
func (c *connections) endHandover(r *http.Request) {
	record, ok := r.Context().Value(connectionKey{}).(*connection)
	if ok && http.ConnState(record.state.Load()) == http.StateHijacked {
		c.release(record)
	}
}

func (c *connections) release(record *connection) {
	if !record.released.Swap(true) {
		c.count(-1)
	}
}

func (c *connections) count(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += change
	if change < 0 && c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// awaitRoom blocks until there are fewer connections than the limit, and then returns
// true. If the channel closed is closed first, it returns false. While it waits, it
// closes idle connections, at most once in idleTime. It also logs a warning, at most
// once in fullLogPause.
func (c *connections) awaitRoom(closed <-chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.max {
		now := time.Now()
		sweep := now.Sub(c.lastSweep) >= idleTime
		if sweep {
			c.lastSweep = now
		}
		report := now.Sub(c.lastLog) >= fullLogPause
		if report {
			c.lastLog = now
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		if report {
			c.logger.Warn(fmt.Sprintf("all %d connections are in use; new connections wait", c.max),
				"hint", "--max-connections sets the limit; it must be at most the hard limit of "+
					"descriptors (ulimit -Hn) minus 64")
		}
		if sweep {
			c.closeIdle(now.Add(-idleTime))
		}
		stopped := waitAny(changed, closed)
		c.mu.Lock()
		if stopped {
			return false
		}
	}
	return true
}

// waitAny blocks until changed or closed is closed, or until idleTime has passed. It
// returns true if it has seen that closed is closed. If something else happened at the
// same time, it may return false.
func waitAny(changed, closed <-chan struct{}) bool {
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-changed:
	case <-timer.C:
	}
	return false
}

// closeIdle closes connections that have been idle since the given time or longer.
// It closes connections on which the head of the first request is not complete. If there
// are none, it closes connections that wait for a further request. It begins with the
// longest idle time, and closes at most c.max/2 connections, but at least one.
func (c *connections) closeIdle(before time.Time) {
	var waiting, idle []*connection
	c.served.Range(func(_, value any) bool {
		record := value.(*connection)
		if record.idleSince.Load() > before.UnixNano() {
			return true
		}
		switch http.ConnState(record.state.Load()) {
		case http.StateNew:
			waiting = append(waiting, record)
		case http.StateIdle:
			idle = append(idle, record)
		}
		return true
	})
	if len(waiting) == 0 {
		waiting = idle
	}
	slices.SortFunc(waiting, func(a, b *connection) int {
		return cmp.Compare(a.idleSince.Load(), b.idleSince.Load())
	})
	for _, record := range waiting[:min(len(waiting), max(1, c.max/2))] {
		_ = record.conn.Close() // net/http then calls note with StateClosed
	}
}

// limitedListener accepts a connection only if fewer connections than the limit are
// open. It does not wrap the connections, because the broker would not park a wrapped
// connection. If a hub has two listeners, both may find room for one connection, and
// then both accept one. So the limit may be exceeded by one connection for each
// listener after the first.
type limitedListener struct {
	net.Listener
	connections *connections
	close       func()
	closed      chan struct{}
}

func newLimitedListener(l net.Listener, c *connections) net.Listener {
	closed := make(chan struct{})
	return &limitedListener{l, c, sync.OnceFunc(func() { close(closed) }), closed}
}

// Accept implements [net.Listener].
func (l *limitedListener) Accept() (net.Conn, error) {
	if !l.connections.awaitRoom(l.closed) {
		return nil, net.ErrClosed
	}
	return l.Listener.Accept()
}

// Close implements [net.Listener].
func (l *limitedListener) Close() error {
	l.close()
	return l.Listener.Close()
}
