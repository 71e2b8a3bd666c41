package sse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

const done = "data: [DONE]\n\n"

func isDone(event sse.Event) bool { return event.Data == "[DONE]" }

func forMethod(c *sse.Client, method string) {
	c.Method = method
	if method != "GET" {
		c.Body = []byte("{}")
	}
}

// Terminal reports which event completes a stream. The end of a stream without
// such an event is always an error: the stream is truncated.
func TestTerminal(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream ssetest.Response
		data   []string
		errs   []error // the error is all of these; if none, the stream is complete
	}{
		{"complete", answer("data: a\n\n" + done), []string{"a", "[DONE]"}, nil},
		{"complete and open", held("data: a\n\n" + done), []string{"a", "[DONE]"}, nil},
		{"complete, then more", held(done + "data: b\n\n"), []string{"[DONE]"}, nil},
		{"complete, then cut", broken(done), []string{"[DONE]"}, nil},
		{"clean end", answer("data: a\n\n"), []string{"a"}, []error{sse.ErrTruncated}},
		{"nothing at all", answer(), nil, []error{sse.ErrTruncated}},
		{"cut", broken("data: a\n\n"), []string{"a"},
			[]error{sse.ErrTruncated, io.ErrUnexpectedEOF}},
		{"end inside of an event", answer("data: a\n\ndata: [DONE]\n"), []string{"a"},
			[]error{sse.ErrTruncated, io.ErrUnexpectedEOF}},
		{"end inside of a line", answer("data: a\n\ndata: [DONE]"), []string{"a"},
			[]error{sse.ErrTruncated, io.ErrUnexpectedEOF}},
		{"idle", held("data: a\n\n"), []string{"a"},
			[]error{sse.ErrTruncated, os.ErrDeadlineExceeded}},
	} {
		for _, method := range []string{"GET", "POST"} {
			inBubble(t, method+" "+test.name, func(t *testing.T) {
				f := newFixture(t, test.stream)
				forMethod(f.client, method)
				f.client.Terminal = isDone
				f.client.IdleTimeout = time.Minute
				events, err := f.receive(t.Context(), 0)
				wantData(t, events, test.data...)
				if test.errs == nil && err != nil {
					t.Errorf("got the error %v, want none", err)
				}
				for _, want := range test.errs {
					wantError(t, err, want)
				}
				f.wantRequests(1)
				f.wantStates("connecting 1", "open 1", "closed 1")
				if got := f.states[2].Err; got != err {
					t.Errorf("OnState received the error %v, want %v", got, err)
				}
			})
		}
	}
}

// Before the stream has begun, a retry cannot repeat any part of the answer.
func TestTerminalRetriesBeforeTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, refusal(503), refusal(429), answer(done))
		f.client.Terminal = isDone
		f.client.MaxRetryDelay = -1
		events, err := f.receive(t.Context(), 0)
		wantData(t, events, "[DONE]")
		if err != nil {
			t.Errorf("got the error %v", err)
		}
		f.wantRequestsAt(0, time.Second, 2*time.Second)
	})
}

func TestTerminalResend(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		inBubble(t, method, func(t *testing.T) {
			f := newFixture(t, refusal(503), broken("id: 1\ndata: a\n\n"),
				answer("id: 2\ndata: b\n\n"), answer(done))
			forMethod(f.client, method)
			f.client.Terminal = isDone
			f.client.Resend = true
			events, err := f.receive(t.Context(), 0)
			wantData(t, events, "a", "b", "[DONE]")
			if err != nil {
				t.Errorf("got the error %v", err)
			}
			want := []string{"-", "-", "1", "2"}
			if got := f.sentIDs(); !slices.Equal(got, want) {
				t.Errorf("sent the IDs %q, want %q", got, want)
			}
		})
	}
}

// A client that gives up without the terminal event must report that a part is
// missing.
func TestTerminalResendGivesUp(t *testing.T) {
	for _, test := range []struct {
		name string
		then ssetest.Response
	}{
		{"clean end", answer()}, {"cut", broken()}, {"refused", refusal(503)},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, answer("data: a\n\n"), test.then)
			f.client.Terminal = isDone
			f.client.Resend = true
			f.client.MaxRetries = 2
			events, err := f.receive(t.Context(), 0)
			wantData(t, events, "a")
			wantError(t, err, sse.ErrTruncated)
			wantError(t, err, sse.ErrGaveUp)
			f.wantRequests(3)
		})
	}
}

func TestTerminalBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"+done))
		f.client.Terminal = isDone
		f.mustReceive(1) // a break before the terminal event is no error
		f.mustReceive(2) // a break at the terminal event
		f.wantNoConnection()
	})
}

// Without Terminal, the client detects that a POST was cut only by how the
// stream ended.
func TestPostWithoutTerminal(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream ssetest.Response
		want   error
	}{
		{"clean end", answer("data: a\n\n"), nil},
		{"comment at the end", answer("data: a\n\n: bye"), nil},
		{"cut", broken("data: a\n\n"), sse.ErrTruncated},
		{"end inside of an event", answer("data: a\n\ndata: b\n"), sse.ErrTruncated},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.stream)
			forMethod(f.client, "POST")
			events, err := f.receive(t.Context(), 0)
			wantData(t, events, "a")
			if !errors.Is(err, test.want) {
				t.Errorf("got the error %v, want %v", err, test.want)
			}
			f.wantRequests(1)
		})
	}
}

// The client yields events that report an error like other events.
func TestInBandError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\nevent: error\ndata: {\"message\":\"overloaded\"}\n\n"))
		f.client.Terminal = func(event sse.Event) bool { return event.Type == "error" }
		events, err := f.receive(t.Context(), 0)
		if len(events) != 2 || err != nil {
			t.Fatalf("got %+v, %v, want two events", events, err)
		}
		type failure struct{ Message string }
		got, err := sse.Decode[failure](events[1])
		if want := (failure{"overloaded"}); got != want || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

// chunk contains the fields of an event that this test reads, for all APIs.
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

// isEnd reports whether an event is the last one according to the API.
func isEnd(event sse.Event) bool {
	switch event.Type {
	case "message_stop", "response.completed", "error":
		return true
	}
	return event.Data == "[DONE]" || strings.HasPrefix(event.Data, `{"error":`)
}

// llmAnswer is the result of reading a stream.
type llmAnswer struct {
	text    string
	failure string // the error message of the model's server
	err     error  // the error of the client
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

// The answer of a language model that is cut at any byte, in any way, is always
// truncated. The caller can always read an error within the stream.
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

// askPart asks a server that sends body, a part of its answer, and then ends
// the response or cuts the connection.
func askPart(t *testing.T, body []byte, broken bool) (a llmAnswer) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, &ssetest.Script{Responses: []ssetest.Response{
			{Chunks: []string{string(body)}, Cut: broken},
		}}, nil)
		a = ask(&sse.Client{
			URL:        server.URL(),
			HTTPClient: server.Client(),
			Method:     http.MethodPost,
			Body:       []byte("{}"),
			Terminal:   isEnd,
		}, t)
	})
	return a
}
