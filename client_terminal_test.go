package sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// Terminal reports which event completes a stream. If the stream ends without such an
// event, Events yields ErrTruncated, however the stream ends.
func TestTerminal(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream ssetest.Response
		data   []string
		errs   []error // the error wraps each of these; nil if the stream is complete
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

// With Terminal and without Resend, the client retries a GET only before the stream has
// begun. Until then, a retry cannot repeat any part of the answer.
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
			f.client.Resend = always
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

// The argument refused of Resend is true if the server has certainly not processed the
// request. If Resend returns this argument, the client repeats only such requests.
func TestResendIfRefused(t *testing.T) {
	moved := func(status int) ssetest.Response { return refusal(status, "Location", "/other") }
	for _, test := range []struct {
		name      string
		responses []ssetest.Response // the last one is the complete answer
		requests  int
	}{
		{"408", []ssetest.Response{refusal(408), answer(done)}, 2},
		{"425", []ssetest.Response{refusal(425), answer(done)}, 2},
		{"429", []ssetest.Response{refusal(429, "Retry-After", "7"), answer(done)}, 2},
		{"503", []ssetest.Response{refusal(503), refusal(503), answer(done)}, 3},
		{"307, then 503", []ssetest.Response{moved(307), refusal(503), answer(done)}, 3},
		{"500", []ssetest.Response{refusal(500), answer(done)}, 1},
		{"502", []ssetest.Response{refusal(502), answer(done)}, 1},
		{"504", []ssetest.Response{refusal(504), answer(done)}, 1},
		{"404", []ssetest.Response{refusal(404), answer(done)}, 1},
		{"303, then 503", []ssetest.Response{moved(303), refusal(503), answer(done)}, 2},
		{"no response", []ssetest.Response{{Delay: time.Hour}, answer(done)}, 1},
		{"cut before an event", []ssetest.Response{broken(), answer(done)}, 1},
		{"cut after an event", []ssetest.Response{broken("data: a\n\n"), answer(done)}, 1},
		{"ended before an event", []ssetest.Response{answer(), answer(done)}, 1},
		{"429, then cut", []ssetest.Response{refusal(429), broken(), answer(done)}, 2},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.responses...)
			forMethod(f.client, "POST")
			f.client.Terminal, f.client.Resend = isDone, ifRefused
			f.client.IdleTimeout = time.Minute
			events, err := f.receive(t.Context(), 0)
			f.wantRequests(test.requests)
			isComplete := len(events) > 0 && isDone(events[len(events)-1])
			if want := test.requests == len(test.responses); isComplete != want || (err == nil) != want {
				t.Errorf("got %+v, %v, want a complete answer: %v", events, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "set Client.Resend") {
				t.Errorf("the error asks for a Resend that is set: %v", err)
			}
		})
	}
	inBubble(t, "connection refused", func(t *testing.T) {
		f := newFixture(t, answer(done))
		forMethod(f.client, "POST")
		f.client.Terminal, f.client.Resend = isDone, ifRefused
		f.server.Stop()
		time.AfterFunc(time.Second/2, f.server.Start)
		events, err := f.receive(t.Context(), 0)
		wantData(t, events, "[DONE]")
		if err != nil {
			t.Errorf("got the error %v", err)
		}
		f.wantRequestsAt(time.Second)
	})
	inBubble(t, "Prepare fails", func(t *testing.T) {
		f := newFixture(t, answer(done))
		forMethod(f.client, "POST")
		f.client.Terminal, f.client.Resend = isDone, ifRefused
		n := 0
		f.client.Prepare = func(*http.Request) error {
			if n++; n == 1 {
				return errors.New("no token")
			}
			return nil
		}
		if events, err := f.receive(t.Context(), 0); len(events) != 1 || err != nil {
			t.Errorf("got %+v, %v, want the answer", events, err)
		}
		f.wantRequests(1)
	})
}

