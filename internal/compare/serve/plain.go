package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// plain is a typical simple server on net/http: each subscriber has a channel
// and the goroutine of its handler.
type plain struct {
	mu     sync.RWMutex // guards the following
	topics map[string]map[*plainSubscriber]struct{}
}

type plainSubscriber struct {
	ctx    context.Context
	events chan string
}

// plainQueue is the size of a subscriber's channel. r3labs and many tutorials use the
// same size.
const plainQueue = 64

func newPlain([]string) (*subject, error) {
	p := &plain{topics: map[string]map[*plainSubscriber]struct{}{}}
	return &subject{
		handler: p,
		publish: p.publish,
		path:    "/?topic={topic}",
		body:    true,
		version: "net/http, a channel of 64 events for each subscriber; a full channel blocks publishing",
	}, nil
}

// publish sends an event to the channel of each subscriber. It blocks while a channel
// is full, because it would lose an event otherwise.
func (p *plain) publish(topic, data string) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for s := range p.topics[topic] {
		select {
		case s.events <- data:
		case <-s.ctx.Done():
		}
	}
	return nil
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	topic := r.URL.Query().Get("topic")
	s := &plainSubscriber{r.Context(), make(chan string, plainQueue)}
	p.add(topic, s)
	defer p.remove(topic, s)

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flusher := http.NewResponseController(w)
	fmt.Fprint(w, ":\n\n")
	if err := flusher.Flush(); err != nil {
		return
	}
	for {
		select {
		case <-s.ctx.Done():
			return
		case data := <-s.events:
			fmt.Fprintf(w, "data: %s\n\n", data)
			if err := flusher.Flush(); err != nil {
				return
			}
		}
	}
}

func (p *plain) add(topic string, s *plainSubscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.topics[topic] == nil {
		p.topics[topic] = map[*plainSubscriber]struct{}{}
	}
	p.topics[topic][s] = struct{}{}
}

func (p *plain) remove(topic string, s *plainSubscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.topics[topic], s)
}
