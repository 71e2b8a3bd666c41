// Command demo runs a server and a client in one process. The server sends an event
// every second, stops, and starts again. The client reconnects on its own and
// receives the events that it missed.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

// feed stores its events, so that a client that reconnects receives the events that
// it missed.
type feed struct {
	mu     sync.Mutex    // guards the following
	events []sse.Event   // in order, from the event with ID "1"
	grown  chan struct{} // closed, and replaced, when events grows
}

func (f *feed) publish(data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := strconv.Itoa(len(f.events) + 1)
	fmt.Printf("server: publishes event %s: %s\n", id, data)
	f.events = append(f.events, sse.Event{ID: id, Data: data})
	close(f.grown)
	f.grown = make(chan struct{})
}

// after returns all events except the first ones: position is the number of events to
// leave out. It also returns a channel that is closed when there are more events.
func (f *feed) after(position int) ([]sse.Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events[min(position, len(f.events)):], f.grown
}

// ServeHTTP serves one stream. The same loop sends missed events and new events.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream, err := sse.Accept(w, r, nil)
	if err != nil {
		return // Accept has sent an error response
	}
	defer stream.Close()
	last, _ := strconv.ParseUint(stream.LastEventID(), 10, 31) // 0 if the client is new
	fmt.Printf("server: a client connects; its last event is %d\n", last)
	for position := int(last); ; {
		events, grown := f.after(position)
		if err := stream.Send(events...); err != nil {
			return
		}
		position += len(events)
		select {
		case <-grown:
		case <-stream.Context().Done():
			return
		}
	}
}

// serve starts a server on an address. It returns the address with the port that the
// server uses, and a function that stops the server.
func serve(address string, handler http.Handler) (listenAddress string, stop func()) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	stopped := make(chan struct{})
	go func() {
		_ = server.Serve(listener)
		close(stopped)
	}()
	fmt.Printf("server: listens on http://%s\n", listener.Addr())
	stop = func() {
		_ = server.Close()
		<-stopped
	}
	return listener.Addr().String(), stop
}

func main() {
	time.AfterFunc(30*time.Second, func() { log.Fatal("the client has not reconnected") })
	feed := &feed{grown: make(chan struct{})}
	address, stop := serve("127.0.0.1:0", feed)
	go func() {
		for _, data := range []string{"one", "two", "three"} {
			time.Sleep(time.Second)
			feed.publish(data)
		}
		time.Sleep(500 * time.Millisecond)
		fmt.Println("server: stops")
		stop()
		feed.publish("four, while no client is connected")
		time.Sleep(time.Second)
		serve(address, feed)
		feed.publish("five, after the restart")
	}()
	client := &sse.Client{URL: "http://" + address, OnState: func(change sse.StateChange) {
		fmt.Printf("client: %s\n", change.State)
	}}
	var received []string
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("client: event %s: %s\n", event.ID, event.Data)
		received = append(received, event.ID)
		if len(received) == 5 {
			break
		}
	}
	fmt.Println("client: has received the events", strings.Join(received, " "))
}
