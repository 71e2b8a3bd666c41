package sse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

func TestClientEvents(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		f := newFixtureWith(t, opts, held("id: 1\ndata: a\n\n", "event: x\ndata: b\n\ndata: \n\n"))
		got := f.mustReceive(3)
		want := []sse.Event{
			{ID: "1", LastEventID: "1", Data: "a"},
			{LastEventID: "1", Type: "x", Data: "b"}, // HTML 9.2.6: the last event ID stays set
			{LastEventID: "1", Data: ""},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		f.wantElapsed(0)
		f.wantRequests(1)
		f.wantStates("connecting 1", "open 1", "closed 1")
		f.wantNoConnection()
	})
}

func TestClientStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, answer("data: a\n\n"), refusal(503), broken(), held("data: b\n\n"))
		f.mustReceive(2)
		f.wantStates(
			"connecting 1", "open 1", "retrying 1",
			"connecting 2", "retrying 2",
			"connecting 3", "open 3", "retrying 3",
			"connecting 4", "open 4", "closed 4")
		for _, i := range []int{1, 6, 9} {
			resp := f.states[i].Response
			if resp == nil || resp.StatusCode != 200 ||
				resp.Header.Get("Content-Type") != "text/event-stream" {
				t.Errorf("state %d: got the response %+v, want the server's", i, resp)
			}
		}
		if err := f.states[2].Err; err != nil {
			t.Errorf("after a clean end: got the error %v, want none", err)
		}
		var refused *sse.ResponseError
		if err := f.states[4].Err; !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("after a 503: got the error %v", err)
		}
		if f.states[7].Err == nil {
			t.Error("after a cut: got no error")
		}
		if err := f.states[10].Err; err != nil {
			t.Errorf("after a break: got the error %v, want none", err)
		}
	})
}

// The caller can cancel the context in any state. Events then returns, and no
// goroutine is left.
func TestClientCancel(t *testing.T) {
	cause := errors.New("the caller has canceled")
	atState := func(state sse.State) func(*fixture, func()) {
		return func(f *fixture, cancel func()) {
			f.onState = func(change sse.StateChange) {
				if change.State == state {
					cancel()
				}
			}
		}
	}
	after := func(d time.Duration) func(*fixture, func()) {
		return func(_ *fixture, cancel func()) { time.AfterFunc(d, cancel) }
	}
	for _, test := range []struct {
		name     string
		response ssetest.Response
		arrange  func(f *fixture, cancel func())
		elapsed  time.Duration
		events   []string
	}{
		{"before", held(), func(_ *fixture, cancel func()) { cancel() }, 0, nil},
		{"waiting for headers", ssetest.Response{Delay: time.Hour},
			after(5 * time.Second), 5 * time.Second, nil},
		{"open", held("data: a\n\n"), after(5 * time.Second), 5 * time.Second, []string{"a"}},
		{"inside of an event", held("data: a\n\ndata: b"), after(time.Second), time.Second,
			[]string{"a"}},
		{"waiting to retry", refusal(503), after(time.Second / 2), time.Second / 2, nil},
		{"waiting for Retry-After", refusal(503, "Retry-After", "9999"), after(time.Hour), time.Hour, nil},
		{"waiting for the body of an error", ssetest.Response{Status: 404, Stall: true},
			after(time.Second), time.Second, nil},
		{"hook, connecting", held(), atState(sse.StateConnecting), 0, nil},
		{"hook, open", held("data: a\n\n"), atState(sse.StateOpen), 0, nil},
		{"hook, retrying", refusal(503), atState(sse.StateRetrying), 0, nil},
		{"prepare", held("data: a\n\n"), func(f *fixture, cancel func()) {
			f.client.Prepare = func(*http.Request) error { cancel(); return nil }
		}, 0, nil},
		{"comment", held(":\n\ndata: a\n\n"), func(f *fixture, cancel func()) {
			f.client.OnComment = func(string) { cancel() }
		}, 0, nil},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.response)
			ctx, cancel := context.WithCancelCause(t.Context())
			test.arrange(f, func() { cancel(cause) })
			events, err := f.receive(ctx, 0)
			wantError(t, err, cause)
			wantError(t, err, context.Canceled)
			wantData(t, events, test.events...)
			f.wantElapsed(test.elapsed)
			if last := f.states[len(f.states)-1]; last.State != sse.StateClosed || last.Attempt != 1 {
				t.Errorf("the last state change is %+v, want closed after one attempt", last)
			}
			f.wantNoConnection()
		})
	}
}

