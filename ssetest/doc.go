// Package ssetest helps to test code that sends or receives Server-Sent Events.
// Tests that use this package need no real network.
//
//   - [Server] is an HTTP server on a network in memory. It runs a handler with
//     the real net/http on both sides, over HTTP/1.1 or HTTP/2. A test can break
//     all connections, make them silent, or stop and start the server.
//   - [Recorder] is a [net/http.ResponseWriter] that shows which events a
//     handler has flushed, while the handler is still running.
//   - [Events] returns the events of a body that a test has recorded in another
//     way, for example with [net/http/httptest.ResponseRecorder].
//   - [Script] is a [net/http.Handler] for tests of a client. It sends a prepared
//     response, correct or broken, to each request.
//   - [TestEventLog] tests whether an implementation of [sse.EventLog] meets the
//     requirements in the documentation of that interface.
//
// All of them work in a bubble of [testing/synctest]: a group of goroutines with a
// fake clock. In a bubble, heartbeats, timeouts and reconnection delays take no real
// time, and their durations are exact. Therefore most tests should use a bubble.
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
// A test in a bubble has three obligations. It creates the server or recorder
// inside the bubble, with the t of the bubble. Before the test returns, it ends
// everything that it has started: it closes response bodies and cancels the
// contexts of clients. And it uses no real network.
package ssetest