// After the terminal event, the client reads the rest of the body, so that the next
// answer can use the same connection. If the rest has more than 4 KiB, or does not end
// within 100 ms, the client closes the connection.
func TestTerminalReusesConnection(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  ssetest.Response
		conns   int
		elapsed time.Duration
	}{
		{"ends", answer("data: a\n\n" + done), 1, 0},
		{"ends later", ssetest.Response{Chunks: []string{done, ":\n"}, Pause: 60 * time.Millisecond},
			1, 10 * 60 * time.Millisecond},
		{"more events", answer(done, "data: more\n\n", done), 1, 0},
		{"4 KiB more", answer(done, ":"+xs(4<<10-3)), 1, 0},
		{"much more", answer(done, ":"+xs(1<<20)), 10, 0},
		{"open", held(done), 10, 10 * 100 * time.Millisecond},
		{"cut", broken(done), 10, 0},
	} {
		for _, breaks := range []bool{false, true} {
			inBubble(t, fmt.Sprintf("%s, break %v", test.name, breaks), func(t *testing.T) {
				conns := 0
				f := newFixtureWith(t, &ssetest.ServerOptions{Configure: func(s *http.Server) {
					s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
						conns++ // without a lock, because only the goroutine that accepts runs this
						return ctx
					}
				}}, test.answer)
				forMethod(f.client, "POST")
				f.client.Terminal = isDone
				for range 10 {
					for event, err := range f.client.Events(t.Context()) {
						if err != nil {
							t.Fatal(err)
						}
						if breaks && isDone(event) {
							break
						}
					}
				}
				synctest.Wait()
				if conns != test.conns {
					t.Errorf("got %d connections for 10 answers, want %d", conns, test.conns)
				}
				f.wantElapsed(test.elapsed)
			})
		}
	}
}

// If the client gives up, and the terminal event has not arrived, the error must also
// be ErrTruncated, because a part of the answer is missing.
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
			f.client.Resend = always
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

// Without Terminal, the client reports a truncated answer to a POST only if the
// connection was cut, if the stream ended within an event, or if the stream ended within
// a line that is no comment.
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
		{"end inside of an unknown line", answer("data: a\n\nunknown: x"), sse.ErrTruncated},
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

// An event may report an error of the server, for example with the type "error". The
// client yields such an event like any other.
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

// chunk has the fields that ask reads from the data of an event, for the APIs of all
// model servers together.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
	} `json:"choices"` // OpenAI chat completions
	Candidates []struct {
		Content struct {
			Parts []struct {
				Text string `json:"text"`
			} `json:"parts"`
		} `json:"content"`
	} `json:"candidates"` // Gemini
	Delta deltaText `json:"delta"` // OpenAI responses: a string; Anthropic: an object
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
	Message any `json:"message"`
}

// deltaText is a text. In JSON, it is a string, or an object that may have a field
// text.
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

// isEnd reports whether an event is the last event of an answer, according to the API of
// the model server.
func isEnd(event sse.Event) bool {
	switch event.Type {
	case "message_stop", "response.completed", "error":
		return true
	}
	return event.Data == "[DONE]" || strings.HasPrefix(event.Data, `{"error":`) ||
		strings.Contains(event.Data, `"finishReason":`) // Gemini
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
		for _, candidate := range c.Candidates {
			for _, part := range candidate.Content.Parts {
				a.text += part.Text
			}
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

// If the answer of a language model is cut at any byte, Events yields ErrTruncated. If
// a whole answer contains an error of the model's server, the caller can read the
// error.
func TestLanguageModels(t *testing.T) {
	files, err := filepath.Glob("testdata/llm/*.txt")
	if err != nil || len(files) != 8 {
		t.Fatalf("%d transcripts, %v, want 8", len(files), err)
	}
	const text = "Grüße aus Zürich 🌍\n\n- one\n two"
	failures := map[string]string{
		"openai-chat-error": "The server had an error processing your request. " +
			"Sorry about that!",
		"openai-responses-error":   "Something went wrong",
		"anthropic-messages-error": "Overloaded",
		"gemini-generate-error":    "The model is overloaded. Please try again later.",
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
			// An answer that ends with CRLF is already complete at the CR.
			complete := len(bytes.TrimSuffix(body, []byte("\n")))
			if !bytes.HasSuffix(body, []byte("\r\n")) {
				complete = len(body)
			}
			for cut := 0; cut < complete; cut += step {
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

// askPart reads the answer of a server that sends body. After body, the server cuts the
// connection if broken is true, and otherwise ends the response properly.
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
