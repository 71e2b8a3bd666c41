package sse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// A broker is an http.Handler, and its zero value is ready to use. A real program
// calls http.Handle("GET /events", &broker) instead of using a server in memory.
func ExampleBroker() {
	var broker sse.Broker
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()

	ctx := context.Background()
	broker.Publish(ctx, sse.Event{Data: "breakfast"})
	broker.Publish(ctx, sse.Event{Data: "lunch"})
	broker.Publish(ctx, sse.Event{Data: "3 : 1"}, "sport")

	for _, query := range []string{"?since=earliest", "?since=-1", "?since=-1&topic=sport&topic=news"} {
		client := &sse.Client{URL: server.URL() + "/events" + query, HTTPClient: server.Client()}
		for event, err := range client.Events(ctx) {
			fmt.Println(query, event.Data, err)
			break
		}
	}
	// Output:
	// ?since=earliest breakfast <nil>
	// ?since=-1 lunch <nil>
	// ?since=-1&topic=sport&topic=news 3 : 1 <nil>
}

// A client fetches a snapshot of the state and then receives every later
// change. The server takes the position before it reads the state, so the client
// misses no change. But the first events may repeat changes that the snapshot
// already contains. Publish the new value instead of the difference, so that a
// repeated event does no harm.
func ExampleBroker_Position() {
	type snapshot struct {
		Value int    `json:"value"`
		After string `json:"after"`
	}
	var (
		broker sse.Broker
		mu     sync.Mutex // guards the following
		value  int
	)
	set := func(n int) {
		mu.Lock()
		defer mu.Unlock() // after Publish, so that events are in the order of the changes
		value = n
		broker.Publish(context.Background(), sse.Event{Data: fmt.Sprint(n)})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /events", &broker)
	mux.HandleFunc("GET /value", func(w http.ResponseWriter, r *http.Request) {
		at, err := broker.Position(r.Context()) // before the state is read
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		json.NewEncoder(w).Encode(snapshot{value, at.String()})
	})
	server := ssetest.NewServer(t, mux, nil)
	defer server.Close()

	set(1)
	set(2)
	response, err := server.Client().Get(server.URL() + "/value")
	if err != nil {
		fmt.Println(err)
		return
	}
	var state snapshot
	json.NewDecoder(response.Body).Decode(&state)
	response.Body.Close()
	fmt.Println("snapshot:", state.Value)

	set(3) // before the client connects
	client := &sse.Client{
		URL:         server.URL() + "/events", // in a browser, add ?lastEventId= and state.After
		HTTPClient:  server.Client(),
		LastEventID: state.After,
	}
	for event := range client.Events(context.Background()) {
		fmt.Println("then:", event.Data)
		break
	}
	// Output:
	// snapshot: 2
	// then: 3
}

// Select decides which topics each request may receive. Here the user ann receives
// the topics that begin with "user/ann/", and the topic "news". Every other user
// receives "news" and the topics with their own name.
func ExampleBroker_select() {
	users := map[string]string{"Bearer 1234": "ann"} // by token
	broker := sse.Broker{Select: func(r *http.Request) (sse.Selection, error) {
		user, ok := users[r.Header.Get("Authorization")]
		if !ok {
			return sse.Selection{}, &sse.ResponseError{
				StatusCode: http.StatusUnauthorized,
				Reason:     "who are you?",
			}
		}
		// A user name in a pattern must not contain "*" or "/".
		own, err := sse.ParsePattern("user/" + user + "/**")
		return sse.Selection{
			Topics:    []string{"news"},
			Patterns:  []sse.Pattern{own},
			Key:       user, // for MaxPerKey and Subscribers
			WithTopic: true,
		}, err
	}}
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()

	ctx := context.Background()
	broker.Publish(ctx, sse.Event{Data: "for eve"}, "user/eve/mail")
	broker.Publish(ctx, sse.Event{Data: "for ann"}, "user/ann/mail/1")
	broker.Publish(ctx, sse.Event{Data: "for all"}, "news")

	for _, token := range []string{"Bearer 1234", "Bearer 0000"} {
		client := &sse.Client{
			URL:        server.URL() + "?since=earliest",
			HTTPClient: server.Client(),
			Header:     http.Header{"Authorization": {token}},
		}
		for event, err := range client.Events(ctx) {
			var refused *sse.ResponseError
			if errors.As(err, &refused) {
				fmt.Printf("%d: %s", refused.StatusCode, refused.Body)
				break
			}
			fmt.Println(event.Topic, "says:", event.Data)
			if event.Topic == "news" {
				break
			}
		}
	}
	// Output:
	// user/ann/mail/1 says: for ann
	// news says: for all
	// 401: who are you?
}

// A client that was disconnected for too long receives an event of type sse.gap,
// and then the events that the broker still stores.
func ExampleGap() {
	broker := sse.Broker{Retention: sse.Retention{Events: 2}}
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()
	var seen sse.Position // of the last event that the client has received
	for n := range 5 {
		at, err := broker.Publish(context.Background(), sse.Event{Data: fmt.Sprint("event ", n)})
		if err != nil {
			fmt.Println(err)
		}
		if n == 0 {
			seen = at
		}
	}

	client := &sse.Client{
		URL:         server.URL(),
		HTTPClient:  server.Client(),
		LastEventID: seen.String(),
	}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if event.Type == "sse.gap" {
			gap, err := sse.Decode[sse.Gap](event)
			fmt.Println("gap:", gap.Why, gap.Asked == seen.String(), err)
			// A client that began with a snapshot reads the snapshot again here.
			continue
		}
		fmt.Println(event.Data)
		if event.Data == "event 4" {
			break
		}
	}
	// Output:
	// gap: trimmed true <nil>
	// event 3
	// event 4
}

