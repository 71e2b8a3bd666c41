package sse

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"time"
)

// Broker publishes events to subscribers within one process. The zero value is
// ready to use:
//
//	var broker sse.Broker
//	http.Handle("GET /events", &broker)
//	broker.Publish(ctx, sse.Event{Data: "hello"})
//
// # Subscribing
//
// As an [http.Handler], a broker answers a request with a stream of events. The
// query names the topics, as in /events?topic=news&topic=sport. If the query names
// no topic, the stream has the events that were published without a topic. If the
// query contains withTopic, each event names its topic ([Selection.WithTopic]). Set
// Select to select topics by pattern, or to decide which events a client may
// receive.
//
// A client that reconnects receives the events that it missed, in order and without
// duplicates. Its request contains the ID of the last event that it received: in
// the header Last-Event-ID or, if the client cannot set that header, in the query
// parameter lastEventId. A new client may start in the past with the query
// parameter since (see [ParseStart]). If some of the events that a client asks for
// are no longer stored, the client receives a [Gap], unless [Selection.Loss]
// selects another policy.
//
// Every event has an ID: the text of its [Position], unless the application has set
// another ID. A stream may be silent for a while, for example because all new
// events have other topics. The broker then sends the current position to the
// client, in the form that Cursor selects. If the client reconnects later, it asks
// only for the events after this position.
//
// # Delivery
//
// All events have one order, and every subscriber receives its selected events in that
// order. A subscriber has no queue, only a position among the stored events. Therefore
// the memory for a slow subscriber does not grow while it falls behind. Publish never
// waits for a subscriber.
//
// All methods are safe for concurrent use. The first request starts the broker, and so
// does the first call that publishes, reads or subscribes. With a Log, this first call
// blocks until the broker has located the end of the Log, or until the context of the
// call is done. If that fails, the call returns the error, and the next call tries
// again. If a field is invalid, every such call returns the error of [Broker.Validate].
// The fields must not be changed after the first call.
type Broker struct {
	// Log stores events beyond the broker's memory. Brokers with the same Log have
	// the same events: a subscriber of one broker also receives the events that
	// another broker publishes. If nil, events are stored only in memory: a restart
	// loses them, and every client that reconnects then receives a gap.
	Log EventLog

	// Retention limits the events that are stored in memory. Without a Log,
	// clients can resume only from these events. If zero, 16384 events and 64 MiB.
	Retention Retention

	// TopicRetention limits the stored events of single topics, in addition to
	// Retention. An element applies to each topic that its Pattern matches. If the
	// patterns of several elements match a topic, only the first of these elements
	// applies. An event with several topics is stored as long as the limits of at
	// least one of its topics allow it. With a Log, TopicRetention is ignored.
	TopicRetention []TopicRetention

	// Select returns the selection of events for a request. It is called before
	// the response begins. If it returns a [*ResponseError], the broker sends that
	// response. If it returns another error, the broker responds with status 500
	// and logs the error with Logger; the client does not receive the error. If
	// Select is nil, every client receives the topics that its query names.
	Select func(*http.Request) (Selection, error)

	// Streams has the options of all streams.
	Streams StreamOptions

	// Logger receives a record when Log fails, and when a fault in this process
	// prevents or ends a stream. It also receives a record when a stream cannot set
	// the write deadlines that WriteTimeout needs. If ConnContext is installed, it
	// also receives a record when a stream cannot set the socket option that
	// [ConnContext] describes. If nil, nothing is logged.
	Logger *slog.Logger

	// Cursor is the form in which clients receive their position. If empty,
	// [CursorEvent]. [Selection.Cursor] overrides it for one stream.
	Cursor CursorForm

	// MaxSubscribers limits the number of streams of the broker. MaxPerRemote
	// limits the number of streams from one IP address. MaxPerKey limits the number
	// of streams with the same [Selection.Key], unless the key is empty. The broker
	// answers a request above a limit with 503 and Retry-After. A [Client] then
	// retries; an EventSource does not. If a field is zero, there is no such limit.
	// Subscriptions by Subscribe are neither limited nor counted. Behind a proxy,
	// set [http.Request.RemoteAddr] to the client's address before the broker
	// serves the request.
	MaxSubscribers int
	MaxPerRemote   int
	MaxPerKey      int

	// MaxAge is the longest time that a stream lasts. The broker chooses a random
	// time in the last tenth of MaxAge for each stream. At this time the broker ends
	// the stream with [ErrExpired], as it does at [Selection.Expires]. The client
	// then reconnects. If zero, there is no limit.
	MaxAge time.Duration

	// DrainOver is the time during which Shutdown ends the streams, one by one. If
	// zero, all streams end at the same time.
	DrainOver time.Duration

	// Park lets streams wait without a goroutine, so that they need much less
	// memory. On Linux, the broker parks a stream if all of these conditions hold:
	//
	//   - The request is HTTP/1 without a body, and without TLS in this process.
	//   - No middleware has wrapped the ResponseWriter or set a Transfer-Encoding.
	//   - The listener's connections are of type [*net.TCPConn] or
	//     [*net.UnixConn].
	//   - The [Selection] has no Filter.
	//
	// After the response has begun, the broker takes the connection of such a
	// stream from net/http. All other streams are held: each waits in the goroutine
	// of its handler. [Subscriber.Why] gives the reason.
	//
	// When a stream is parked, its handler returns. So middleware regards the
	// request as finished: a limiter no longer counts the request, an access log
	// records a duration close to zero, and the request's context is canceled. A
	// few goroutines write to all parked streams and also call the hooks below, so
	// each hook must be fast.
	//
	// If Park is set, the application must call Shutdown or the function that
	// Attach returns, because [http.Server.Shutdown] does not know the parked
	// streams.
	Park bool

	// The following functions, the hooks, are called if they are not nil: OnConnect
	// when a subscriber has connected, OnDisconnect when a subscriber has disconnected,
	// OnGap when a gap is sent to a subscriber, and OnDrop when the [LagPolicy] of a
	// subscriber has skipped events. The calls for one subscriber never overlap.
	// OnConnect is the first call. OnDisconnect is the last call, and is made exactly
	// once. The error that OnDisconnect receives is the reason why the stream has
	// ended. It wraps one of ErrPeerGone, ErrShutdown, ErrLagging, ErrKicked,
	// ErrExpired and ErrClosed.
	//
	// A hook may call the broker, but must not wait for Shutdown. Until a hook
	// returns, it blocks the subscriber's stream and Shutdown, and with Park also
	// other parked streams.
	OnConnect    func(Subscriber)
	OnDisconnect func(Subscriber, error)
	OnGap        func(Subscriber, Gap)
	OnDrop       func(s Subscriber, events int)

	state state
}