// After the caller has canceled the context, Events yields no event, although the client
// has already received one.
func TestClientCancelInTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\ndata: b\n\n"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var got []string
		for event, err := range f.client.Events(ctx) {
			if err != nil {
				wantError(t, err, context.DeadlineExceeded)
				got = append(got, "error")
				continue
			}
			got = append(got, event.Data)
			<-ctx.Done()
		}
		if want := []string{"a", "error"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		f.wantElapsed(time.Minute)
		f.wantNoConnection()
	})
}

func TestClientPanicInTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"))
		func() {
			defer func() {
				if got := recover(); got != "oops" {
					t.Errorf("recovered %v, want oops", got)
				}
			}()
			for range f.client.Events(t.Context()) {
				panic("oops")
			}
		}()
		f.wantNoConnection()
		f.mustReceive(1) // the client is no longer in use
	})
}

func TestClientInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"))
		events := f.client.Events(t.Context())
		for _, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			changes := len(f.states)
			for range 2 {
				wantError(t, f.mustFail(), sse.ErrInUse)
			}
			if len(f.states) != changes {
				t.Errorf("the second Events has called OnState with %+v", f.states[changes:])
			}
			break
		}
		n := 0
		for event, err := range events { // the same iterator, once more
			if n++; err != nil || event.Data != "a" {
				t.Errorf("got %+v, %v", event, err)
			}
			break
		}
		if n != 1 {
			t.Errorf("got %d events from the second Events, want 1", n)
		}
		f.wantRequests(2)
		f.wantNoConnection()
	})
}

// A later call of Events starts from the fields of the Client. It uses neither the last
// event ID nor the retry field of an earlier call.
func TestClientEventsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, answer("retry: 50000\nid: 7\ndata: a\n\n"), held("data: b\n\n"))
		f.client.LastEventID = "start"
		f.mustReceive(1)
		f.mustReceive(1)
		f.wantRequestsAt(0, 0)
		if got, want := f.sentIDs(), []string{"start", "start"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
		f.wantStates("connecting 1", "open 1", "closed 1", "connecting 1", "open 1", "closed 1")
	})
}

func TestClientConfiguration(t *testing.T) {
	url := func(url string) func(*sse.Client) {
		return func(c *sse.Client) { c.URL = url }
	}
	header := func(name, value string) func(*sse.Client) {
		return func(c *sse.Client) { c.Header = http.Header{name: {value}} }
	}
	for _, test := range []struct {
		name string
		set  func(*sse.Client)
		want string // in the error
	}{
		{"no URL", url(""), "URL"},
		{"path", url("/events"), "URL"},
		{"host and port", url("localhost:3000/events"), "URL"},
		{"port", url(":3000/events"), "URL"},
		{"no host", url("http:///events"), "host"},
		{"only a scheme", url("http://"), "host"},
		{"space in the host", url("http://this is invalid/"), "URL"},
		{"ftp", url("ftp://example.not/"), "http"},
		{"about", url("about:blank"), "http"},
		{"ws", url("ws://example.not/"), "http"},
		{"timeout", func(c *sse.Client) { c.HTTPClient.Timeout = time.Hour }, "IdleTimeout"},
		{"negative RetryDelay", func(c *sse.Client) { c.RetryDelay = -1 }, "RetryDelay"},
		{"negative IdleTimeout", func(c *sse.Client) { c.IdleTimeout = -1 }, "IdleTimeout"},
		{"negative MaxEventSize", func(c *sse.Client) { c.MaxEventSize = -1 },
			"Client.MaxEventSize must not be negative: -1"},
		{"two bodies", func(c *sse.Client) {
			c.Body = []byte{}
			c.GetBody = func() (io.Reader, error) { return strings.NewReader("a"), nil }
		}, "Client.Body and Client.GetBody"},
		{"header name", header("X Y", "z"), "X Y"},
		{"empty header name", header("", "z"), "name"},
		{"header value with LF", header("X-Y", "a\nX-Z: b"), "X-Y"},
		{"header value with NUL", header("X-Y", "a\x00"), "X-Y"},
		{"method", func(c *sse.Client) { c.Method = "GET POST" }, "GET POST"},
		{"method with LF", func(c *sse.Client) { c.Method = "GET\n" }, "method"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, held("data: a\n\n"))
			test.set(f.client)
			err := f.mustFail()
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "sse: ") {
				t.Errorf("got the error %q, want an error that names %q", err, test.want)
			}
			f.wantElapsed(0)
			f.wantRequests(0)
			last := f.states[len(f.states)-1]
			if last.State != sse.StateClosed || last.Err != err {
				t.Errorf("the last state change is %+v, want closed for %v", last, err)
			}
		})
	}
}

