package main // the server of examples/minimal, on package sse

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sse-go/sse"
)

func main() {
	var streams, count = sync.Map{}, atomic.Int64{} // the open streams, the messages so far
	http.HandleFunc("GET /handshake", func(w http.ResponseWriter, r *http.Request) {
		if stream, err := sse.Accept(w, r, &sse.AcceptOptions{WriteTimeout: 1e9}); err == nil { // 1 s
			defer func() { streams.Delete(stream); stream.Close(); log.Print("client left") }()
			streams.Store(stream, nil)
			log.Print("client connected")
			<-stream.Context().Done() // the client goes, or the stream is closed below
		}
	})
	http.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
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
	log.Print("server on localhost:3000")
	log.Fatal(http.ListenAndServe("localhost:3000", nil))
}
