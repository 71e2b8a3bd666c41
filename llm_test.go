package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// chunk is what this test reads of an event, of any of the APIs.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
	} `json:"choices"` // chat completions
	Delta deltaText `json:"delta"` // responses: a string, messages: an object with text
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
	Message any `json:"message"`
}

// deltaText is a text, or an object that may have one.
type deltaText string

func (d *deltaText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		text, err := sse.Decode[string](sse.Event{Data: string(b)})
		*d = deltaText(text)
		return err
	}
	object, err := sse.Decode[struct{ Text string }](sse.Event{Data: string(b)})
	*d = deltaText(object.Text)
	return err
}

// isEnd is what the APIs document to be the last event.
func isEnd(event sse.Event) bool {
	switch event.Type {
	case "message_stop", "response.completed", "error":
		return true
	}
	return event.Data == "[DONE]" || strings.HasPrefix(event.Data, `{"error":`)
}

// llmAnswer is what a program makes of a stream.
type llmAnswer struct {
	text    string
	failure string // what the model's server says went wrong
	err     error  // what the client says
}

func ask(client *sse.Client, t *testing.T) (a llmAnswer) {
	for event, err := range client.Events(t.Context()) {
		if err != nil {
			a.err = err
			return a
		}
		if event.Data == "[DONE]" {
			continue
		}
		c, err := sse.Decode[chunk](event)
		if err != nil {
			a.err = err
			return a
		}
		for _, choice := range c.Choices {
			a.text += choice.Delta.Content
		}
		if strings.HasSuffix(event.Type, "delta") {
			a.text += string(c.Delta)
		}
		if c.Error != nil {
			a.failure = c.Error.Message
		} else if event.Type == "error" {
			a.failure = fmt.Sprint(c.Message)
		}
	}
	return a
}

// FIELD "Client", LLM streams: an answer that is cut at any byte, in any way, is
// truncated, never a success; an error within the stream can always be read.
func TestLanguageModels(t *testing.T) {
	files, err := filepath.Glob("testdata/llm/*.txt")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d transcripts, %v, want 6", len(files), err)
	}
	const text = "Grüße aus Zürich 🌍\n\n- one\n two"
	failures := map[string]string{
		"openai-chat-error": "The server had an error processing your request. " +
			"Sorry about that!",
		"openai-responses-error":   "Something went wrong",
		"anthropic-messages-error": "Overloaded",
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			step := 1
			if testing.Short() {
				step = 37
			}
			for cut := 0; cut < len(body); cut += step {
				for _, broken := range []bool{false, true} {
					a := askPart(t, body[:cut], broken)
					if !errors.Is(a.err, sse.ErrTruncated) || !strings.HasPrefix(text, a.text) {
						t.Fatalf("cut at %d (broken: %v): %+v, want ErrTruncated", cut, broken, a)
					}
				}
			}
			want := llmAnswer{text: text, failure: failures[name]}
			if a := askPart(t, body, true); a != want {
				t.Errorf("whole: %+v, want %+v", a, want)
			}
		})
	}
}

// askPart asks a server that sends so much of its answer, and then ends it or
// breaks the connection.
func askPart(t *testing.T, body []byte, broken bool) (a llmAnswer) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, &ssetest.Script{Responses: []ssetest.Response{
			{Chunks: []string{string(body)}, Cut: broken},
		}}, nil)
		a = ask(&sse.Client{
			URL:        server.URL(),
			HTTPClient: server.Client(),
			Method:     http.MethodPost,
			GetBody:    func() (io.Reader, error) { return bytes.NewReader([]byte("{}")), nil },
			Terminal:   isEnd,
		}, t)
	})
	return a
}
