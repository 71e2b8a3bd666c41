// Package eventjson is the form of an event as one line of JSON. The hub writes
// it in a page of history, and sse listen --json writes it for each event.
package eventjson

import (
	"time"

	"github.com/sse-go/sse"
)

// Event is an event as an object. Data is always present, because it may be
// empty.
type Event struct {
	Topics []string `json:"topics,omitempty"`
	ID     string   `json:"id,omitempty"` // of the event itself
	Type   string   `json:"type"`         // message if the event has none
	Data   string   `json:"data"`
	Retry  int64    `json:"retry,omitempty"` // milliseconds

	// Time is when the event was published. Only the hub knows it. Received is
	// when sse listen received the event.
	Time     string `json:"time,omitempty"`
	Received string `json:"received,omitempty"`
}

// New returns the object for an event, without its times.
func New(event sse.Event, topics ...string) Event {
	return Event{
		Topics: topics, ID: event.ID, Type: TypeOf(event), Data: event.Data,
		Retry: event.Retry.Milliseconds(),
	}
}

// TypeOf returns the type of an event as a browser reports it: "message" if the
// event has none.
func TypeOf(event sse.Event) string {
	if event.Type == "" {
		return "message"
	}
	return event.Type
}

// FormatTime returns a time for Event. All times have the same width, so that
// they can be sorted as text.
func FormatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
}
