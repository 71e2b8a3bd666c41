// Command client prints the events of examples/resume/server, and reconnects when the
// connection is lost. The comment at the top of the server lists commands to try.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"

	"github.com/sse-go/sse"
)

func main() {
	url := flag.String("url", "http://localhost:3000/events?since=earliest",
		"read the stream at `URL`")
	after := flag.String("after", "",
		"start after the event with this `id`, for example ~42.gAAAAAAAAAAAAAAA")
	flag.Parse()

	client := &sse.Client{
		URL: *url,
		// After the first event, every request carries the id of the last event. The
		// server then ignores "since" in the URL.
		LastEventID:   *after,
		MaxRetryDelay: -1, // the delay, which the server sets, does not grow
		OnState:       logState,
	}
	for event, err := range client.Events(context.Background()) {
		switch {
		case err != nil:
			log.Fatal(err) // Events yields only errors after which the client does not reconnect
		case event.Type == "sse.gap":
			gap, err := sse.Decode[sse.Gap](event)
			if err != nil {
				log.Fatal(err)
			}
			// A program that computes a state from the events would load the whole state here.
			log.Printf("gap: events after %s are lost (%s)", gap.Asked, gap.Why)
		default:
			fmt.Println(strings.ReplaceAll(event.Data, "\n", `\n`))
		}
	}
}

// logState logs every change of the connection's state.
func logState(change sse.StateChange) {
	switch change.State {
	case sse.StateOpen:
		log.Print("connected")
	case sse.StateRetrying:
		log.Printf("connection lost (%v), retrying in %v", change.Err, change.Delay)
	}
}