// Validate returns an error that names every field whose value is invalid, or nil.
// A limit must not be negative, unless the documentation of the field defines the
// meaning of a negative value. Validate does not start the broker. If a program
// calls Validate before its server starts, it detects an invalid field early.
// Otherwise the first use of the broker fails with the same error, and ServeHTTP
// responds with status 500. The broker logs the error once.
func (b *Broker) Validate() error {
	e := &configError{}
	checkNotNegative(e, "Broker.Retention.Age", b.Retention.Age)
	for i := range b.TopicRetention {
		checkTopicRetention(e, fmt.Sprintf("Broker.TopicRetention[%d].", i), &b.TopicRetention[i])
	}
	checkStreamOptions(e, "Broker.Streams.", &b.Streams)
	if !b.Cursor.isValid() {
		e.add("Broker.Cursor",
			"must be empty, CursorEvent, CursorBlock, CursorComment or CursorOff",
			fmt.Sprintf("%q", b.Cursor))
	}
	checkNotNegative(e, "Broker.MaxSubscribers", b.MaxSubscribers)
	checkNotNegative(e, "Broker.MaxPerRemote", b.MaxPerRemote)
	checkNotNegative(e, "Broker.MaxPerKey", b.MaxPerKey)
	checkNotNegative(e, "Broker.MaxAge", b.MaxAge)
	checkNotNegative(e, "Broker.DrainOver", b.DrainOver)
	return e.err()
}

