// Command client prints the events of examples/resume/server, and comes back
// whenever it loses it. See there for what to try.
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
	url := flag.String("url", "http://localhost:3000/events?since=earliest", "of the stream")
	after := flag.String("after", "", "the `id` of the last event that an earlier client has printed")
	flag.Parse()

	client := &sse.Client{
		URL: *url,
		// From the first event on, the id of the last one goes with every request,
		// and is stronger than the "since" of the URL.
		LastEventID:   *after,
		MaxRetryDelay: -1, // as often as the server says, for as long as it takes
		OnState:       report,
	}
	for event, err := range client.Events(context.Background()) {
		switch {
		case err != nil:
			log.Fatal(err) // what trying again cannot mend
		case event.Type == "sse.gap":
			gap, err := sse.Decode[sse.Gap](event)
			if err != nil {
				log.Fatal(err)
			}
			// Here a program that has built up a state would fetch it anew.
			log.Printf("gap: events after %s are lost (%s)", gap.Asked, gap.Why)
		default:
			fmt.Println(strings.ReplaceAll(event.Data, "\n", `\n`))
		}
	}
}

func report(change sse.StateChange) {
	switch change.State {
	case sse.StateOpen:
		log.Print("connected")
	case sse.StateRetrying:
		log.Printf("lost (%v), again in %v", change.Err, change.Delay)
	}
}