func TestClientComments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held(":\n: a\n:  b\n\n:c:d\r\ndata: x\n:e\n\n"))
		var got []string
		f.client.OnComment = func(text string) { got = append(got, text) }
		f.mustReceive(1)
		if want := []string{"", "a", " b", "c:d", "e"}; !slices.Equal(got, want) {
			t.Errorf("got the comments %q, want %q", got, want)
		}
	})
}

func TestClientDecode(t *testing.T) {
	type item struct{ N int }
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: {\ndata: \"N\": 3}\n\nevent: bad\ndata: {\n\n"))
		events := f.mustReceive(2)
		if got, err := sse.Decode[item](events[0]); err != nil || got != (item{3}) {
			t.Errorf("got %+v, %v, want {3}", got, err)
		}
		_, err := sse.Decode[item](events[1])
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), `"bad"`) {
			t.Errorf("got the error %v, want a syntax error that names the event", err)
		}
	})
}

// An event that is too large is reported to OnSkip, and the stream continues with
// the next event. The ID of the skipped event becomes the last event ID. Otherwise the
// client would ask for the same event after each reconnect.
func TestClientTooLarge(t *testing.T) {
	large := "id: 2\ndata: " + strings.Repeat("x", 100) + "\n\n"
	for _, test := range []struct {
		name    string
		stream  []string
		cancels bool // OnSkip cancels the context
		want    []string
		ids     []string // of requests
	}{
		{"next event", []string{"id: 1\ndata: a\n\n" + large + "data: b\n\n"}, false,
			[]string{"1 a", "too large", "2 b", "2 c"}, []string{"-", "2"}},
		{"cut after it", []string{"id: 1\ndata: a\n\n" + large}, false,
			[]string{"1 a", "too large", "2 c"}, []string{"-", "2"}},
		{"cut inside of it", []string{"id: 1\ndata: a\n\n" + large[:50]}, false,
			[]string{"1 a", "too large", "2 c"}, []string{"-", "2"}},
		{"cancel", []string{large + "data: b\n\n"}, true, []string{"too large", "canceled"},
			[]string{"-"}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, broken(test.stream...), held("data: c\n\n"))
			f.client.MaxEventSize = 20
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var got []string
			f.client.OnSkip = func(large *sse.TooLargeError) {
				if got = append(got, "too large"); large.Limit != 20 || large.LastEventID != "2" {
					t.Errorf("got %+v", large)
				}
				if test.cancels {
					cancel()
				}
			}
			for event, err := range f.client.Events(ctx) {
				if errors.Is(err, context.Canceled) {
					got = append(got, "canceled")
					continue
				}
				if got = append(got, event.LastEventID+" "+event.Data); err != nil || event.Data == "c" {
					break
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if ids := f.sentIDs(); !slices.Equal(ids, test.ids) {
				t.Errorf("sent the IDs %q, want %q", ids, test.ids)
			}
			f.wantNoConnection()
		})
	}
}