// Position returns the position of the newest event. Some programs show a state, and
// then the changes of this state. Such a program first gets the position, then reads
// the state, and then subscribes with the position as [Start.After]. The program misses
// no event, but may receive events that the state already includes.
//
// Position blocks only until the broker has started: with a Log, it waits until the
// broker has located the end of the Log, or until ctx is done. If the broker cannot
// start, Position returns the error.
func (b *Broker) Position(ctx context.Context) (Position, error) {
	st, err := b.start(ctx)
	if err != nil {
		return Position{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.window.last, nil
}

// Subscribe returns an iterator over the events that sel selects: first the stored
// events from start onward, then new ones as they are published. The iterator
// yields a gap as an event of type "sse.gap" (see [Gap]). It blocks until there is
// an event, until the broker ends the subscription, or until ctx is done. The body
// of the loop may be slow: a subscription that falls too far behind is treated as
// sel.Lag says.
//
// The iterator ends with an error, unless the caller breaks out of the loop. The
// error says that sel or the broker's configuration is invalid, that the broker has
// too many topics and patterns, or that events after start are not available (a
// [*Gap], only with [LossRefuse]). Otherwise the error wraps the cause of ctx, the
// Log's error, or one of ErrLagging, ErrKicked, ErrExpired, ErrShutdown and
// ErrClosed.
func (b *Broker) Subscribe(ctx context.Context, sel Selection, start Start) iter.Seq2[
	Event, error] {
	return func(yield func(Event, error) bool) {
		st, err := b.start(ctx)
		if err == nil {
			err = call(ctx, st, sel, start, yield)
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// Read returns a page of stored events, and does not wait for new events. The page
// has the events that sel selects from start onward: about limit bytes of them, but
// at least one event if there is any. To read the following page, pass Page.Next as
// [Start.After]. Read ignores sel.Filter. With a Log, Read blocks until the Log has
// answered, or until ctx is done.
//
// If the broker cannot begin at start, Page.Gap is not nil, and the page begins
// with the earliest stored event. The error says that sel, limit or the broker's
// configuration is invalid, or it wraps the error of the Log.
func (b *Broker) Read(ctx context.Context, sel Selection, start Start, limit int) (Page, error) {
	if err := sel.check(); err != nil {
		return Page{}, err
	}
	if limit < 0 {
		return Page{}, fmt.Errorf("sse: the limit of Broker.Read must not be negative: %d", limit)
	}
	st, err := b.start(ctx)
	if err != nil {
		return Page{}, err
	}
	return st.read(ctx, sel, start, limit)
}

// Forget removes the events of a topic from the broker's memory, up to and
// including the position through. If such an event has several topics, Forget
// removes it from all of them. If a subscriber then asks for a removed event, it
// receives a gap. With a Log, remove the events from the Log first, because the
// broker would otherwise read them from there.
//
// Forget blocks and fails as Position does.
func (b *Broker) Forget(ctx context.Context, topic string, through Position) error {
	st, err := b.start(ctx)
	if err != nil {
		return err
	}
	st.forget(topic, through)
	return nil
}

// Subscribers returns descriptions of the current subscribers, in no particular
// order. Subscribers that connect or disconnect during the call may be missing.
func (b *Broker) Subscribers() []Subscriber {
	list := []Subscriber{}
	for _, description := range b.state.described() {
		list = append(list, description)
	}
	return list
}

// Kick ends every stream for which match returns true, and returns how many streams
// it has ended. OnDisconnect and Subscribe report [ErrKicked]. Kick does not wait
// until the streams have ended. match may call the broker.
//
// The client of such a stream reconnects, unless Select refuses its request. So to
// revoke a user's access, first make Select refuse the user, then kick the user's
// streams. Kick may miss a stream that Select accepted before the change but that
// is not open yet. Therefore check the user again in OnConnect, and kick the stream
// there.
func (b *Broker) Kick(match func(Subscriber) bool) int {
	kicked := 0
	for s, description := range b.state.described() {
		if match(description) && b.state.kick(s) {
			kicked++
		}
	}
	return kicked
}

// Attach prepares an HTTP server that serves the broker, and returns the function that
// shuts down both. Call Attach before the server starts, and call the returned function
// when the process should end:
//
//	server := &http.Server{Addr: "localhost:3000"}
//	shutdown := broker.Attach(server)
//	go func() {
//		if err := server.ListenAndServe(); err != http.ErrServerClosed {
//			log.Fatal(err)
//		}
//	}()
//	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	<-interrupt.Done()
//	stop() // a second interrupt ends the process at once
//	// The timeout begins now, and not when the program starts.
//	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//	defer cancel()
//	if err := shutdown(ctx); err != nil {
//		log.Print(err)
//	}
//
// Attach sets server.ConnContext to [ConnContext]. If the field already had a
// function, that function is still called. The function that Attach returns first
// closes the listeners, so that a client that reconnects reaches the new process.
// Then it ends the streams as [Broker.Shutdown] does. It blocks until
// [http.Server.Shutdown] and Broker.Shutdown have returned, and returns the error of
// Broker.Shutdown or else the error of http.Server.Shutdown. [Broker.DrainOver] must
// be shorter than the timeout of ctx.
//
// If the application calls http.Server.Shutdown itself, the streams end too, but
// that method does not wait for parked streams and hooks.
func (b *Broker) Attach(server *http.Server) (shutdown func(context.Context) error) {
	return attach(server, b.Shutdown)
}

// Shutdown ends all streams and refuses new ones. Once every stream is ending, it
// also refuses new events. A program with an [http.Server] calls the function that
// [Broker.Attach] returns instead, because that function closes the listeners
// first. Otherwise a client could reconnect to this broker and receive status 503,
// after which an EventSource does not retry.
//
// The broker sends each client a random delay to wait before it reconnects, so that the
// new process does not receive all requests at the same time. If DrainOver is set, the
// streams end one by one during that time. Publish still works until the last stream is
// ending.
//
// Shutdown blocks until all streams have ended, all OnDisconnect hooks have returned,
// and all calls of the Log for streams and publishers have returned. If ctx is done
// before that, Shutdown cuts off the remaining streams and returns an error that wraps
// the cause of ctx. If the response header of a stream is still being written at that
// time, the stream ends as soon as the header is written. A hook must not wait for
// Shutdown, nor for a lock that another goroutine holds during Shutdown. Shutdown does
// not close the Log. When Shutdown returns, two kinds of calls may still use the Log: a
// call of Broker.Read, and a request whose stream has not begun.
func (b *Broker) Shutdown(ctx context.Context) error { return b.state.shutdown(ctx, b.DrainOver) }

// start prepares the broker for use, unless it has been prepared before. With a
// Log, it blocks until the end of the Log is located, or until ctx is done.
func (b *Broker) start(ctx context.Context) (*state, error) {
	st := &b.state
	if st.started.Load() {
		return st, nil
	}
	err := st.start(ctx, b)
	return st, err
}

// window returns the recent events. The lock of the state guards it.
func (b *Broker) window() *window { return &b.state.window }

var _ http.Handler = (*Broker)(nil)
