// Package ssetest helps to test code that sends or receives Server-Sent Events,
// without a network and without waiting.
//
//   - [Server] is an HTTP server on a network in memory, to run a handler for
//     real: net/http on both sides, HTTP/1.1 or HTTP/2. The network can be cut,
//     go silent, or not be there yet.
//   - [Recorder] is a [net/http.ResponseWriter] that shows which events a handler
//     has flushed, while the handler is still running.
//   - [Script] is a [net/http.Handler] that answers as it is told, well or badly,
//     to test a client.
//   - [TestEventLog] tests whether a [sse.EventLog] keeps what that promises.
//
// All of it works in a bubble of [testing/synctest], and is best used in one:
// heartbeats, timeouts and waits between reconnects then take no time, and their
// durations are exact.
//
//	func TestReconnects(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			script := &ssetest.Script{Responses: []ssetest.Response{
//				{Chunks: []string{"data: one\n\n"}, Cut: true},
//				{Chunks: []string{"data: two\n\n"}, Stall: true},
//			}}
//			server := ssetest.NewServer(t, script, nil)
//			client := &sse.Client{URL: server.URL(), HTTPClient: server.Client()}
//			…
//		})
//	}
//
// What a bubble asks for: make the server or recorder inside it and with its own
// t, end what the test has started before the test returns (close response
// bodies, cancel the context of a client), and use no real network.
package ssetest
