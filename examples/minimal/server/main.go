// Command server sends a message to all connected clients at each curl.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
)

var (
	mu      sync.Mutex                             // guards clients and count
	clients = map[chan string]context.CancelFunc{} // each client's channel, and its cancel function
	count   int                                    // messages so far
	lines   = strings.NewReplacer("\r\n", "\ndata: ", "\r", "\ndata: ", "\n", "\ndata: ")
)

func main() {
	http.HandleFunc("GET /handshake", handshake)
	http.HandleFunc("/{$}", send) // curl localhost:3000, also with -d TEXT or -X DELETE
	log.Print("server on localhost:3000")
	log.Fatal(http.ListenAndServe("localhost:3000", nil), "; if another program uses it, edit main.go")
}

func handshake(w http.ResponseWriter, r *http.Request) {
	messages := make(chan string, 16)              // the client may be 16 messages behind
	ctx, cancel := context.WithCancel(r.Context()) // done after cancel, or when the client leaves
	mu.Lock()
	clients[messages] = cancel
	mu.Unlock()
	log.Print("client connected")
	w.Header().Set("Content-Type", "text/event-stream")
	for ctx.Err() == nil {
		http.NewResponseController(w).Flush() // first sends the headers, later each message
		select {
		case message := <-messages: // each line gets its own "data: "; a blank line ends the message
			fmt.Fprintf(w, "data: %s\n\n", lines.Replace(message))
		case <-ctx.Done(): // the client left, or a DELETE called cancel
		}
	}
	mu.Lock()
	delete(clients, messages)
	mu.Unlock()
	log.Print("client left")
}

func send(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	mu.Lock()
	defer mu.Unlock()
	count++
	message := cmp.Or(string(body), fmt.Sprint("Hello ", count)) // "Hello 1" if there is no body
	reached := 0
	for messages, cancel := range clients {
		if r.Method == http.MethodDelete {
			cancel()
			continue
		}
		select {
		case messages <- message:
			reached++
		default: // the channel is full: this client misses the message
		}
	}
	fmt.Fprintln(w, "clients reached:", reached)
}
