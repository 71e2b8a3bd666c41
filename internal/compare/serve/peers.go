package main

import (
	"net/http"

	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/sse-go/sse/internal/compare"
)

// newTmaxmax uses a Server with its default provider, Joe, as the README.md of
// tmaxmax advises ("Using the library"), without replay and without a logger.
func newTmaxmax([]string) (*subject, error) {
	server := &tmaxmax.Server{
		// OnSession may write the status itself (server.go, "Note that
		// OnSession can write the HTTP response code"). If it did not, a client
		// would get no response before the first event.
		OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			err := http.NewResponseController(w).Flush()
			return r.URL.Query()["topic"], err == nil
		},
	}
	return &subject{
		handler: server,
		publish: func(topic, data string) error {
			message := &tmaxmax.Message{}
			message.AppendData(data)
			return server.Publish(message, topic)
		},
		path:    "/?topic={topic}",
		version: compare.Version("github.com/tmaxmax/go-sse") + ", Server with Joe",
	}, nil
}

// newR3labs uses New and CreateStream, as the README.md of r3labs advises ("Example
// Server"). Replay is off, because with replay r3labs stores every event forever
// (event_log.go). A server that runs for a long time could not do that.
func newR3labs(topics []string) (*subject, error) {
	server := r3labs.New()
	server.AutoReplay = false
	for _, topic := range topics {
		server.CreateStream(topic)
	}
	return &subject{
		handler: server,
		publish: func(topic, data string) error {
			server.Publish(topic, &r3labs.Event{Data: []byte(data)})
			return nil
		},
		path:    "/?stream={topic}",
		version: compare.Version("github.com/r3labs/sse/v2") + ", AutoReplay off",
	}, nil
}
