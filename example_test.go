package sse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// A handler sends events until it has no more, or the client goes.
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

// A stream is resumed: the client says which event was its last, and the server
// sends what follows it.
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
		stream.Send(events[next]) // and the connection is lost
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

// Values travel as JSON, with SendJSON on one side and Decode on the other.
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

// The answer of a language model is all there, or it is an error.
func ExampleClient_terminal() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"text\":\"Once upon\"}\n\n") // and it ends here
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	question := []byte(`{"prompt":"Tell me a story.","stream":true}`)
	client := &sse.Client{
		URL:      server.URL,
		Method:   http.MethodPost,
		Header:   http.Header{"Content-Type": {"application/json"}},
		GetBody:  func() (io.Reader, error) { return bytes.NewReader(question), nil },
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

// Authentication: the server checks before it accepts; the client fetches a
// fresh token for every attempt, and an expired one ends the stream for good
// only if the server says 401 or 403.
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

type userKey struct{}

// A stream's context has the values of the request's, such as the user that a
// middleware has found.
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

// Without Done, a server with a stream open does not shut down: Shutdown waits
// for the handler, and the handler for the client.
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
		ConnContext: sse.ConnContext, // notices clients that vanish
	}
	server.RegisterOnShutdown(func() { close(done) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)

	client := &sse.Client{URL: "http://" + listener.Addr().String(), MaxRetries: -1}
	for event := range client.Events(context.Background()) {
		fmt.Println("client:", event.Data)
		go server.Shutdown(context.Background())
	}
	// Output:
	// client: welcome
	// handler: sse: server shutting down
}

// t stands for the *testing.T of a test.
var t = exampleT{}

type exampleT struct{ testing.TB }

func (exampleT) Context() context.Context { return context.Background() }
func (exampleT) Helper()                  {}
func (exampleT) Cleanup(func())           {}

// A handler is tested without a network: the recorder may be read while the
// handler still writes.
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
	cancel() // the client goes
	<-finished
	// Output:
	// greeting hello
}

// A stream that is not an HTTP response, such as a file.
func ExampleDecoder() {
	file := strings.NewReader("event: log\ndata: line 1\ndata: line 2\n\ndata: cut off")
	for event, err := range sse.NewDecoder(file, nil).Events() {
		fmt.Printf("%q %q %v\n", event.Type, event.Data, err)
	}
	// Output:
	// "log" "line 1\nline 2" <nil>
}

// An event in the form that goes over the wire.
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
