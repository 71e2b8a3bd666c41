package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sse-go/sse"
)

// brokers are the constructors of the servers of this library, by name. The
// coordinator recognizes the servers of this library by the prefix "sse-" of their
// names. Their brokers have default settings, except Park.
var brokers = map[string]func([]string) (*subject, error){
	"sse-held":   func([]string) (*subject, error) { return newBroker(&sse.Broker{}), nil },
	"sse-parked": func([]string) (*subject, error) { return newBroker(&sse.Broker{Park: true}), nil },
	"sse-publishall": func([]string) (*subject, error) {
		s := newBroker(&sse.Broker{Park: true})
		s.publishAll = publishAll(s.broker)
		return s, nil
	},
}

// publishAll returns a function that publishes several events with one call of
// Append.
func publishAll(broker *sse.Broker) func(topics, data []string) error {
	var entries []sse.Entry
	return func(topics, data []string) error {
		entries = entries[:0]
		for i := range topics {
			entries = append(entries, sse.Entry{Topics: topics[i : i+1], Event: sse.Event{Data: data[i]}})
		}
		_, err := broker.Append(context.Background(), sse.AppendRequest{Entries: entries})
		return err
	}
}

func newBroker(broker *sse.Broker) *subject {
	broker.Select = func(r *http.Request) (sse.Selection, error) {
		query := r.URL.Query()
		sel := sse.Selection{Topics: query["topic"]}
		for _, text := range query["pattern"] {
			p, err := sse.ParsePattern(text)
			if err != nil {
				return sel, fmt.Errorf("pattern: %w", err)
			}
			sel.Patterns = append(sel.Patterns, p)
		}
		return sel, nil
	}
	return &subject{
		handler: broker,
		broker:  broker,
		publish: func(topic, data string) error {
			_, err := broker.Publish(context.Background(), sse.Event{Data: data}, topic)
			return err
		},
		path:    "/?topic={topic}",
		pattern: "/?pattern={topic}",
		body:    true,
		version: "this tree",
	}
}