// A program subscribes to its own broker, for example to fill a cache.
func ExampleBroker_Subscribe() {
	var broker sse.Broker
	publish := func(data, topic string) {
		if _, err := broker.Publish(context.Background(), sse.Event{Data: data}, topic); err != nil {
			fmt.Println(err)
		}
	}
	publish("started", "job/1")
	publish("paid", "order/7")

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	jobs, err := sse.ParsePattern("job/*")
	if err != nil {
		fmt.Println(err)
		return
	}
	sel := sse.Selection{Patterns: []sse.Pattern{jobs}, WithTopic: true}
	for event, err := range broker.Subscribe(ctx, sel, sse.Start{Earliest: true}) {
		if err != nil {
			fmt.Println(errors.Is(err, context.Canceled), err)
			return
		}
		fmt.Println(event.Topic, event.Data)
		if event.Data == "started" {
			publish("done", "job/1") // this loop receives it
			continue
		}
		cancel()
	}
	// Output:
	// job/1 started
	// job/1 done
	// true sse: context canceled
}

// Attach returns a function that shuts down the server and the broker. The function
// closes the listener before it ends the streams, so a client that reconnects
// reaches the next process. Otherwise this process might respond with 503, and an
// EventSource does not reconnect after that status.
func ExampleBroker_Attach() {
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	broker := sse.Broker{
		OnConnect:    func(sse.Subscriber) { stop() }, // here, the first client acts as an interrupt
		OnDisconnect: func(_ sse.Subscriber, reason error) { fmt.Println("server:", reason) },
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: &broker}
	shutdown := broker.Attach(server)
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()

	client := &sse.Client{URL: "http://" + listener.Addr().String(), MaxRetries: -1}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range client.Events(context.Background()) {
		}
	}()

	<-interrupt.Done()
	stop() // a second interrupt ends the process at once
	// The timeout begins now, and not when the program starts.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println("shutdown:", shutdown(ctx))
	<-done
	_, err = broker.Publish(context.Background(), sse.Event{Data: "too late"})
	fmt.Println("publish:", err)
	// Output:
	// server: sse: server shutting down
	// shutdown: <nil>
	// publish: sse: server shutting down
}

// A program calls Validate at its start to find errors in its configuration. Without
// this call, the first use of the broker fails with the same error.
func ExampleBroker_Validate() {
	broker := sse.Broker{MaxPerKey: -1, MaxAge: -time.Hour}
	fmt.Println(broker.Validate())
	// Output:
	// sse: Broker.MaxPerKey must not be negative: -1; Broker.MaxAge must not be negative: -1h0m0s
}

