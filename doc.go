// Package sse sends and receives Server-Sent Events, the event streams that
// section 9.2 of the HTML Living Standard defines. It imports only the standard
// library, and works with the handlers, middleware and servers of net/http.
//
// The package has three parts:
//
//   - [Accept] turns one HTTP request into a [Stream]. Use it when each client
//     receives its own events, such as the answer of a language model.
//   - A [Broker] sends each published event to every client that has subscribed
//     to its topic. Use it when several clients receive the same events, such
//     as news, or changes to shared data.
//   - A [Client] receives a stream from any server that speaks this protocol.
//     It reconnects when the stream is lost.
//
// # One stream for each request
//
// The smallest server is a handler that calls Accept:
//
//	http.HandleFunc("GET /answer", func(w http.ResponseWriter, r *http.Request) {
//		stream, err := sse.Accept(w, r, nil)
//		if err != nil {
//			return // Accept has written the error response
//		}
//		defer stream.Close()
//		for _, word := range []string{"hello", "world"} {
//			if err := stream.Send(sse.Event{Data: word}); err != nil {
//				return // the client has disconnected
//			}
//		}
//	})
//
// Accept sends the response header and the first bytes of the body at once. Each
// Send writes one event and flushes it, so the client receives each word at once.
// When the handler returns, the stream ends. Browsers and most other clients then
// reconnect, so the handler runs again. "Finite streams" below describes how a
// client recognizes that an answer is complete.
//
// A stream that stays silent for 15 seconds sends a heartbeat: a comment, which
// clients ignore. The context of the stream, [Stream.Context], is canceled when the
// client disconnects, when a write to the client is blocked for 30 seconds, and, if
// [AcceptOptions.Done] is set, when the server shuts down.
//
// # Many subscribers
//
// The smallest broker needs no configuration:
//
//	var broker sse.Broker
//	http.Handle("GET /events", &broker)
//	broker.Publish(ctx, sse.Event{Data: "hello"}, "news")
//
// A client that requests /events?topic=news&topic=sport subscribes to two
// topics. It receives each event that is published on one of them, once and in
// the order of publishing. Publish never waits for a subscriber.
//
// The broker gives each event an ID and retains recent events in memory. A
// client that reconnects sends the ID of its last event and receives the events
// that it missed. If the broker no longer retains some of the missed events,
// the client receives an event of type "sse.gap" first; see [Gap].
//
// [Broker.Select] decides which topics a request may subscribe to. An [EventLog] in
// [Broker.Log] preserves events across restarts. With [Broker.Park], an idle stream
// uses less than a kilobyte of memory. [Broker.Attach] connects the broker to an
// [http.Server] and returns the function that shuts down both. The documentation of
// Attach shows a whole program.
//
// # Receiving
//
// The smallest client needs only a URL:
//
//	client := &sse.Client{URL: "http://localhost:3000/events?topic=news"}
//	for event, err := range client.Events(ctx) {
//		if err != nil {
//			return err // reconnecting cannot help
//		}
//		fmt.Println(event.Data)
//	}
//
// Events connects, and the loop runs once for each event. A lost stream is not
// an error: the client waits, 1 second at first, then reconnects and asks for
// the events after the last event that the loop received. Events yields an
// error only when the client does not reconnect, for example because the server
// answers with status 204 or 404, or with a response that is not an event
// stream. If the data of each event is JSON, [DecodeEvents] yields the values
// instead.
//
// For streams that are not HTTP responses, such as files, there are [Encoder],
// [AppendEvent] and [Decoder].
//
// # Finite streams
//
// Some streams, such as the streams of language models, carry one answer and then end.
// Such an answer is complete only if its last event arrived. [Client.Terminal]
// recognizes that event. If the stream ends without that event, and the client is not
// allowed to repeat the request, Events yields [ErrTruncated]:
//
//	client := &sse.Client{
//		URL:      "https://api.example.com/v1/chat",
//		Method:   "POST",
//		Body:     question,
//		Terminal: func(e sse.Event) bool { return e.Data == "[DONE]" },
//		Resend:   func(refused bool) bool { return refused },
//	}
//	for event, err := range client.Events(ctx) {
//		if err != nil {
//			return err // for example ErrTruncated: a part of the answer is missing
//		}
//		if event.Data == "[DONE]" {
//			break // Events yields the terminal event, too
//		}
//		…
//	}
//
// The client does not repeat a POST unless [Client.Resend] allows it. With the
// function above, the client tries again, after a delay, while the server refuses
// the request, for example with status 429. It never repeats a request that the
// server may have processed. The examples of [Client] read the streams of OpenAI,
// Anthropic and Gemini.
//
// A handler that fails in the middle of an answer calls [Stream.Abort] instead of
// Close, so that [AcceptOptions.Final] is not sent.
//
// # Delivery
//
// A client that reconnects sends the ID of its last event in the Last-Event-ID
// header. In a handler, [Stream.LastEventID] returns this ID. No event is lost if
// the handler continues with the event after this ID. A Broker does so. A Client
// sends the ID of the last event that Events has yielded or skipped. If the Client
// had read further events but not yielded them, the server sends these events again.
//
// A program that resumes after a restart stores the [Event.LastEventID] of each
// event and the IDs that [Client.OnCursor] receives, and sets
// [Client.LastEventID] to the newest of them.
//
// # Concurrency
//
// The methods of Stream and Broker are safe for concurrent use. A Client runs
// in the goroutine that ranges over its Events; only [Client.Reconnect] may be
// called from other goroutines. An Encoder or a Decoder must not be used
// concurrently.
//
// # Limits
//
// A broker retains up to 16384 events and up to 64 MiB, unless [Broker.Retention]
// sets other limits. Once a subscriber has received all retained events, it may
// fall behind by up to 4096 events and up to 16 MiB ([Selection.MaxLag]). A topic of
// a broker has at most 1024 bytes.
//
// A Client and a Decoder skip each event of more than 16 MiB and report it with a
// [TooLargeError] to their OnSkip. The server closes a stream whose peer accepts
// bytes too slowly. The limit is [AcceptOptions.WriteTimeout], or
// [StreamOptions.WriteTimeout] for a stream of a broker.
//
// A network path can fail without closing the connection. To notice such a failure
// on the server, install [ConnContext] ([Broker.Attach] does so). To notice it on
// the client, set [Client.IdleTimeout].
//
// # Security
//
// No field of an event can inject another field or event: [AppendEvent] rejects
// topics, IDs and types that contain line ends, and splits data into lines. If a
// redirect leads a client to another origin, the client does not send credentials
// or other header fields of the caller to that origin, except harmless fields such
// as Accept and User-Agent.
//
// The package logs nothing unless a Logger is set, with two exceptions: a warning
// for each skipped event if OnSkip is nil, and a warning if a last event ID is too
// long to be sent.
package sse
