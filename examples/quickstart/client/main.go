package main // the client of examples/minimal, on package sse

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/sse-go/sse"
)

func main() {
	client := &sse.Client{
		URL:           "http://localhost:3000/handshake",
		MaxRetryDelay: -1, // every second, as long as it takes
		OnState: func(change sse.StateChange) {
			switch change.State {
			case sse.StateConnecting:
				log.Print("TRY_OPEN_CONNECTION")
			case sse.StateOpen:
				log.Print("connection established..")
				log.Print("WAITING_MESSAGE")
			case sse.StateRetrying:
				if change.Err == nil {
					change.Err = errors.New("the server has ended the connection")
				}
				log.Print(change.Err)
			}
		},
	}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			log.Fatal(err) // what trying again cannot mend
		}
		fmt.Println(strings.ReplaceAll(event.Data, "\n", `\n`))
	}
}
