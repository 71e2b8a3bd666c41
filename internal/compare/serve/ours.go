package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sse-go/sse"
)

// ours are our own servers, by name. This file is the only one to know them: the
// coordinator lists what is here, measures it with everybody else, and shows its
// ratios to all. Everything that a Broker does is switched on.
var ours = map[string]func([]string) (*subject, error){
	"ours-held":   func([]string) (*subject, error) { return newOurs(&sse.Broker{}), nil },
	"ours-parked": func([]string) (*subject, error) { return newOurs(&sse.Broker{Park: true}), nil },
	"ours-publishall": func([]string) (*subject, error) {
		s := newOurs(&sse.Broker{Park: true})
		s.publishAll = publishAll(s.broker)
		return s, nil
	},
}

func publishAll(broker *sse.Broker) func(topics, data []string) error {
	var entries []sse.Entry
	return func(topics, data []string) error {
		entries = entries[:0]
		for i := range topics {
			entries = append(entries, sse.Entry{Topics: topics[i : i+1], Event: sse.Event{Data: data[i]}})
		}
		_, err := broker.PublishAll(context.Background(), entries...)
		return err
	}
}

func newOurs(broker *sse.Broker) *subject {
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
