package sse_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sse-go/sse"
)

// recordedAnswers returns a server that sends the files of testdata/llm, one for each
// request. It stands for the server of a language model.
func recordedAnswers(files ...string) *httptest.Server {
	var requests atomic.Int32
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		http.ServeFile(w, r, filepath.Join("testdata", "llm", files[requests.Add(1)-1]))
	}))
}

// An answer of OpenAI ends with an event whose data is [DONE]. This is the terminal
// event, and Events yields it too. Its data is not JSON, so the loop must not decode
// it. An error in the middle of an answer is an event with a member "error". The
// second answer has such an error.
func ExampleClient_openAI() {
	server := recordedAnswers("openai-chat.txt", "openai-chat-error.txt")
	defer server.Close()

	client := &sse.Client{
		URL:    server.URL, // https://api.openai.com/v1/chat/completions
		Method: http.MethodPost,
		Header: http.Header{
			"Authorization": {"Bearer " + os.Getenv("OPENAI_API_KEY")},
			"Content-Type":  {"application/json"},
		},
		Body: []byte(`{"model": "gpt-4o", "stream": true,
			"messages": [{"role": "user", "content": "Write a list."}]}`),
		Terminal:   func(event sse.Event) bool { return event.Data == "[DONE]" },
		Resend:     func(refused bool) bool { return refused }, // repeat after 429, but never pay twice
		MaxRetries: 5,
	}
	type chunk struct {
		Choices []struct {
			Delta struct{ Content string }
		}
		Error *struct{ Message string }
	}
	for range 2 {
		for event, err := range client.Events(context.Background()) {
			if err != nil {
				fmt.Println("a part is missing:", err) // ErrTruncated, ErrGaveUp or a ResponseError
				break
			}
			if event.Data == "[DONE]" {
				fmt.Println("\nthe answer is complete")
				break
			}
			c, err := sse.Decode[chunk](event)
			if err != nil {
				fmt.Println(err)
				break
			}
			if c.Error != nil {
				fmt.Println("\nthe model failed:", c.Error.Message)
				break
			}
			for _, choice := range c.Choices {
				fmt.Print(choice.Delta.Content)
			}
		}
	}
	// Output:
	// Grüße aus Zürich 🌍
	//
	// - one
	//  two
	// the answer is complete
	// Grüße aus Zürich 🌍
	//
	// - one
	//  two
	// the model failed: The server had an error processing your request. Sorry about that!
}

// An answer of Anthropic ends with an event of type message_stop or error. The second
// answer ends with an error. The loop ignores events of other types, for example
// ping.
func ExampleClient_anthropic() {
	server := recordedAnswers("anthropic-messages.txt", "anthropic-messages-error.txt")
	defer server.Close()

	client := &sse.Client{
		URL:    server.URL, // https://api.anthropic.com/v1/messages
		Method: http.MethodPost,
		Header: http.Header{
			"X-Api-Key":         {os.Getenv("ANTHROPIC_API_KEY")},
			"Anthropic-Version": {"2023-06-01"},
			"Content-Type":      {"application/json"},
		},
		Body: []byte(`{"model": "claude-sonnet-4-20250514", "max_tokens": 1024, "stream": true,
			"messages": [{"role": "user", "content": "Write a list."}]}`),
		Terminal: func(event sse.Event) bool {
			return event.Type == "message_stop" || event.Type == "error"
		},
		Resend:     func(refused bool) bool { return refused }, // repeat after 429, but never pay twice
		MaxRetries: 5,
	}
	type message struct {
		Delta struct{ Text string }
		Error struct{ Message string }
	}
	for range 2 {
		for event, err := range client.Events(context.Background()) {
			if err != nil {
				fmt.Println("a part is missing:", err) // ErrTruncated, ErrGaveUp or a ResponseError
				break
			}
			m, err := sse.Decode[message](event)
			if err != nil {
				fmt.Println(err)
				break
			}
			switch event.Type {
			case "content_block_delta":
				fmt.Print(m.Delta.Text)
			case "message_stop":
				fmt.Println("\nthe answer is complete")
			case "error":
				fmt.Println("\nthe model failed:", m.Error.Message)
			}
		}
	}
	// Output:
	// Grüße aus Zürich 🌍
	//
	// - one
	//  two
	// the answer is complete
	// Grüße aus Zürich 🌍
	//
	// - one
	//  two
	// the model failed: Overloaded
}

// The last event of an answer of Gemini has a finishReason. It also has the last part
// of the text, so the loop must print the text of this terminal event, too. The
// second answer has an error.
func ExampleClient_gemini() {
	server := recordedAnswers("gemini-generate.txt", "gemini-generate-error.txt")
	defer server.Close()

	type answer struct {
		Candidates []struct {
			Content struct {
				Parts []struct{ Text string }
			}
			FinishReason string
		}
		Error *struct{ Message string }
	}
	client := &sse.Client{
		// generativelanguage.googleapis.com/v1beta/models/MODEL:streamGenerateContent?alt=sse
		URL:    server.URL,
		Method: http.MethodPost,
		Header: http.Header{
			"X-Goog-Api-Key": {os.Getenv("GEMINI_API_KEY")},
			"Content-Type":   {"application/json"},
		},
		Body: []byte(`{"contents": [{"parts": [{"text": "Write a list."}]}]}`),
		Terminal: func(event sse.Event) bool {
			a, err := sse.Decode[answer](event)
			return err == nil && (a.Error != nil ||
				len(a.Candidates) > 0 && a.Candidates[0].FinishReason != "")
		},
		Resend:     func(refused bool) bool { return refused }, // repeat after 429, but never pay twice
		MaxRetries: 5,
	}
	for range 2 {
		for a, err := range sse.DecodeEvents[answer](client.Events(context.Background()), nil) {
			if err != nil {
				fmt.Println("a part is missing:", err) // ErrTruncated, ErrGaveUp or a ResponseError
				break
			}
			if a.Error != nil {
				fmt.Println("\nthe model failed:", a.Error.Message)
				break
			}
			for _, candidate := range a.Candidates {
				for _, part := range candidate.Content.Parts {
					fmt.Print(part.Text)
				}
				if candidate.FinishReason != "" {
					fmt.Println("\nthe answer is complete:", candidate.FinishReason)
				}
			}
		}
	}
	// Output:
	// Grüße aus Zürich 🌍
	//
	// - one
	//  two
	// the answer is complete: STOP
	// Grüße aus Zürich 🌍
	//
	// - one
	//  two
	// the model failed: The model is overloaded. Please try again later.
}
