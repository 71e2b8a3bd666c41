package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/sse-go/sse"
)

// A client that subscribes while the hub shuts down receives a stream that sets the
// retry time and ends. After any other response, an EventSource would not reconnect.
// The stream has no cursor, because a broker that was shut down has no position.
func TestSubscribeWhileClosing(t *testing.T) {
	var broker sse.Broker
	a := newAPI(t, &broker)
	broker.Select = a.Select
	closing, stop := context.WithCancel(t.Context())
	stop()
	a.Closing = closing
	if err := broker.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/news", nil)
	a.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "text/event-stream" ||
		!regexp.MustCompile(`^retry: \d{3,4}\n\n$`).MatchString(w.Body.String()) {
		t.Errorf("got status %d with type %s and body %q", w.Code, got, w.Body)
	}
}
