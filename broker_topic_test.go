package sse_test

import (
	"testing"

	"github.com/sse-go/sse"
)

// An event that was received is published again as it is: the topic it came on says
// nothing, and may be one that only a server of another kind gives.
func TestPublishIgnoresTopic(t *testing.T) {
	var broker sse.Broker
	event := sse.Event{Topic: "a\nb", Data: "x"}
	if _, err := broker.Publish(t.Context(), event, "news"); err != nil {
		t.Error(err)
	}
	entries := []sse.Entry{{Event: event, Topics: []string{"news"}}}
	if _, err := broker.PublishAll(t.Context(), entries...); err != nil {
		t.Error(err)
	}
	if entries[0].Event != event {
		t.Errorf("PublishAll has changed what it was given to %+v", entries[0].Event)
	}
	page, err := broker.Read(t.Context(), sse.Selection{Topics: []string{"news"}}, sse.Start{Earliest: true}, 1<<20)
	if err != nil || len(page.Entries) != 2 {
		t.Fatal(page, err)
	}
	for _, e := range page.Entries {
		if e.Event.Topic != "" || e.Event.Data != "x" {
			t.Errorf("published %+v", e.Event)
		}
	}
}
