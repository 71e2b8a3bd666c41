package sse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// A handler sends events and returns. If the client has disconnected, Send
// returns an error.
func ExampleAccept() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		for _, token := range []string{"Hello", " world"} {
			if err := stream.Send(sse.Event{Data: token}); err != nil {
				return
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	client := &sse.Client{URL: server.URL, MaxRetries: -1}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q\n", event.Data)
	}
	// Output:
	// "Hello"
	// " world"
}

// A client that reconnects sends the id of the last event it received, and the
// handler continues after that event.
func ExampleStream_LastEventID() {
	events := []sse.Event{{ID: "1", Data: "one"}, {ID: "2", Data: "two"}, {ID: "3", Data: "three"}}
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		next := 0
		for i, event := range events {
			if event.ID == stream.LastEventID() {
				next = i + 1
			}
		}
		stream.Send(events[next]) // one event, then the stream ends
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	client := &sse.Client{URL: server.URL, RetryDelay: time.Millisecond}
	for event := range client.Events(context.Background()) {
		fmt.Println(event.ID, event.Data)
		if event.ID == "3" {
			break
		}
	}
	// Output:
	// 1 one
	// 2 two
	// 3 three
}

// SendJSON sends a value as JSON, and Decode decodes it on the client's side.
func ExampleDecode() {
	type price struct {
		Symbol string  `json:"symbol"`
		Value  float64 `json:"value"`
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		stream.SendJSON(sse.Event{Type: "price"}, price{"GOPH", 41.5})
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	client := &sse.Client{URL: server.URL, MaxRetries: -1}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if event.Type == "price" {
			p, err := sse.Decode[price](event)
			fmt.Println(p.Symbol, p.Value, err)
		}
	}
	// Output:
	// GOPH 41.5 <nil>
}

// DecodeEvents is an iterator over the values of a stream whose events are JSON.
func ExampleDecodeEvents() {
	type price struct {
		Symbol string
		Value  float64
	}
	var broker sse.Broker
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, data := range []string{`{"Symbol":"GOPH","Value":41.5}`, `{"Symbol":"GOPH","Value":42}`} {
		broker.Publish(ctx, sse.Event{Data: data}, "prices")
	}
	events := broker.Subscribe(ctx, sse.Selection{Topics: []string{"prices"}}, sse.Start{Earliest: true})
	onGap := func(gap sse.Gap) { fmt.Println("events are missing:", gap.Why) }
	for p, err := range sse.DecodeEvents[price](events, onGap) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if fmt.Println(p.Symbol, p.Value); p.Value == 42 {
			break
		}
	}
	// Output:
	// GOPH 41.5
	// GOPH 42
}

// A program that resumes after a restart stores the last event ID after each event
// that the client yields. It also stores the last event ID of each cursor. A cursor
// is an event of type sse.cursor: it changes the last event ID, and the client does
// not yield it.
func ExampleClient_lastEventID() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "id: 7\ndata: hello\n\ndata: world\n\nid: 9\nevent: sse.cursor\ndata:\n\n")
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	stored := ""
	client := &sse.Client{
		URL:         server.URL,
		MaxRetries:  -1,
		LastEventID: stored,
		OnCursor:    func(lastEventID string) { stored = lastEventID },
	}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		stored = event.LastEventID
		fmt.Printf("%s: own ID %q, stored %q\n", event.Data, event.ID, stored)
	}
	fmt.Printf("at the end: stored %q\n", stored)
	// Output:
	// hello: own ID "7", stored "7"
	// world: own ID "", stored "7"
	// at the end: stored "9"
}

// After MaxRetries retries without progress, the client gives up. The error wraps
// ErrGaveUp, and also the error of the last attempt.
func ExampleClient_maxRetries() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "maintenance", http.StatusServiceUnavailable)
	}))
	defer server.Close()

	client := &sse.Client{URL: server.URL, RetryDelay: time.Millisecond, MaxRetries: 2}
	for _, err := range client.Events(context.Background()) {
		var response *sse.ResponseError
		if errors.Is(err, sse.ErrGaveUp) && errors.As(err, &response) {
			fmt.Println("gave up:", response.Status)
		}
	}
	// Output:
	// gave up: 503 Service Unavailable
}

