package sse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The whole of publish and subscribe. A real program has http.Handle("GET /events",
// &broker) in place of the server in memory.
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

// A snapshot, and everything that changes it from then on. The position is taken
// before the state is read: so nothing is missed, but an event may come that the
// state has in it. It must not matter: publish the new value, not the difference.
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
		defer mu.Unlock() // after Publish, or two of them may change places
		value = n
		broker.Publish(context.Background(), sse.Event{Data: fmt.Sprint(n)})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /events", &broker)
	mux.HandleFunc("GET /value", func(w http.ResponseWriter, r *http.Request) {
		at, err := broker.Position(r.Context()) // first
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		json.NewEncoder(w).Encode(snapshot{value, at.String()}) // then
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

	set(3) // before the client is there
	client := &sse.Client{
		URL:         server.URL() + "/events", // in a browser: /events?lastEventId=…
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

// Who may have what is decided in one place. Here every user has the topics below
// their own name, and what is for all.
func ExampleBroker_select() {
	users := map[string]string{"Bearer 1234": "ann"} // by token; for example
	broker := sse.Broker{Select: func(r *http.Request) (sse.Selection, error) {
		user, ok := users[r.Header.Get("Authorization")]
		if !ok {
			return sse.Selection{}, &sse.ResponseError{
				StatusCode: http.StatusUnauthorized,
				Reason:     "who are you?",
			}
		}
		// What goes into a pattern is known not to be "*", nor to have a "/" in it.
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

// A client that was away for too long is told so, and gets what there still is.
func ExampleGap() {
	broker := sse.Broker{Retention: sse.Retention{Events: 2}}
	server := ssetest.NewServer(t, &broker, nil)
	defer server.Close()
	var seen sse.Position // the last that the client has seen
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
			// The place to read the state anew, if there is one; the stream goes on.
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

// A subscription within the program, such as one that fills a cache.
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
			publish("done", "job/1") // which this loop will see
			continue
		}
		cancel()
	}
	// Output:
	// job/1 started
	// job/1 done
	// true sse: context canceled
}

// The server closes its listener first, and then has the streams ended: clients
// that come back are not refused by a server that is going away, which an
// EventSource would take for good, but find its successor.
func ExampleBroker_Shutdown() {
	connected := make(chan struct{})
	broker := sse.Broker{
		OnConnect:    func(sse.Subscriber) { close(connected) },
		OnDisconnect: func(_ sse.Subscriber, reason error) { fmt.Println("server:", reason) },
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	server := ssetest.NewServer(t, &broker, &ssetest.ServerOptions{
		Configure: func(server *http.Server) {
			server.ConnContext = sse.ConnContext // notices clients that vanish
			server.RegisterOnShutdown(func() { ended <- broker.Shutdown(ctx) })
		},
	})
	defer server.Close()

	client := &sse.Client{
		URL:        server.URL(),
		HTTPClient: server.Client(),
		MaxRetries: -1, // or it would wait for the successor
	}
	go func() {
		<-connected
		server.Shutdown(ctx) // in a program: when it is interrupted
	}()
	for _, err := range client.Events(context.Background()) {
		fmt.Println(err)
	}
	fmt.Println("ended:", <-ended)
	_, err := broker.Publish(ctx, sse.Event{Data: "too late"})
	fmt.Println("publish:", err)
	// Output:
	// server: sse: server shutting down
	// ended: <nil>
	// publish: sse: server shutting down
}
