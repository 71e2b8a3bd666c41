// Command chi is the server of examples/quickstart, inside chi.
package main

import (
	"cmp"
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

func main() {
	log.Print("server on localhost:3000")
	log.Fatal(http.ListenAndServe("localhost:3000", handler()))
}

func handler() http.Handler {
	var streams, count = sync.Map{}, atomic.Int64{} // the open streams, the messages so far
	router := chi.NewRouter()
	router.Use(middleware.Recoverer)
	router.Get("/handshake", func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, &sse.AcceptOptions{WriteTimeout: time.Second})
		if err != nil {
			return // Accept has answered
		}
		defer func() { streams.Delete(stream); stream.Close(); log.Print("client left") }()
		streams.Store(stream, nil)
		log.Print("client connected")
		<-stream.Context().Done() // the client goes, or the stream is closed below
	})
	router.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		data, reached := cmp.Or(string(body), fmt.Sprint("Hello ", count.Add(1))), 0
		for key := range streams.Range {
			if stream := key.(*sse.Stream); r.Method == http.MethodDelete {
				stream.Close()
			} else if stream.Send(sse.Event{Data: data}) == nil {
				reached++
			}
		}
		fmt.Fprintln(w, "clients reached:", reached)
	})
	return router
}