// A Client receives one stream at a time. For a second stream, use another Client.
func ExampleClient_inUse() {
	server := httptest.NewServer(new(sse.Broker))
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	client := &sse.Client{URL: server.URL}
	client.OnState = func(change sse.StateChange) {
		if change.State != sse.StateOpen {
			return
		}
		for _, err := range client.Events(ctx) {
			fmt.Println(errors.Is(err, sse.ErrInUse))
		}
		cancel()
	}
	for range client.Events(ctx) {
	}
	// Output:
	// true
}

// Terminal recognizes the event that ends the answer of a language model. If the
// stream ends without this event, the client yields ErrTruncated.
func ExampleClient_terminal() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"text\":\"Once upon\"}\n\n") // without data: [DONE]
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	question := []byte(`{"prompt":"Write a story.","stream":true}`)
	client := &sse.Client{
		URL:      server.URL,
		Method:   http.MethodPost,
		Header:   http.Header{"Content-Type": {"application/json"}},
		Body:     question,
		Terminal: func(event sse.Event) bool { return event.Data == "[DONE]" },
	}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			fmt.Println("truncated:", errors.Is(err, sse.ErrTruncated))
			return
		}
		fmt.Println(event.Data)
	}
	// Output:
	// {"text":"Once upon"}
	// truncated: true
}

// The server checks the token before it accepts the stream. The client sets a
// fresh token before every attempt. The client retries after status 503. After 401
// or 403 it would give up.
func ExampleClient_authentication() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token 2" {
			http.Error(w, "try again with a fresh token", http.StatusServiceUnavailable)
			return
		}
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		stream.Send(sse.Event{Data: "welcome"})
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	attempt := 0
	client := &sse.Client{
		URL:        server.URL,
		RetryDelay: time.Millisecond,
		Prepare: func(r *http.Request) error {
			attempt++
			r.Header.Set("Authorization", fmt.Sprint("Bearer token ", attempt))
			return nil
		},
	}
	for event, err := range client.Events(context.Background()) {
		fmt.Println(event.Data, err)
		break
	}
	// Output:
	// welcome <nil>
}

// Close sends the event Final. Here this event means that the answer is complete.
// After an error, the handler calls Abort, because Abort does not send Final.
func ExampleStream_Abort() {
	generate := func() (string, error) { return "Once upon", errors.New("out of memory") }
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, &sse.AcceptOptions{Final: &sse.Event{Data: "[DONE]"}})
		if err != nil {
			return
		}
		defer stream.Close()
		text, err := generate()
		stream.Send(sse.Event{Data: text})
		if err != nil {
			stream.Abort()
			return
		}
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	client := &sse.Client{URL: server.URL, MaxRetries: -1}
	client.Terminal = func(event sse.Event) bool { return event.Data == "[DONE]" }
	for event, err := range client.Events(context.Background()) {
		fmt.Printf("%q %v\n", event.Data, errors.Is(err, sse.ErrTruncated))
	}
	// Output:
	// "Once upon" false
	// "" true
}

type userKey struct{}

// The context of a stream has the values of the request's context, for example
// the user that a middleware has authenticated.
func ExampleStream_Context() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		stream.Send(sse.Event{Data: fmt.Sprint("hello ", stream.Context().Value(userKey{}))})
	}
	authenticate := func(w http.ResponseWriter, r *http.Request) {
		handler(w, r.WithContext(context.WithValue(r.Context(), userKey{}, "gopher")))
	}
	server := httptest.NewServer(http.HandlerFunc(authenticate))
	defer server.Close()

	client := &sse.Client{URL: server.URL, MaxRetries: -1}
	for event := range client.Events(context.Background()) {
		fmt.Println(event.Data)
	}
	// Output:
	// hello gopher
}

