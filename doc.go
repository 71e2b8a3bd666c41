// Package sse sends and receives Server-Sent Events, the event streams of the
// HTML Living Standard, section 9.2. It has no dependency outside the standard
// library, and everything you know about net/http still applies.
//
// # Sending
//
// [Accept] turns a request into a [Stream]:
//
//	http.HandleFunc("GET /answer", func(w http.ResponseWriter, r *http.Request) {
//		stream, err := sse.Accept(w, r, nil)
//		if err != nil {
//			return // the response says what is in the way
//		}
//		defer stream.Close()
//		for token := range tokens(stream.Context()) {
//			if err := stream.Send(sse.Event{Data: token}); err != nil {
//				return // the client has gone
//			}
//		}
//	})
//
// The headers and a first byte go out at once, and a heartbeat after 15 seconds
// of silence. The stream's context is done when the client goes, when it takes
// nothing for 30 seconds, or when the server shuts down, if [AcceptOptions.Done]
// says so.
//
// # Many subscribers
//
// A [Broker] sends what is published to all who have subscribed:
//
//	var broker sse.Broker
//	http.Handle("GET /events", &broker) // /events?topic=news&topic=sport
//	broker.Publish(ctx, sse.Event{Data: "hello"}, "news")
//
// A client that was away gets what it has missed, once and in order, or is told
// that it cannot ([Gap]). [Broker.Select] decides who may see what, an [EventLog]
// makes it outlast a restart, and with [Broker.Park] a waiting stream costs less
// than a kilobyte.
//
// # Receiving
//
// A [Client] is one stream that reconnects and resumes:
//
//	client := &sse.Client{URL: "http://localhost:3000/handshake"}
//	for event, err := range client.Events(ctx) {
//		if err != nil {
//			return err // what retrying cannot mend
//		}
//		fmt.Println(event.Data)
//	}
//
// A lost stream is not an error: the client waits, 1 second at first, connects
// again and asks for what follows the last event that the loop has seen. It
// gives up when the server says so, with a status such as 204 or 404, or with a
// response that is not an event stream.
//
// For streams that are not HTTP responses there are [Encoder], [AppendEvent]
// and [Decoder].
//
// # Finite streams
//
// An answer that is streamed, as language models do, has an end, and what comes
// before its end is not the answer. [Client.Terminal] names the event that is
// the end; a stream that ends without it is [ErrTruncated]:
//
//	client := &sse.Client{
//		URL:      "https://api.example.com/v1/chat",
//		Method:   "POST",
//		GetBody:  func() (io.Reader, error) { return bytes.NewReader(question), nil },
//		Terminal: func(e sse.Event) bool { return e.Data == "[DONE]" },
//	}
//
// A POST is never sent twice on its own; see [Client.Resend].
//
// # Delivery
//
// An id of an event is what the client sends back as Last-Event-ID when it
// reconnects; [Stream.LastEventID] returns it. A server that sends what follows
// that event loses nothing. The id that the client sends is that of the last
// event its caller has received, not the last that has reached the machine.
//
// # Concurrency
//
// A Stream may be used by several goroutines, and a Broker. A Client runs in the goroutine
// that ranges over its Events; [Client.Reconnect] may be called from any other.
// An Encoder or a Decoder belongs to one goroutine.
//
// # Limits
//
// A broker keeps 16384 events and 64 MiB of them, or what [Broker.Retention] says,
// and lets a subscriber that was at the end fall behind by 4096 events or 16 MiB
// ([Selection.MaxLag]). Topics have at most 1 KiB.
//
// A decoder skips events of more than 16 MiB, and says so ([TooLargeError]). A
// peer that takes nothing for [AcceptOptions.WriteTimeout] is cut. Where a
// connection dies silently, [ConnContext] lets the server notice in time, and
// [Client.IdleTimeout] the client.
//
// # Security
//
// No value of an event can forge another field or event: [AppendEvent] refuses
// topics, ids and types with line ends, and splits data at them. Credentials, and
// whatever else the caller puts into a request's header, are not sent to
// another origin that a redirect leads to. The package writes nothing to any
// log unless it is given a Logger.
package sse
