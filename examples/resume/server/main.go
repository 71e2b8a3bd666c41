// Command server publishes what it is told, and may be killed at any time: its
// clients miss nothing, and get nothing twice.
//
//	go run ./examples/resume/server                 # console 1
//	go run ./examples/resume/client                 # console 2, prints what is published
//	curl -d one localhost:3000                      # console 3, prints the id of the event
//	kill -9 …                                       # the server says its number
//	go run ./examples/resume/server                 # the client is back
//	curl -d two localhost:3000
//
// The client has "one", "two", also if more was published and the server killed
// while the client was away. What curl shows has the positions in it, and can begin
// anywhere:
//
//	curl -N 'localhost:3000/events?since=earliest'
//	curl -N 'localhost:3000/events?since=-1'        # the last one, and what is new
//	curl -N -H 'Last-Event-ID: …' localhost:3000/events
//
// The same with -log= keeps events in memory alone: then a restart loses them,
// and the client is told, by an event of type sse.gap.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/sse-go/sse"
)

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	path := flag.String("log", "events.jsonl", "the `file` that keeps the events; if empty, none")
	flag.Parse()

	// The port comes before the file: a second server fails here, and does not
	// write to a log that is in use.
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	var broker sse.Broker
	if *path != "" {
		events, err := openLog(*path)
		if err != nil {
			log.Fatal(err)
		}
		broker.Log = events
	}
	// Every client is told to come back soon. One that has many would not.
	broker.Stream.Retry = 200 * time.Millisecond
	broker.OnConnect = func(sse.Subscriber) { log.Print("client connected") }
	broker.OnDisconnect = func(_ sse.Subscriber, reason error) { log.Print("client left: ", reason) }

	mux := http.NewServeMux()
	mux.Handle("GET /events", &broker)
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		at, err := broker.Publish(r.Context(), sse.Event{Data: string(body)})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, at) // whoever reads this knows that the event is kept
	})

	server := &http.Server{Handler: mux, ConnContext: sse.ConnContext}
	// First no new connections, then the end of the streams: so whoever comes back
	// meets the next server, and not this one that refuses.
	server.RegisterOnShutdown(func() { broker.Shutdown(context.Background()) })
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() {
		log.Printf("server on http://%s; kill -9 %d ends it badly", listener.Addr(), os.Getpid())
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-interrupted.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Print(err)
	}
}
