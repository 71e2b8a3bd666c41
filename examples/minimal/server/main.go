// Command server holds every client that connects, and sends all of them a message at each curl.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
)

var (
	mu      sync.Mutex                               // guards the following
	clients = map[chan<- string]context.CancelFunc{} // the connected ones, and how to end each
	count   int                                      // of messages

	// Every line of a message needs its own "data: ", or it could pass for another field.
	lines = strings.NewReplacer("\r\n", "\ndata: ", "\r", "\ndata: ", "\n", "\ndata: ")
)

func main() {
	http.HandleFunc("GET /handshake", handshake)
	http.HandleFunc("/{$}", send) // curl localhost:3000, or curl -d text, or curl -X DELETE
	log.Print("server on localhost:3000")
	log.Fatal(http.ListenAndServe("localhost:3000", nil))
}

func handshake(w http.ResponseWriter, r *http.Request) {
	messages := make(chan string, 16)              // how far a client may fall behind
	ctx, cancel := context.WithCancel(r.Context()) // done when the client goes, or send ends it
	mu.Lock()
	clients[messages] = cancel
	mu.Unlock()
	log.Print("client connected")
	defer log.Print("client left")
	defer func() { cancel(); mu.Lock(); delete(clients, messages); mu.Unlock() }()
	w.Header().Set("Content-Type", "text/event-stream")
	for http.NewResponseController(w).Flush() == nil { // out go the headers, then each message
		select {
		case <-ctx.Done():
			return // which ends the connection
		case message := <-messages:
			fmt.Fprintf(w, "data: %s\n\n", lines.Replace(message)) // the blank line ends it
		}
	}
}

func send(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	mu.Lock()
	defer mu.Unlock()
	if count++; len(body) == 0 {
		body = fmt.Append(nil, "Hello ", count)
	}
	reached := 0
	for messages, cancel := range clients {
		if r.Method == http.MethodDelete {
			cancel()
			continue
		}
		select {
		case messages <- string(body):
			reached++
		default: // too far behind: it misses this one, and nobody waits for it
		}
	}
	fmt.Fprintln(w, "clients reached:", reached)
}
