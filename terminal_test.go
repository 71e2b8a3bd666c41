package sse_test

import (
	"errors"
	"io"
	"os"
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
		c.GetBody = func() (io.Reader, error) { return strings.NewReader("{}"), nil }
	}
}

// Issue 2: "a terminal-event predicate, so that an end without it is an error
// that says 'truncated', never success."
func TestTerminal(t *testing.T) {
	for _, test := range []struct {
		name   string
		stream ssetest.Response
		data   []string
		errs   []error // all of them; none: the stream is complete
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
					t.Errorf("the hook was told %v, want %v", got, err)
				}
			})
		}
	}
}

// Until the stream has begun there is nothing that could be repeated.
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

// A client that gives up a stream without its end must not hide that a part is
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
			f.wantRequests(3)
		})
	}
}

func TestTerminalBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"+done))
		f.client.Terminal = isDone
		f.mustReceive(1) // and no complaint
		f.mustReceive(2) // a break at the last event
		f.wantNoConnection()
	})
}

// A POST that is no success either: without a terminal event, what shows that a
// stream was cut is only how it ended.
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

// FIELD.md, Client: "in-band errors". They are events like others.
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
