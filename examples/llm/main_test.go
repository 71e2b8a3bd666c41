package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// ask sends a question, and returns the text that arrived and the error of the stream.
func ask(t *testing.T, server *ssetest.Server, q question) (string, error) {
	body, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	client := &sse.Client{
		URL:        server.URL() + "/answer",
		HTTPClient: server.Client(),
		Method:     http.MethodPost,
		Body:       body,
		Terminal:   func(event sse.Event) bool { return event.Data == done.Data },
	}
	var text strings.Builder
	for event, err := range client.Events(t.Context()) {
		if err != nil {
			return text.String(), err
		}
		if event.Data == done.Data {
			break
		}
		token, err := sse.Decode[token](event)
		if err != nil {
			return text.String(), err
		}
		text.WriteString(token.Text)
	}
	return text.String(), nil
}

func TestAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, newHandler(time.Second), nil)
		got, err := ask(t, server, question{Prompt: "two\nlines"})
		if err != nil || !strings.Contains(got, "“two\nlines”") ||
			!strings.HasSuffix(got, "missing. 🌊") {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestTruncatedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, newHandler(time.Second), nil)
		got, err := ask(t, server, question{Prompt: "x", Cut: true})
		if !errors.Is(err, sse.ErrTruncated) || !strings.HasSuffix(got, "but ") {
			t.Errorf("got %q, %v, want the first half and ErrTruncated", got, err)
		}
	})
}

func TestBadQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, newHandler(time.Second), nil)
		resp, err := server.Client().Post(server.URL()+"/answer", "", strings.NewReader("{"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("status %s, want 400", resp.Status)
		}
	})
}
