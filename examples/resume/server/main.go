// Command server publishes the body of every POST. If it is killed and started again,
// its clients miss no event and receive no event twice.
//
//	go run ./examples/resume/server                 # console 1
//	go run ./examples/resume/client                 # console 2, prints the events
//	curl -d one localhost:3000                      # console 3, prints the id of the event
//	kill -9 …                                       # the server logs its process number
//	go run ./examples/resume/server                 # the client reconnects
//	curl -d two localhost:3000
//
// The client prints "one" and "two". It also prints events that were published while it
// was not connected. curl -N shows the id of every event, and can start at any event:
//
//	curl -N 'localhost:3000/events?since=earliest'
//	curl -N 'localhost:3000/events?since=-1'        # the last event, then new ones
//	curl -N -H 'Last-Event-ID: …' localhost:3000/events
//
// With -log= the server stores events only in memory. Then a restart loses them, and
// the client receives an event of type sse.gap, which reports the loss.
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
	"syscall"
	"time"

	"github.com/sse-go/sse"
)

func main() {
	addr := flag.String("addr", "localhost:3000", "listen on `address`")
	path := flag.String("log", "events.jsonl", "store events in `file`; if empty, only in memory")
	flag.Parse()

	// Listen before opening the file: a second server fails here, and does not write
	// to a log that is in use.
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
	// Clients reconnect after 200 ms. A server with many clients would set a longer time.
	broker.Streams.Retry = 200 * time.Millisecond
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
		fmt.Fprintln(w, at) // the event is on the disk when the caller reads this
	})

	server := &http.Server{Handler: mux}
	// shutdown closes the listener first, and then ends the streams. So this server does
	// not refuse a client that reconnects: the client waits for the next server.
	shutdown := broker.Attach(server)
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		log.Printf("server on http://%s; kill -9 %d kills it", listener.Addr(), os.Getpid())
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-interrupt.Done()
	stop() // a second interrupt ends the process at once
	// The timeout begins now, and not when the program starts.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		log.Print(err)
	}
}