// Closing the channel Done ends the streams when the server shuts down. Without
// Done, Shutdown would wait for the handler, and the handler for the client.
func ExampleAcceptOptions_shutdown() {
	done := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, &sse.AcceptOptions{Done: done})
		if err != nil {
			return
		}
		defer stream.Close()
		stream.Send(sse.Event{Data: "welcome"})
		<-stream.Context().Done()
		fmt.Println("handler:", context.Cause(stream.Context()))
	}
	server := &http.Server{
		Handler:     http.HandlerFunc(handler),
		ConnContext: sse.ConnContext, // detects clients that vanish without closing the connection
	}
	server.RegisterOnShutdown(func() { close(done) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)

	client := &sse.Client{URL: "http://" + listener.Addr().String(), MaxRetries: -1}
	go func() {
		for event := range client.Events(context.Background()) {
			fmt.Println("client:", event.Data)
			stop() // here, the first event acts as an interrupt
		}
	}()

	<-interrupt.Done()
	stop() // a second interrupt ends the process at once
	// The timeout begins now, and not when the program starts.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println("shutdown:", server.Shutdown(ctx))
	// Output:
	// client: welcome
	// handler: sse: server shutting down
	// shutdown: <nil>
}

// t takes the place of the *testing.T of a test, because an example has none.
var t = exampleT{}

type exampleT struct{ testing.TB }

func (exampleT) Context() context.Context { return context.Background() }
func (exampleT) Helper()                  {}
func (exampleT) Cleanup(func())           {}

// A test of a handler needs no network. The test can read the events of the recorder
// while the handler is still running.
func Example_testing() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		stream.Send(sse.Event{Type: "greeting", Data: "hello"})
		<-stream.Context().Done()
	}
	ctx, cancel := context.WithCancel(context.Background())
	request := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	recorder := ssetest.NewRecorder(t)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		recorder.Serve(http.HandlerFunc(handler), request)
	}()
	for _, event := range recorder.Wait(1) {
		fmt.Println(event.Type, event.Data)
	}
	cancel() // the client disconnects
	<-finished
	// Output:
	// greeting hello
}

// A Decoder reads a stream that is not an HTTP response, for example a file.
func ExampleDecoder() {
	file := strings.NewReader("event: log\ndata: line 1\ndata: line 2\n\ndata: cut off")
	for event, err := range sse.NewDecoder(file, nil).Events() {
		fmt.Printf("%q %q %v\n", event.Type, event.Data, err)
	}
	// Output:
	// "log" "line 1\nline 2" <nil>
}

// Events skips an event that is larger than MaxEventSize, calls OnSkip, and continues.
// If OnSkip is nil, Events logs a warning instead.
func ExampleDecoderOptions_onSkip() {
	file := strings.NewReader("data: too long\n\ndata: short\n\n")
	decoder := sse.NewDecoder(file, &sse.DecoderOptions{
		MaxEventSize: 5,
		OnSkip:       func(err *sse.TooLargeError) { fmt.Println(err) },
	})
	for event, err := range decoder.Events() {
		fmt.Println(event.Data, err)
	}
	// Output:
	// sse: the event at offset 0 is skipped: it has more than 5 bytes, the limit MaxEventSize
	// short <nil>
}

// An event with ClearID resets the client's last event ID. So a client that
// reconnects after this event does not ask for the events after an earlier one.
func ExampleEvent_clearID() {
	wire, err := sse.AppendEvent(nil, sse.Event{ClearID: true, Data: "new game"})
	fmt.Printf("%q %v\n", wire, err)
	// Output:
	// "id: \ndata: new game\n\n" <nil>
}

// An Encoder writes events in the wire format. It refuses an ID with a line end,
// because the rest of that ID would be read as another field.
func ExampleEncoder() {
	encoder := sse.NewEncoder(os.Stdout)
	data, _ := json.Marshal(map[string]int{"answer": 42})
	if err := encoder.Encode(sse.Event{ID: "7", Data: string(data)}); err != nil {
		fmt.Println(err)
	}
	err := encoder.Encode(sse.Event{ID: "8\ndata: forged"})
	fmt.Println(err)
	// Output:
	// id: 7
	// data: {"answer":42}
	//
	// sse: id "8\ndata: forged" contains LF
}
