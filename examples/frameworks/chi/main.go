// Command chi is the server of examples/quickstart, inside chi.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/sse-go/sse"
)

var (
	streams sync.Map     // its keys are the open streams
	count   atomic.Int64 // messages so far
)

func main() {
	log.Print("server on localhost:3000")
	err := http.ListenAndServe("localhost:3000", handler())
	log.Fatal(err, "; if another program uses port 3000, stop it, or change 3000 in main.go")
}

func handler() http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer)
	router.Get("/handshake", handshake)
	router.HandleFunc("/", send)
	return router
}

func handshake(w http.ResponseWriter, r *http.Request) {
	stream, err := sse.Accept(w, r, &sse.AcceptOptions{WriteTimeout: time.Second})
	if err != nil {
		return // Accept has sent an error response
	}
	defer stream.Close()
	streams.Store(stream, true)
	log.Print("client connected")
	<-stream.Context().Done() // the client left, or send closed the stream
	streams.Delete(stream)
	log.Print("client left")
}

func send(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	event := sse.Event{Data: string(body)}
	number := count.Add(1)
	if event.Data == "" {
		event.Data = fmt.Sprint("Hello ", number)
	}
	reached := 0
	for key := range streams.Range {
		stream := key.(*sse.Stream)
		if r.Method == http.MethodDelete {
			stream.Close()
		} else if stream.Send(event) == nil {
			reached++
		}
	}
	fmt.Fprintln(w, "clients reached:", reached)
}