// Every stream begins with the reconnection delay, and its heartbeats are events that
// a script in a browser can listen for.
func ExampleStreamOptions() {
	broker := sse.Broker{
		Cursor: sse.CursorOff,
		Streams: sse.StreamOptions{
			Retry:          3 * time.Second,
			Heartbeat:      time.Millisecond,
			HeartbeatEvent: "ping",
		},
	}
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()
	response, err := server.Client().Get(server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	for event, err := range sse.NewDecoder(response.Body, nil).Events() {
		fmt.Printf("type %q, data %q, %v\n", event.Type, event.Data, err)
		break
	}
	// Output:
	// type "ping", data "", <nil>
}

// When a user loses access, Select must refuse the user's requests, and Kick ends the
// user's open streams. If Select accepted a request a moment before, the stream may
// not be open yet, so Kick may miss it. Therefore OnConnect checks the user again.
func ExampleBroker_Kick() {
	var revoked sync.Map // by user
	isRevoked := func(user string) bool {
		_, ok := revoked.Load(user)
		return ok
	}
	var broker sse.Broker
	broker.Select = func(r *http.Request) (sse.Selection, error) {
		user := r.URL.Query().Get("user") // a real program checks a token
		if isRevoked(user) {
			return sse.Selection{}, &sse.ResponseError{
				StatusCode: http.StatusForbidden,
				Reason:     "your access was revoked",
			}
		}
		return sse.Selection{Key: user}, nil
	}
	connected := make(chan struct{}, 1)
	broker.OnConnect = func(s sse.Subscriber) {
		if isRevoked(s.Key) {
			broker.Kick(func(other sse.Subscriber) bool { return other.ID == s.ID })
		}
		connected <- struct{}{}
	}
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()

	ended := make(chan int, 1)
	go func() {
		<-connected
		revoked.Store("eve", true)
		ended <- broker.Kick(func(s sse.Subscriber) bool { return s.Key == "eve" })
	}()
	client := &sse.Client{
		URL:        server.URL() + "?user=eve",
		HTTPClient: server.Client(),
		RetryDelay: 100 * time.Millisecond,
	}
	for _, err := range client.Events(context.Background()) {
		var refused *sse.ResponseError
		if errors.As(err, &refused) {
			fmt.Println("client:", refused.StatusCode)
		}
	}
	fmt.Println("ended:", <-ended)
	// Output:
	// client: 403
	// ended: 1
}

// PublishJSON publishes an event whose data is JSON, and Decode decodes the data.
func ExampleBroker_PublishJSON() {
	type price struct {
		Symbol string  `json:"symbol"`
		Value  float64 `json:"value"`
	}
	var broker sse.Broker
	ctx := context.Background()
	_, err := broker.PublishJSON(ctx, sse.Event{Type: "price"}, price{"GOPH", 12.5}, "prices")
	if err != nil {
		fmt.Println(err)
	}
	sel := sse.Selection{Topics: []string{"prices"}}
	for event, err := range broker.Subscribe(ctx, sel, sse.Start{Earliest: true}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(event.Type, event.Data)
		p, err := sse.Decode[price](event)
		fmt.Println(p.Symbol, p.Value, err)
		break
	}
	// Output:
	// price {"symbol":"GOPH","value":12.5}
	// GOPH 12.5 <nil>
}

// Each path serves a fixed list of topics. The query of a request cannot select
// other topics.
func ExampleBroker_Handler() {
	var broker sse.Broker
	mux := http.NewServeMux()
	mux.Handle("GET /news", broker.Handler("news"))
	mux.Handle("GET /all", broker.Handler("news", "sport"))
	server := ssetest.NewServer(t, mux, nil)
	defer server.Close()

	ctx := context.Background()
	broker.Publish(ctx, sse.Event{Data: "3 : 1"}, "sport")
	broker.Publish(ctx, sse.Event{Data: "rain"}, "news")
	for _, path := range []string{"/news?since=earliest&topic=sport", "/all?since=earliest"} {
		client := &sse.Client{URL: server.URL() + path, HTTPClient: server.Client()}
		for event, err := range client.Events(ctx) {
			fmt.Println(path, event.Data, err)
			break
		}
	}
	// Output:
	// /news?since=earliest&topic=sport rain <nil>
	// /all?since=earliest 3 : 1 <nil>
}

// A comment is for a person who reads the bytes of a stream, for example with curl.
// Clients ignore it.
func ExampleBroker_Comment() {
	broker := sse.Broker{Cursor: sse.CursorOff}
	connected := make(chan struct{})
	broker.OnConnect = func(sse.Subscriber) { close(connected) }
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()
	response, err := server.Client().Get(server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	<-connected
	if err := broker.Comment("maintenance at noon"); err != nil {
		fmt.Println(err)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		fmt.Println(lines.Text())
		if lines.Text() != ":" { // this stream begins with an empty comment
			break
		}
	}
	// Output:
	// :
	// : maintenance at noon
}

// A relay publishes the events of one broker on another. If events are missing, the
// client yields an event of type sse.gap. Publish refuses types that begin with
// "sse.", so the relay publishes an event of another type instead. Publish also
// replaces an ID that the first broker has generated.
func ExampleClient_relay() {
	var upstream, downstream sse.Broker
	server := httptest.NewServer(&upstream)
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	upstream.Publish(ctx, sse.Event{Data: "hello"}, "news")
	upstream.Publish(ctx, sse.Event{ID: "mine", Data: "world"}, "news")

	client := &sse.Client{URL: server.URL + "?topic=news&since=earliest"}
	go func() {
		for event, err := range client.Events(ctx) {
			if err != nil {
				return
			}
			if strings.HasPrefix(event.Type, "sse.") {
				event = sse.Event{Type: "incomplete"}
			}
			downstream.Publish(ctx, event, "news")
		}
	}()
	sel := sse.Selection{Topics: []string{"news"}}
	for event := range downstream.Subscribe(ctx, sel, sse.Start{Earliest: true}) {
		position, _ := sse.ParsePosition(event.ID)
		if fmt.Println(event.Data, position.Seq); event.ID == "mine" {
			break
		}
	}
	// Output:
	// hello 1
	// world 0
}
