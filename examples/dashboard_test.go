package examples_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

// TestDashboard sends the requests of the page without a browser.
func TestDashboard(t *testing.T) {
	_, address := startListening(t, builder(t)("dashboard"), "-addr=localhost:0")
	status, page := get(t, address, "/")
	if status != http.StatusOK || !strings.Contains(page, "new EventSource(") {
		t.Errorf("the page: status %d, %.200q", status, page)
	}
	for _, external := range []string{`src="`, "@import", "url(http", "import "} {
		if strings.Contains(page, external) {
			t.Errorf("the page has %q, but it must work offline", external)
		}
	}

	// The stream begins with stored events. The posted value is among them.
	mustPost(t, address, "/latency", "987.6")
	first := readStream(t, address, "/events?since=-240", func(events []sse.Event) bool {
		return len(events) >= 8 && len(typesOf(events)) == 4
	})
	want := []string{"errors", "latency", "memory", "requests"}
	if got := typesOf(first); !slices.Equal(got, want) {
		t.Errorf("the metrics are %q, want %q", got, want)
	}
	if !slices.ContainsFunc(first, func(e sse.Event) bool {
		return e.Type == "latency" && strings.Contains(e.Data, `"v":987.6`)
	}) {
		t.Errorf("the posted value is not among %+v", first)
	}
	for _, event := range first {
		if !strings.Contains(page, `name: "`+event.Type+`"`) {
			t.Errorf("the page has no chart for %q", event.Type)
		}
	}

	testEndedStream(t, address)

	if status, text := get(t, address, "/events?topic=wether"); status != http.StatusNotFound ||
		text != "there is no metric \"wether\"\n" {
		t.Errorf("an unknown metric: status %d, %q", status, text)
	}
	if _, err := post(address, "/latency", "fast"); err == nil {
		t.Error(`the value "fast" was accepted`)
	}
}

// testEndedStream ends all streams, publishes an event while the client is not connected,
// and checks that the client receives this event after it has reconnected.
func testEndedStream(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	opened := 0
	client := &sse.Client{
		URL: "http://" + address + "/events?topic=errors&since=-1",
		OnState: func(change sse.StateChange) {
			switch change.State {
			case sse.StateOpen:
				opened++
			case sse.StateRetrying:
				mustPost(t, address, "/errors", "77") // while the client is not connected
			}
		},
	}
	ended := false
	for event, err := range client.Events(ctx) {
		if err != nil || event.Type != "errors" {
			t.Fatalf("got %+v, %v", event, err)
		}
		if !ended {
			ended = true
			request(t, http.MethodDelete, address, "")
		}
		if strings.Contains(event.Data, `"v":77`) {
			break
		}
	}
	if opened != 2 {
		t.Errorf("the stream was opened %d times, want twice", opened)
	}
}

func typesOf(events []sse.Event) []string {
	types := map[string]bool{}
	for _, event := range events {
		types[event.Type] = true
	}
	return slices.Sorted(maps.Keys(types))
}

// readStream reads events until enough returns true.
func readStream(t *testing.T, address, path string, enough func([]sse.Event) bool) []sse.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	client := &sse.Client{URL: "http://" + address + path, MaxRetries: -1}
	var events []sse.Event
	for event, err := range client.Events(ctx) {
		if err != nil {
			t.Fatalf("%s: %v, after %+v", path, err, events)
		}
		if events = append(events, event); enough(events) {
			break
		}
	}
	return events
}

// get sends the request of `curl address/path`.
func get(t *testing.T, address, path string) (status int, text string) {
	t.Helper()
	client := &http.Client{Timeout: deadline}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
