// Command client is the client of examples/minimal, written with package sse.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/sse-go/sse"
)

func main() {
	client := &sse.Client{
		URL:           "http://localhost:3000/handshake",
		MaxRetryDelay: -1, // try to reconnect every second; the delay does not grow
		OnState:       logState,
	}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			log.Fatal(err) // for example, status 404: another attempt would fail as well
		}
		fmt.Println(strings.ReplaceAll(event.Data, "\n", `\n`)) // prints several lines as one line
	}
}

// logState logs every change of the connection's state.
func logState(change sse.StateChange) {
	switch change.State {
	case sse.StateConnecting:
		log.Print("TRY_OPEN_CONNECTION")
	case sse.StateOpen:
		log.Print("connection established..")
		log.Print("WAITING_MESSAGE")
	case sse.StateRetrying:
		if change.Err != nil {
			log.Print(change.Err)
		} else {
			log.Print("the server has ended the connection")
		}
	}
}
