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
	// reservedDescriptors is how many descriptors the hub does not use for
	// connections: the event log may have half of them for its tables.
	reservedDescriptors = 512

	// minSpareDescriptors is how many descriptors --max-connections must leave.
	minSpareDescriptors = 64

	// idleTime is how long a connection must have been idle before the hub may
	// close it to make room for another connection.
	idleTime = time.Second

	// fullLogPause is the time between two log records of a hub that accepts no
	// connections.
	fullLogPause = time.Minute
)

// defaultMaxConnections returns the default of Config.MaxConnections for a
// process that may have the given number of descriptors. Zero means that there is
// no limit.
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
// limit is reached, no connection is accepted.
//
// A connection that is parked does not belong to net/http any more:
//
//	accepted ─► served by net/http ─────────────────────────► closed
//	                  │ hijacked                              ▲
//	                  └► handed over ─► parked by the broker ─┘
//
// It is counted in all of these states. A stream that has just been parked counts
// twice, until its handler has returned.
type connections struct {
	max    int
	logger *slog.Logger
	served sync.Map // net.Conn → *connection, of the connections that net/http serves

	mu        sync.Mutex // guards the following
	open      int
	changed   chan struct{} // closed when open falls; nil if no goroutine waits
	lastSweep time.Time     // when closeIdle has last run
	lastLog   time.Time
}

// connection is the state of one connection.
type connection struct {
	conn      net.Conn
	state     atomic.Int32 // an http.ConnState
	idleSince atomic.Int64 // when the state became New or Idle, in nanoseconds since 1970
	released  atomic.Bool  // not counted any more
}

// connectionKey is the key of the *connection in the context of a request.
type connectionKey struct{}

// configure makes a server and a broker report their connections. The other
// hooks of the server must be set already.
func (c *connections) configure(server *http.Server, broker *sse.Broker) {
	nextContext, handler, ended := server.ConnContext, server.Handler, broker.OnDisconnect
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(nextContext(ctx, conn), connectionKey{}, c.add(conn))
	}
	server.ConnState = c.note
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // other requests are never hijacked
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

// add counts a connection that was accepted.
func (c *connections) add(conn net.Conn) *connection {
	record := &connection{conn: conn}
	record.idleSince.Store(time.Now().UnixNano())
	c.served.Store(conn, record)
	c.count(1)
	return record
}

// note is for [http.Server.ConnState].
func (c *connections) note(conn net.Conn, state http.ConnState) {
	value, ok := c.served.Load(conn)
	if !ok {
		return
	}
	record := value.(*connection)
	switch state {
	case http.StateIdle:
		record.idleSince.Store(time.Now().UnixNano())
	case http.StateHijacked: // endHandover releases it
		c.served.Delete(conn)
	case http.StateClosed:
		c.served.Delete(conn)
		c.release(record)
	}
	record.state.Store(int32(state))
}

// endHandover is called when the handler of a request has returned. If the
// handler has hijacked the connection, it is now closed or counted as parked.
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

// awaitRoom blocks until there are fewer connections than the limit. It reports
// false if closed was closed first.
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

// waitAny blocks until one of the channels is closed or idleTime has passed. It
// reports whether closed ended the wait.
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

// closeIdle closes connections that have waited for the head of their first
// request since the time before or longer. If there are none, it closes
// connections that have waited as long for another request. It closes the ones
// that have waited longest first, and at most half of the limit.
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
		_ = record.conn.Close() // net/http then reports that it is closed
	}
}

// limitedListener accepts a connection only if there is room for it. It does not
// wrap the connections, because the broker would not park a wrapped connection.
// While the listener waits in Accept, another listener may take the last place.
// Therefore the limit may be exceeded by one connection for each further listener.
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