// Without OnSkip, the client logs a warning: with its Logger, or with the default
// logger if it has none.
func TestClientTooLargeLogged(t *testing.T) {
	for _, test := range []struct {
		name                string
		onSkip, logger      bool
		toLogger, toDefault int // lines that report the skipped event
	}{
		{"hook", true, true, 0, 0},
		{"hook, no logger", true, false, 0, 0},
		{"logger", false, true, 1, 0},
		{"neither", false, false, 0, 1},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			var own, shared bytes.Buffer
			setDefaultLogger(t, &shared)
			f := newFixture(t, held("data: "+xs(100)+"\n\ndata: a\n\n"))
			f.client.MaxEventSize = 20
			if test.logger {
				f.client.Logger = textLogger(&own)
			}
			if test.onSkip {
				f.client.OnSkip = func(*sse.TooLargeError) {}
			}
			f.mustReceive(1)
			const want = `level=WARN msg="sse: an event was skipped" error="sse: the event at offset 0 is`
			if got := strings.Count(own.String(), want); got != test.toLogger {
				t.Errorf("got %d lines in\n%s, want %d", got, own.String(), test.toLogger)
			}
			if got := strings.Count(shared.String(), want); got != test.toDefault {
				t.Errorf("got %d lines in\n%s, want %d", got, shared.String(), test.toDefault)
			}
		})
	}
}

// The Logger receives a line for each stream that is opened and for each retry. No line
// contains secrets: the user and the query of the URL are left out.
func TestClientLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, answer("data: a\n\n"), refusal(503), broken(), held("data: b\n\n"))
		var log bytes.Buffer
		f.client.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.client.URL = "http://me:secret@one.example/events?token=secret"
		f.client.MaxRetryDelay = -1
		f.server.Stop()
		time.AfterFunc(time.Second/2, f.server.Start)
		f.mustReceive(2)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		want := []string{"lost", "connected", "lost", "lost", "connected", "lost", "connected"}
		if len(lines) != len(want) {
			t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), log.String())
		}
		for i, line := range lines {
			if !strings.Contains(line, want[i]) || !strings.Contains(line, "http://one.example/events") {
				t.Errorf("line %d: got %q, want a line that says %q and names the URL", i+1, line, want[i])
			}
			if strings.Contains(line, "lost") && !strings.Contains(line, "delay=1s") {
				t.Errorf("line %d: got %q, want a line that says delay=1s", i+1, line)
			}
			if strings.Contains(line, "secret") {
				t.Errorf("line %d contains a secret: %s", i+1, line)
			}
		}
		if !strings.Contains(lines[0], "refused") || !strings.Contains(lines[2], "EOF") ||
			!strings.Contains(lines[3], "503") {
			t.Errorf("the log must contain the reasons refused, EOF and 503:\n%s", log.String())
		}
	})
}

// Event.Topic: "The topic applies to this event only." The network may cut the stream
// into pieces at any byte.
func TestClientTopic(t *testing.T) {
	stream := "topic: news\nid: 1\ndata: a\n\ndata: b\n\n" +
		"topic: room/é\ntopic: \xFF\nevent: x\ndata: c\n\n" +
		"topic: lost\n\ntopic: hidden\n" + cursor("2") + "data: d\n\n"
	want := []sse.Event{
		{Topic: "news", ID: "1", LastEventID: "1", Data: "a"},
		{LastEventID: "1", Data: "b"},
		{Topic: fffd, LastEventID: "1", Type: "x", Data: "c"},
		{LastEventID: "2", Data: "d"},
		{LastEventID: "2", Data: "end"}, // another stream
	}
	for name, chunks := range map[string][]string{
		"whole": {stream}, "byte by byte": strings.Split(stream, ""),
	} {
		inBubble(t, name, func(t *testing.T) {
			half := "topic: cut off\n" // of an event that never ends
			f := newFixture(t, broken(append(chunks, half)...), held("data: end\n\n"))
			if got := f.mustReceive(len(want)); !slices.Equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// An event whose topic is too large is skipped. Its ID becomes the last event ID.
func TestClientTopicTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, broken("id: 1\ntopic: "+xs(100)+"\ndata: a\n\ntopic: b\ndata: c\n\n"),
			held("data: end\n\n"))
		f.client.MaxEventSize = 20
		var got []string
		f.client.OnSkip = func(large *sse.TooLargeError) {
			got = append(got, "too large "+large.LastEventID)
		}
		for event, err := range f.client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, event.Topic+" "+event.Data); event.Data == "end" {
				break
			}
		}
		if want := []string{"too large 1", "b c", " end"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := f.sentIDs(), []string{"-", "1"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
	})
}
