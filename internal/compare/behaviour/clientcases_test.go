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
		{rule: "The client reconnects when the server ends the stream.",
			source: "HTML 9.2.3; r3labs/sse#147, tmaxmax/go-sse#17",
			script: []attempt{send("retry: 20\ndata: alpha\n\n"), hang("data: beta\n\n")},
			check:  func(w *session) bool { return w.event("alpha") && w.event("beta") }},
		{rule: "The client reconnects when the connection breaks inside an event.",
			source: "HTML 9.2.3; launchdarkly/eventsource TestStreamReconnectsIfConnectionIsBroken",
			script: []attempt{broken("retry: 20\ndata: alpha\n\ndata: x"), hang("data: beta\n\n")},
			check:  func(w *session) bool { return w.event("alpha") && w.event("beta") }},
		{rule: "The client tries again when the first attempt fails.",
			source:  "HTML 9.2.3; tmaxmax/go-sse#17",
			options: clientOptions{retryFirst: true},
			script:  []attempt{cut, hang("data: alpha\n\n")},
			check:   func(w *session) bool { return w.event("alpha") }},
		{rule: "The client reconnects with the id of the last event.",
			source: "HTML 9.2.3; r3labs/sse TestHTTPStreamHandlerEventID",
			script: []attempt{broken("retry: 20\nid: 1\ndata: alpha\n\ndata: beta\n\n"), hang("")},
			check:  func(w *session) bool { return w.lastEventID() == "" && w.lastEventID() == "1" }},
		{rule: "The client does not send the id of an event that was cut off.",
			source: "HTML 9.2.6; tmaxmax/go-sse TestConnection_discardsIncompleteFinalEvent",
			script: []attempt{broken("retry: 20\nid: 1\ndata: alpha\n\nid: 2\ndata: beta\n"), hang("")},
			check:  func(w *session) bool { return w.lastEventID() == "" && w.lastEventID() == "1" }},
		{rule: "The client sends an id that was set before the first attempt.",
			source:  "HTML 9.2.3; launchdarkly/eventsource TestStreamSendsLastEventID",
			options: clientOptions{lastEventID: "7"},
			script:  []attempt{hang("")},
			check:   func(w *session) bool { return w.lastEventID() == "7" }},
		{rule: "The client sends that id again if the first attempt yields no event.", source: "HTML 9.2.3",
			options: clientOptions{lastEventID: "7"},
			script:  []attempt{broken(": nothing\n\n"), hang("")},
			check:   func(w *session) bool { return w.lastEventID() == "7" && w.lastEventID() == "7" }},
		{rule: "The client does not send an id that the server has cleared.", source: "HTML 9.2.3, 9.2.6",
			script: []attempt{broken("retry: 20\nid: 1\ndata: alpha\n\nid\ndata: beta\n\n"), hang("")},
			check:  func(w *session) bool { return w.lastEventID() == "" && w.lastEventID() == "" }},
		{rule: "The client ends after status 204.", source: "HTML 9.2.1",
			script: []attempt{broken("retry: 20\ndata: alpha\n\n"), status(http.StatusNoContent)},
			check:  func(w *session) bool { return w.request(maxWait) != nil && w.requestsOnce() }},
		{rule: "The client ends after status 401, because a retry would not help.",
			source: "HTML 9.2.3; r3labs/sse TestClientUnsubscribe401",
			script: []attempt{status(http.StatusUnauthorized)},
			check:  (*session).requestsOnce},
		{rule: "The client retries after status 503 (browsers do not).",
			source:  "RFC 9110 15.6.4; tmaxmax/go-sse#30",
			options: clientOptions{retryFirst: true},
			script:  []attempt{status(http.StatusServiceUnavailable), hang("data: alpha\n\n")},
			check:   func(w *session) bool { return w.event("alpha") }},
		{rule: "After status 503, the client waits for the time in Retry-After.", source: "RFC 9110 10.2.3",
			options: clientOptions{retryFirst: true},
			script: []attempt{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(http.StatusServiceUnavailable)
			}, hang("")},
			check: func(w *session) bool { return w.requestsOnce() && w.request(maxWait) != nil }},
		{rule: "The client does not repeat a POST by itself after the stream broke.",
			source:  "RFC 9110 9.2.2; Azure/fetch-event-source#54",
			options: clientOptions{post: true},
			script:  []attempt{broken("retry: 20\ndata: alpha\n\n")},
			check:   (*session).requestsOnce},
		{rule: "The client ends after a response of another content type, and does not parse it as an event stream.",
			source: "HTML 9.2.3; tmaxmax/go-sse TestConnection_Connect_defaultValidator",
			script: []attempt{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("data: alpha\n\n"))
			}},
			check: func(w *session) bool { return w.requestsOnce() && len(w.events) == 0 }},
		{rule: "A `retry` applies to all later attempts, not only to the next.",
			source:  "HTML 9.2.6; launchdarkly/eventsource TestStreamCanChangeRetryDelayBasedOnEvent",
			options: clientOptions{delay: time.Minute},
			script: []attempt{broken("retry: 20\ndata: alpha\n\n"), broken("data: beta\n\n"),
				hang("data: gamma\n\n")},
			check: func(w *session) bool {
				return w.event("alpha") && w.event("beta") && w.event("gamma")
			}},
		{rule: "The client sends `Accept: text/event-stream`.", source: "HTML 9.2.2",
			script: []attempt{hang("")},
			check: func(w *session) bool {
				r := w.request(maxWait)
				return r != nil && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
			}},
		{rule: "The client can be ended while the server is silent.",
			source: "tmaxmax/go-sse TestConnection_Connect_noRetryCtxErr",
			script: []attempt{hang("data: alpha\n\n")},
			check:  func(w *session) bool { return w.event("alpha") && w.ends() }},
		{rule: "The client can be ended while received events wait for the caller.",
			source:  "launchdarkly/eventsource TestStreamClose; r3labs/sse TestSubscribeWithContextDone",
			options: clientOptions{hold: true},
			script:  []attempt{hang(many.String())},
			check:   func(w *session) bool { return w.event("0") && w.ends() }},
		{rule: "The client can be ended while it waits for the next attempt.",
			source:  "launchdarkly/eventsource TestStreamCloseWhileReconnecting",
			options: clientOptions{delay: time.Minute},
			script:  []attempt{send("data: alpha\n\n")},
			check: func(w *session) bool {
				// The client waits if it sends no further request.
				return w.event("alpha") && w.requestsOnce() && w.ends()
			}},
	}
}

// ends cancels the client and reports whether it returns. Then it waits for a
// while: the client may have left a goroutine running, and a panic in this
// goroutine ends the process, so that the case fails.
func (w *session) ends() bool {
	w.cancel()
	select {
	case <-w.ended:
		<-time.After(quiet)
		return true
	case <-time.After(maxWait):
		return false
	}
}
