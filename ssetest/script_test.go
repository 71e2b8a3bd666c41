package ssetest_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/ssetest"
)

func TestScriptAnswersInOrder(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		script := &ssetest.Script{Responses: []ssetest.Response{
			{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"5"}}},
			{Chunks: []string{"data: ", "1\n\n"}},
		}}
		server := ssetest.NewServer(t, script, opts)
		for i, want := range []struct {
			status int
			retry  string
			body   string
		}{
			{503, "5", ""},
			{200, "", "data: 1\n\n"},
			{200, "", "data: 1\n\n"}, // the last response repeats
		} {
			response := get(t, server)
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != want.status || string(body) != want.body || err != nil ||
				response.Header.Get("Retry-After") != want.retry {
				t.Errorf("response %d: got %s, %q, error %v; want %d, %q",
					i, response.Status, body, err, want.status, want.body)
			}
			if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
				t.Errorf("response %d: got Content-Type %q", i, got)
			}
		}
		if got := len(script.Requests()); got != 3 {
			t.Errorf("%d requests were recorded, want 3", got)
		}
	})
}

func TestScriptContentType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, &ssetest.Script{Responses: []ssetest.Response{
			{Header: http.Header{"Content-Type": {"text/html"}}},
			{Header: http.Header{"Content-Type": nil}, Chunks: []string{"<html>"}},
		}}, nil)
		for _, want := range [][]string{{"text/html"}, nil} {
			if got := get(t, server).Header["Content-Type"]; !slices.Equal(got, want) {
				t.Errorf("got Content-Type %q, want %q", got, want)
			}
		}
	})
}

func TestScriptWithoutResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		response := get(t, ssetest.NewServer(t, &ssetest.Script{}, nil))
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != 200 || len(body) != 0 || err != nil {
			t.Errorf("got %s, %q, error %v; want an empty stream", response.Status, body, err)
		}
	})
}

func TestScriptRecordsRequests(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		script := &ssetest.Script{}
		server := ssetest.NewServer(t, script, opts)
		<-time.After(time.Second) // so that the request is later than the server's start
		sent := time.Now()
		request, err := http.NewRequest("POST", server.URL()+"/a?b=c", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Last-Event-ID", "7")
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()

		requests := script.Requests()
		if len(requests) != 1 {
			t.Fatalf("%d requests were recorded, want 1", len(requests))
		}
		got := requests[0]
		if got.Method != "POST" || got.URL.String() != "/a?b=c" ||
			got.Header.Get("Last-Event-ID") != "7" || !bytes.Equal(got.Body, []byte("body")) ||
			!got.Time.Equal(sent) {
			t.Errorf("got %+v, want the sent request", got)
		}
	})
}

func TestScriptDelays(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		server := ssetest.NewServer(t, &ssetest.Script{Responses: []ssetest.Response{
			{Delay: time.Second, Pause: time.Minute, Chunks: []string{"a", "b", "c"}},
		}}, opts)
		start := time.Now()
		response := get(t, server)
		wantElapsed(t, "the header", start, time.Second)
		for i := range 3 {
			if _, err := io.ReadFull(response.Body, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			wantElapsed(t, "a chunk", start, time.Second+time.Duration(i)*time.Minute)
		}
	})
}

func TestScriptCuts(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		server := ssetest.NewServer(t, &ssetest.Script{Responses: []ssetest.Response{
			{Chunks: []string{"data: 1\n\n"}, Cut: true},
		}}, opts)
		body, err := io.ReadAll(get(t, server).Body)
		if err == nil || string(body) != "data: 1\n\n" {
			t.Errorf("got %q, error %v; want the chunk, then an error", body, err)
		}
		if !opts.HTTP2 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got error %v, want io.ErrUnexpectedEOF", err)
		}
	})
}

func TestScriptStallsUntilClientCloses(t *testing.T) {
	for name, response := range map[string]ssetest.Response{
		"after the body":    {Stall: true},
		"before the header": {Delay: 24 * time.Hour},
		"between chunks":    {Pause: 24 * time.Hour, Chunks: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				script := &ssetest.Script{Responses: []ssetest.Response{response}}
				ended := make(chan struct{})
				server := ssetest.NewServer(t, http.HandlerFunc(
					func(w http.ResponseWriter, r *http.Request) {
						defer close(ended)
						script.ServeHTTP(w, r)
					}), opts)
				client := server.Client()
				client.Timeout = time.Hour
				start := time.Now()
				if response, err := client.Get(server.URL()); err == nil {
					_, _ = io.ReadAll(response.Body)
					_ = response.Body.Close()
				}
				<-ended
				wantElapsed(t, "the request", start, time.Hour)
			})
		})
	}
}
