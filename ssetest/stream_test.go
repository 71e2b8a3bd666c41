package ssetest_test

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// A client of package sse resumes a stream that a script cuts, after exactly its
// RetryDelay. The documentation of the package has a part of this test as its example.
func TestClientResumesScript(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		script := &ssetest.Script{Responses: []ssetest.Response{
			{Chunks: []string{"id: 1\ndata: one\n\n"}, Cut: true},
			{Chunks: []string{"id: 2\ndata: two\n\n"}, Stall: true},
		}}
		server := ssetest.NewServer(t, script, opts)
		client := &sse.Client{URL: server.URL(), HTTPClient: server.Client()}
		start := time.Now()
		var got []string
		for event, err := range client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, event.Data); len(got) == 2 {
				break
			}
		}
		wantElapsed(t, "receiving two events", start, time.Second) // the first RetryDelay
		if want := []string{"one", "two"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := script.Requests()[1].Header.Get("Last-Event-ID"); got != "1" {
			t.Errorf("got Last-Event-ID %q in the second request, want 1", got)
		}
	})
}

// A stream of package sse sends the same bytes to a Server and to a Recorder.
func TestStreamHeartbeats(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		defer stream.Close()
		_ = stream.Send(sse.Event{Data: "hello"})
		<-time.After(20 * time.Second) // in the bubble
		_ = stream.Send(sse.Event{Data: "bye"})
	})
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		start := time.Now()
		body, err := io.ReadAll(get(t, ssetest.NewServer(t, handler, opts)).Body)
		wantElapsed(t, "the stream", start, 20*time.Second)

		recorder := ssetest.NewRecorder(t)
		recorder.Serve(handler, newRequest())
		if recorded := recorder.Body(); err != nil || string(recorded) != string(body) {
			t.Errorf("got %q, error %v in the client and %q in the recorder, want the same",
				body, err, recorded)
		}
		want := []sse.Event{{Data: "hello"}, {Data: "bye"}}
		if got := recorder.Events(); !slices.Equal(got, want) {
			t.Errorf("got events %+v, want %+v", got, want)
		}
	})
}
