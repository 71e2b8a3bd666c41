package sse

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"
)

// CursorForm is how a broker tells a client where it is, between events.
type CursorForm string

// The forms of the cursor. If empty, it is an event of type "sse.cursor" with an
// id and empty data, which a browser dispatches to those alone that listen for
// this very type, and [Client] hides.
const (
	// CursorBlock is an id without an event. Not every client notes it.
	CursorBlock CursorForm = "block"

	// CursorOff sends none, for clients that show every event. They may then ask
	// for more than they have missed.
	CursorOff CursorForm = "off"
)

// ownTypes is how the types of events begin that only this package sends.
const ownTypes = "sse."

const (
	typeCursor = ownTypes + "cursor"
	typeGap    = ownTypes + "gap"
)

// Broker is publish and subscribe in a process. The zero value works:
//
//	var broker sse.Broker
//	http.Handle("GET /events", &broker)
//	broker.Publish(ctx, sse.Event{Data: "hello"})
//
// # Subscribing
//
// As a [http.Handler] it answers with a stream of the topics that the query
// names, /events?topic=news&topic=sport, or else of the events without a topic.
// Everything else, such as patterns and who may see what, is decided by Select.
//
// A client that reconnects gets what it has missed, in order and once. It says
// where it was with the Last-Event-ID header, or else with the query parameter
// lastEventId; one that comes for the first time may begin in the past with
// since (see [ParseStart]). Where that is no longer possible it gets a [Gap],
// never silence. Every event has an id, the text of its [Position] unless the
// application has given it one, and where nothing is sent for a while the client
// learns the broker's position in the form that Cursor says.
//
// # Delivery
//
// There is one order, in which every subscriber gets what it has selected. A
// subscriber has no queue: it has a place in what the broker keeps, so many slow
// ones cost no more than idle ones. Publish waits for none of them.
//
// All methods are safe for concurrent use. The fields must not be changed after
// the first of them is called.
type Broker struct {
	// Log keeps the events beyond the broker's memory, and shares them with other
	// brokers that use it. If nil, the memory is all there is: a restart loses it,
	// and says so to every client that comes back.
	Log EventLog

	// Retention is how much is kept in memory. Without a Log, that is how much
	// can be resumed.
	Retention Retention

	// TopicRetention limits, for each topic that its Pattern matches, how much is
	// kept of that topic. The first that matches counts. An event with several
	// topics is kept as long as one of them wants it. With a Log, it is not used.
	TopicRetention []Retention

	// Select decides what a request subscribes to. It is called before anything
	// is sent. If it fails with a [*ResponseError], that is the response; any
	// other error is one with status 500, told to the Logger alone. If nil, the
	// request gets the topics that its query names, whoever sends it.
	Select func(*http.Request) (Selection, error)

	// Stream adjusts the streams. In it, Retry is sent to every subscriber first.
	Stream AcceptOptions

	// Cursor is how a client learns where it is. If empty, by an event of type
	// "sse.cursor".
	Cursor CursorForm

	// MaxSubscribers, MaxPerRemote and MaxPerKey limit how many streams there are
	// in all, from one IP address, and with one [Selection.Key] that is not
	// empty. A request above them is answered with 503 and a Retry-After: [Client]
	// comes back, an EventSource does not. If zero, there is no limit. (Behind a
	// proxy, set [http.Request.RemoteAddr].)
	MaxSubscribers int
	MaxPerRemote   int
	MaxPerKey      int

	// MaxAge is how long a stream lasts, at most: each ends at random in the last
	// tenth of it, and its client comes back. If zero, there is no limit.
	MaxAge time.Duration

	// DrainOver is the time over which Shutdown spreads the ends of the streams.
	// If zero, they end at once.
	DrainOver time.Duration

	// Park lets streams wait without a goroutine, which costs a small part of the
	// memory. On Linux, a stream of HTTP/1 that has no TLS in this process, no body
	// in its request and no wrapper around its ResponseWriter is taken away from
	// net/http once it has begun; the handler returns, and what is around it
	// takes the request for done: a limiter counts it no more, a log has its
	// status and a duration of nothing, the request's context is canceled. All
	// others are held, and [Subscriber.Why] says why. The hooks are then called by
	// what writes to all streams, and must be fast.
	//
	// With it, Shutdown must be called: [http.Server.Shutdown] does not know these
	// streams.
	Park bool

	// OnConnect, OnDisconnect, OnGap and OnDrop are told what happens to
	// subscribers: one has come; it has gone, and why; it was told a gap; events
	// were skipped by its [LagPolicy]. For each subscriber they are called one
	// after the other: OnConnect first, OnDisconnect last and exactly once. The
	// reason wraps one of ErrPeerGone, ErrShutdown, ErrLagging, ErrKicked,
	// ErrExpired and ErrClosed. They may call the broker, but hold up the stream, and
	// Shutdown, which waits for them.
	OnConnect    func(Subscriber)
	OnDisconnect func(Subscriber, error)
	OnGap        func(Subscriber, Gap)
	OnDrop       func(s Subscriber, events int)

	core core
}

