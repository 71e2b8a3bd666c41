package sse_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

// A loop puts together much for many streams before it writes. Each gets its own, also
// when that is more than the loop has room for, and when another's filter panics.
func TestLargeBatches(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Select = selectForBatches
		f.serve()
		testLargeBatches(t, &f.broker, f.server.URL(), f.server.Client())
	})
	onSockets(t, func(t *testing.T, park bool) {
		broker := &sse.Broker{Park: park, Select: selectForBatches}
		addr := newSocketServer(t, broker, broker)
		testLargeBatches(t, broker, "http://"+addr, nil)
	})
}

func selectForBatches(r *http.Request) (sse.Selection, error) {
	query := r.URL.Query()
	sel := sse.Selection{Topics: query["topic"], WithTopic: query.Has("with")}
	switch query.Get("filter") {
	case "even":
		sel.Filter = func(e *sse.Entry) bool { return strings.HasPrefix(e.Event.Type, "even") }
	case "panics":
		sel.Filter = func(e *sse.Entry) bool {
			if e.Event.Type == "even 30" {
				panic(http.ErrAbortHandler)
			}
			return true
		}
	}
	return sel, nil
}

func testLargeBatches(t *testing.T, broker *sse.Broker, url string, httpClient *http.Client) {
	t.Helper()
	const streams, topics, events = 40, 7, 60
	var want [streams][]string
	var entries []sse.Entry
	for i := range events {
		topic, kind := fmt.Sprint("t", i%topics), fmt.Sprint("odd ", i)
		if i%2 == 0 {
			topic, kind = "all", fmt.Sprint("even ", i)
		}
		data := fmt.Sprint(i, " ", strings.Repeat("x", 100*i))
		entries = append(entries, sse.Entry{
			Topics: []string{topic}, Event: sse.Event{Type: kind, Data: data},
		})
		for s := range want {
			if (i%2 == 0 || s%topics == i%topics) && !(s%4 == 2 && i%2 == 1) {
				want[s] = append(want[s], data)
			}
		}
	}
	done := make(chan error, streams)
	for s := range streams {
		query := fmt.Sprintf("?topic=all&topic=t%d", s%topics) +
			[]string{"", "&with=1", "&filter=even", "&filter=panics"}[s%4]
		client := &sse.Client{URL: url + "/" + query, HTTPClient: httpClient, MaxRetries: -1}
		opened := make(chan struct{})
		client.OnState = func(change sse.StateChange) {
			if change.State == sse.StateOpen {
				close(opened)
			}
		}
		go func() {
			var got []string
			for event, err := range client.Events(t.Context()) {
				if err != nil {
					break
				}
				if got = append(got, event.Data); len(got) == len(want[s]) {
					break
				}
			}
			switch ok := slices.Equal(got, want[s]); {
			case s%4 == 3 && ok:
				done <- fmt.Errorf("stream %d did not end when its filter panicked", s)
			case s%4 != 3 && !ok:
				done <- fmt.Errorf("stream %d got %d events, want %d, or others", s, len(got), len(want[s]))
			default:
				done <- nil
			}
		}()
		<-opened
	}
	if _, err := broker.PublishAll(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
	for range streams {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
