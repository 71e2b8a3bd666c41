package behaviour

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

func clientCases() []clientCase {
	var many strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, "data: %d\n\n", i)
	}
	return []clientCase{
		{rule: "When the server ends the stream, it reconnects.",
			source: "HTML 9.2.3; r3labs/sse#147, tmaxmax/go-sse#17",
			script: []attempt{send("retry: 20\ndata: alpha\n\n"), hang("data: beta\n\n")},
			check:  func(w *world) bool { return w.event("alpha") && w.event("beta") }},
		{rule: "When the connection breaks within an event, it reconnects.",
			source: "HTML 9.2.3; launchdarkly/eventsource TestStreamReconnectsIfConnectionIsBroken",
			script: []attempt{broken("retry: 20\ndata: alpha\n\ndata: x"), hang("data: beta\n\n")},
			check:  func(w *world) bool { return w.event("alpha") && w.event("beta") }},
		{rule: "When the first attempt fails, there is another.",
			source:  "HTML 9.2.3; tmaxmax/go-sse#17",
			options: clientOptions{retryFirst: true},
			script:  []attempt{cut, hang("data: alpha\n\n")},
			check:   func(w *world) bool { return w.event("alpha") }},
		{rule: "It asks for what follows the last event.",
			source: "HTML 9.2.3; r3labs/sse TestHTTPStreamHandlerEventID",
			script: []attempt{broken("retry: 20\nid: 1\ndata: alpha\n\ndata: beta\n\n"), hang("")},
			check:  func(w *world) bool { return w.lastEventID() == "" && w.lastEventID() == "1" }},
		{rule: "The id of an event that was cut off is not asked for.",
			source: "HTML 9.2.6; tmaxmax/go-sse TestConnection_discardsIncompleteFinalEvent",
			script: []attempt{broken("retry: 20\nid: 1\ndata: alpha\n\nid: 2\ndata: beta\n"), hang("")},
			check:  func(w *world) bool { return w.lastEventID() == "" && w.lastEventID() == "1" }},
		{rule: "An id that was set before the first attempt is sent with it.",
			source:  "HTML 9.2.3; launchdarkly/eventsource TestStreamSendsLastEventID",
			options: clientOptions{lastEventID: "7"},
			script:  []attempt{hang("")},
			check:   func(w *world) bool { return w.lastEventID() == "7" }},
		{rule: "It is sent again when that attempt brings nothing.", source: "HTML 9.2.3",
			options: clientOptions{lastEventID: "7"},
			script:  []attempt{broken(": nothing\n\n"), hang("")},
			check:   func(w *world) bool { return w.lastEventID() == "7" && w.lastEventID() == "7" }},
		{rule: "An id that the server has cleared is not sent.", source: "HTML 9.2.3, 9.2.6",
			script: []attempt{broken("retry: 20\nid: 1\ndata: alpha\n\nid\ndata: beta\n\n"), hang("")},
			check:  func(w *world) bool { return w.lastEventID() == "" && w.lastEventID() == "" }},
		{rule: "204 ends it for good.", source: "HTML 9.2.1",
			script: []attempt{broken("retry: 20\ndata: alpha\n\n"), status(http.StatusNoContent)},
			check:  func(w *world) bool { return w.request(enough) != nil && w.asksOnce() }},
		{rule: "401 ends it: asking again changes nothing.",
			source: "HTML 9.2.3; r3labs/sse TestClientUnsubscribe401",
			script: []attempt{status(http.StatusUnauthorized)},
			check:  (*world).asksOnce},
		{rule: "503 does not end it (though it does in browsers).",
			source:  "RFC 9110 15.6.4; tmaxmax/go-sse#30",
			options: clientOptions{retryFirst: true},
			script:  []attempt{status(http.StatusServiceUnavailable), hang("data: alpha\n\n")},
			check:   func(w *world) bool { return w.event("alpha") }},
		{rule: "After 503 it waits as long as Retry-After says.", source: "RFC 9110 10.2.3",
			options: clientOptions{retryFirst: true},
			script: []attempt{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(http.StatusServiceUnavailable)
			}, hang("")},
			check: func(w *world) bool { return w.asksOnce() && w.request(enough) != nil }},
		{rule: "A POST whose stream has broken is not sent again on its own.",
			source:  "RFC 9110 9.2.2; Azure/fetch-event-source#54",
			options: clientOptions{post: true},
			script:  []attempt{broken("retry: 20\ndata: alpha\n\n")},
			check:   (*world).asksOnce},
		{rule: "A response that is not an event stream ends it, and is not read as one.",
			source: "HTML 9.2.3; tmaxmax/go-sse TestConnection_Connect_defaultValidator",
			script: []attempt{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("data: alpha\n\n"))
			}},
			check: func(w *world) bool { return w.asksOnce() && len(w.events) == 0 }},
		{rule: "A `retry` holds for all later attempts, not for the next only.",
			source:  "HTML 9.2.6; launchdarkly/eventsource TestStreamCanChangeRetryDelayBasedOnEvent",
			options: clientOptions{delay: time.Minute},
			script: []attempt{broken("retry: 20\ndata: alpha\n\n"), broken("data: beta\n\n"),
				hang("data: gamma\n\n")},
			check: func(w *world) bool {
				return w.event("alpha") && w.event("beta") && w.event("gamma")
			}},
		{rule: "It says that it accepts event streams.", source: "HTML 9.2.2",
			script: []attempt{hang("")},
			check: func(w *world) bool {
				r := w.request(enough)
				return r != nil && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
			}},
		{rule: "It ends when told to while the server is silent.",
			source: "tmaxmax/go-sse TestConnection_Connect_noRetryCtxErr",
			script: []attempt{hang("data: alpha\n\n")},
			check:  func(w *world) bool { return w.event("alpha") && w.ends() }},
		{rule: "It ends when told to while events wait to be taken.",
			source:  "launchdarkly/eventsource TestStreamClose; r3labs/sse TestSubscribeWithContextDone",
			options: clientOptions{hold: true},
			script:  []attempt{hang(many.String())},
			check:   func(w *world) bool { return w.event("0") && w.ends() }},
		{rule: "It ends when told to while it waits for the next attempt.",
			source:  "launchdarkly/eventsource TestStreamCloseWhileReconnecting",
			options: clientOptions{delay: time.Minute},
			script:  []attempt{send("data: alpha\n\n")},
			check: func(w *world) bool {
				// Nothing tells from outside that it waits, but that it asks no more.
				return w.event("alpha") && w.asksOnce() && w.ends()
			}},
	}
}

// ends cancels the client, and reports whether it returns. A panic of a
// goroutine that it has left behind is waited for: it ends the process.
func (w *world) ends() bool {
	w.cancel()
	select {
	case <-w.ended:
		<-time.After(quiet)
		return true
	case <-time.After(enough):
		return false
	}
}