// Publish publishes an event on the topics, or without any, and returns its
// position. The event's own ID, if it has one, is what subscribers see; else it is
// the text of the position. Its Topic is ignored.
//
// It never waits for a subscriber. With a Log it waits until the event is kept
// there, and visible here, or until ctx is done: then the event may or may not
// have been published.
//
// If the event or a topic is not as it must be, the error is a [*FieldError];
// after Shutdown it is [ErrShutdown]; else it is the Log's.
func (b *Broker) Publish(ctx context.Context, event Event, topics ...string) (Position, error) {
	topics, err := checkDraft(&event, topics)
	if err != nil {
		return Position{}, err
	}
	if err := ctx.Err(); err != nil {
		return Position{}, fmt.Errorf("sse: %w", context.Cause(ctx))
	}
	c, err := b.start(ctx)
	if err != nil {
		return Position{}, err
	}
	if c.log != nil {
		return c.publishLog(ctx, event, topics)
	}
	event = normal(event)
	d := newDraft(&event, topics)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return Position{}, ErrShutdown
	}
	e := c.win.publish(&d, topics, time.Now())
	p := e.position(c.win.epoch)
	c.announce(e)
	c.mu.Unlock()
	return p, nil
}

// Position is the position of the newest event. It makes a snapshot and a stream
// fit together: take the position, read the state, and subscribe after the
// position. What the state has already may come again, but nothing is missed.
//
// It blocks only until the Log, if there is one, was reached for the first time.
func (b *Broker) Position(ctx context.Context) (Position, error) {
	c, err := b.start(ctx)
	if err != nil {
		return Position{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.win.last, nil
}

// Subscribe returns the events of a selection as they are published, after what
// there is from start on. A [Gap] comes as it does to clients, as an event of
// type "sse.gap". The loop may be slow; the selection's LagPolicy applies to it.
//
// It ends with an error, the last: what is wrong with the selection, why there
// is no such start (a [*Gap], if Loss is [LossRefuse]), the cause of ctx, or one
// of ErrLagging, ErrKicked, ErrExpired and ErrShutdown.
func (b *Broker) Subscribe(ctx context.Context, sel Selection, start Start) iter.Seq2[
	Event, error] {
	return func(yield func(Event, error) bool) {
		c, err := b.start(ctx)
		if err == nil {
			err = c.call(ctx, sel, start, yield)
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// Subscribers describes who is subscribed now, in no order.
func (b *Broker) Subscribers() []Subscriber {
	c := &b.core
	c.mu.Lock()
	all := slices.Clone(c.all)
	c.mu.Unlock()
	list := make([]Subscriber, 0, len(all))
	for some := range slices.Chunk(all, wakeBatch) {
		c.mu.Lock()
		for _, s := range some {
			if s.links() != nil { // it has not left
				list = append(list, s.describe())
			}
		}
		c.mu.Unlock()
	}
	return list
}

// Kick ends the stream of a subscriber, with the reason [ErrKicked]. Its client
// will come back, unless Select refuses it. Kick reports whether there was such
// a subscriber. It does not wait for the stream's end.
func (b *Broker) Kick(id uint64) bool {
	c := &b.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if s.id == id {
			c.endLocked(s, ErrKicked)
			return true
		}
	}
	return false
}

// Shutdown ends all streams and refuses new ones, and later events. Each stream
// is told a time of its own after which to come back, so that a successor is
// not asked by all at once. If DrainOver is set, the streams end one by one
// during that time; until the last has, events go on being published.
//
// What comes meanwhile is answered with 503, which an EventSource takes for the
// end. So the listener is to be closed first, and who comes back finds the
// successor: call Shutdown from [http.Server.RegisterOnShutdown], and wait for
// it, too.
//
// It returns when all have ended and the last OnDisconnect has returned, or when ctx
// is done, with its error; then the rest is cut off. So a hook must not wait for it,
// nor for a lock that is held meanwhile.
// With a Log it no longer uses it, but does not close it.
func (b *Broker) Shutdown(ctx context.Context) error { return b.core.shutdown(ctx, b.DrainOver) }

// start makes the broker ready. Without a Log it neither blocks nor fails.
func (b *Broker) start(ctx context.Context) (*core, error) {
	c := &b.core
	if c.ready.Load() {
		return c, nil
	}
	err := c.start(ctx, b)
	return c, err
}

var _ http.Handler = (*Broker)(nil)
