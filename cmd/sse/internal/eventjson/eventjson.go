// Package eventjson defines the form of an event as one line of JSON. A page of history
// of the hub has such lines, and sse listen --json prints such a line for each event.
package eventjson

import (
	"time"

	"github.com/sse-go/sse"
)

// Event is the JSON object of an event. Type and data are always present, even if the
// data is empty. Other fields are absent if they are empty.
type Event struct {
	Topics []string `json:"topics,omitempty"`
	ID     string   `json:"id,omitempty"` // the ID of this event itself, not of an earlier one
	Type   string   `json:"type"`         // message if the event has none
	Data   string   `json:"data"`
	Retry  int64    `json:"retry,omitempty"` // milliseconds

	// Time is when the event was published. Only the hub knows this time, and sets
	// it. Received is when sse listen received the event. Both have the form of
	// FormatTime.
	Time     string `json:"time,omitempty"`
	Received string `json:"received,omitempty"`
}

// New returns the object for an event with these topics. Its Time and Received are
// empty.
func New(event sse.Event, topics ...string) Event {
	return Event{
		Topics: topics, ID: event.ID, Type: TypeOf(event), Data: event.Data,
		Retry: event.Retry.Milliseconds(),
	}
}

// TypeOf returns the type of an event as a browser reports it: the type that the event
// has, or "message" if it has none.
func TypeOf(event sse.Event) string {
	if event.Type == "" {
		return "message"
	}
	return event.Type
}

// FormatTime returns a time as text for the fields of Event, for example
// "2026-01-02T12:00:00.000000000Z". All times have the same length, so that they can
// be sorted as text.
func FormatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
}
