package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// answer is a stream that ends cleanly.
func answer(chunks ...string) ssetest.Response {
	return ssetest.Response{Chunks: chunks}
}

// broken is a stream whose connection is cut.
func broken(chunks ...string) ssetest.Response {
	return ssetest.Response{Chunks: chunks, Cut: true}
}

// held is a stream that sends its chunks and then stays open without another
// byte.
func held(chunks ...string) ssetest.Response {
	return ssetest.Response{Chunks: chunks, Stall: true}
}

// refusal is a response that is no stream. The header alternates names and
// values.
func refusal(status int, header ...string) ssetest.Response {
	r := ssetest.Response{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// times returns a response n times.
func times(n int, r ssetest.Response) []ssetest.Response {
	return slices.Repeat([]ssetest.Response{r}, n)
}

// always and ifRefused are functions for Client.Resend.
func always(bool) bool            { return true }
func ifRefused(refused bool) bool { return refused }

// tooMany is the number of attempts above which a test fails. Without this limit, a
// client that wrongly does not give up would continue until the fake clock overflows.
const tooMany = 5000

// fixture is a client, its scripted server, and its state changes.
type fixture struct {
	t      *testing.T
	script *ssetest.Script
	server *ssetest.Server
	client *sse.Client
	start  time.Time
	states []sse.StateChange
	// onState, if not nil, is called for each state change, after the change was
	// added to states.
	onState func(sse.StateChange)
}

func newFixture(t *testing.T, responses ...ssetest.Response) *fixture {
	t.Helper()
	return newFixtureWith(t, nil, responses...)
}

func newFixtureWith(t *testing.T, opts *ssetest.ServerOptions,
	responses ...ssetest.Response) *fixture {
	t.Helper()
	f := &fixture{t: t, script: &ssetest.Script{Responses: responses}, start: time.Now()}
	f.server = ssetest.NewServer(t, f.script, opts)
	f.client = &sse.Client{URL: f.server.URL(), HTTPClient: f.server.Client()}
	f.client.OnState = func(change sse.StateChange) {
		if change.Attempt > tooMany {
			t.Fatalf("the client has made %d attempts, the last error is %v", tooMany,
				f.states[len(f.states)-2].Err)
		}
		f.states = append(f.states, change)
		if f.onState != nil {
			f.onState(change)
		}
	}
	return f
}

// inBubble runs a subtest in a bubble of its own, and so with a fake clock: see
// testing/synctest.
func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		synctest.Test(t, test)
	})
}

// receive runs Events until it has yielded n events, or, if n is 0, until Events ends.
// It returns the events and the error that Events has yielded. The test fails if
// anything follows the error.
func (f *fixture) receive(ctx context.Context, n int) (events []sse.Event, last error) {
	f.t.Helper()
	for event, err := range f.client.Events(ctx) {
		if last != nil {
			f.t.Fatalf("after the error %q came %+v, %v", last, event, err)
		}
		if last = err; err != nil {
			if event != (sse.Event{}) {
				f.t.Errorf("got the event %+v with the error %q", event, err)
			}
			continue
		}
		if events = append(events, event); len(events) == n {
			break
		}
	}
	return events, last
}

// mustReceive is like receive, but fails the test unless n events arrive.
func (f *fixture) mustReceive(n int) []sse.Event {
	f.t.Helper()
	events, err := f.receive(f.t.Context(), n)
	if len(events) != n || err != nil {
		f.t.Fatalf("got %d events and the error %v, want %d events", len(events), err, n)
	}
	return events
}

// receiveUntil returns the data of the events up to the event with the data
// last. An error fails the test.
func (f *fixture) receiveUntil(last string) (data []string) {
	f.t.Helper()
	for event, err := range f.client.Events(f.t.Context()) {
		if err != nil {
			f.t.Fatalf("got the error %v after the data %q, want %q", err, data, last)
		}
		if data = append(data, event.Data); event.Data == last {
			break
		}
	}
	return data
}

// mustFail returns the error that Events yields. The test fails if Events yields an
// event, or no error.
func (f *fixture) mustFail() error {
	f.t.Helper()
	events, err := f.receive(f.t.Context(), 0)
	if len(events) != 0 || err == nil {
		f.t.Fatalf("got the events %+v and the error %v, want only an error", events, err)
	}
	return err
}

func (f *fixture) wantRequests(want int) {
	f.t.Helper()
	if got := len(f.script.Requests()); got != want {
		f.t.Errorf("got %d requests, want %d", got, want)
	}
}

// wantRequestsAt checks the time of each request, since the start.
func (f *fixture) wantRequestsAt(want ...time.Duration) {
	f.t.Helper()
	var got []time.Duration
	for _, r := range f.script.Requests() {
		got = append(got, r.Time.Sub(f.start))
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("requests came after %v, want %v", got, want)
	}
}

func (f *fixture) wantElapsed(want time.Duration) {
	f.t.Helper()
	if got := time.Since(f.start); got != want {
		f.t.Errorf("the test took %v, want %v", got, want)
	}
}

// wantStates checks the state changes that OnState has received. A state change has a
// text such as "open 1": the state and the number of the attempt.
func (f *fixture) wantStates(want ...string) {
	f.t.Helper()
	var got []string
	for _, change := range f.states {
		got = append(got, fmt.Sprintf("%v %d", change.State, change.Attempt))
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("got the states\n\t%q, want\n\t%q", got, want)
	}
}

// wantNoConnection closes the idle connections of the client's transport, and then
// checks that the client has no open connection.
func (f *fixture) wantNoConnection() {
	f.t.Helper()
	// From Go 1.27 on, net/http continues to read a body for up to 50 ms after the
	// client has closed it. During that time, the connection stays open.
	time.Sleep(time.Second)
	f.server.Client().CloseIdleConnections()
	synctest.Wait()
	if n := f.server.Conns(); n != 0 {
		f.t.Errorf("%d connections are open, want none", n)
	}
}

// delays returns the delays that OnState has received.
func (f *fixture) delays() []time.Duration {
	var delays []time.Duration
	for _, change := range f.states {
		if change.State == sse.StateRetrying {
			delays = append(delays, change.Delay)
		}
	}
	return delays
}

// sentIDs returns the last event ID that each request contains: the value of the
// header, or "query " and the value in the query, or "-" if there is neither.
func (f *fixture) sentIDs() []string {
	var ids []string
	for _, r := range f.script.Requests() {
		switch values, query := r.Header["Last-Event-Id"], r.URL.Query(); {
		case len(values) > 0 && query.Has("lastEventId"):
			ids = append(ids, "in the header and in the query")
		case len(values) == 1:
			ids = append(ids, values[0])
		case len(values) > 1:
			ids = append(ids, fmt.Sprintf("%q", values))
		case query.Has("lastEventId"):
			ids = append(ids, "query "+query.Get("lastEventId"))
		default:
			ids = append(ids, "-")
		}
	}
	return ids
}

func dataOf(events []sse.Event) []string {
	var data []string
	for _, event := range events {
		data = append(data, event.Data)
	}
	return data
}

func wantData(t *testing.T, events []sse.Event, want ...string) {
	t.Helper()
	if got := dataOf(events); !slices.Equal(got, want) {
		t.Errorf("got the data %q, want %q", got, want)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got the error %v, want %v", got, want)
	}
}
