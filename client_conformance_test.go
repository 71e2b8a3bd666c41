package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The client passes all 73 cases of testdata/conformance that need no browser. Each
// case is run with the streams whole, byte by byte, and cut at every offset (with
// "go test -short", at about 100 offsets).
func TestConformanceClient(t *testing.T) {
	ran := 0
	for _, v := range loadVectors(t) {
		if v.BrowserOnly {
			continue
		}
		ran++
		t.Run(v.Name, func(t *testing.T) {
			for _, http2 := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					testVector(t, &v, &ssetest.ServerOptions{HTTP2: http2})
				})
			}
		})
	}
	if want := 73; ran != want {
		t.Errorf("%d cases ran, want %d", ran, want)
	}
}

// testVector runs a case with its streams cut into pieces in many ways. With
// HTTP/2 it does not cut the streams at every offset, because this would test
// the same decoder again.
func testVector(t *testing.T, v *vector, opts *ssetest.ServerOptions) {
	var script *ssetest.Script // of the current run
	server := ssetest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		script.ServeHTTP(w, r)
	}), opts)
	run := func(name string, cut func(*vectorResponse) []string) {
		script = &ssetest.Script{}
		for _, response := range v.responses() {
			script.Responses = append(script.Responses, response.script(server.URL(), cut(&response)))
		}
		r := &vectorRun{v: v, script: script, server: server}
		if diff := r.run(t.Context()); diff != "" {
			t.Fatalf("%s: %s: %s (HTTP/2 %v): %s", v.Source, v.What, name, opts.HTTP2, diff)
		}
	}
	run("whole", func(r *vectorResponse) []string { return []string{string(r.Body)} })
	run("in the chunks of the case", func(r *vectorResponse) (pieces []string) {
		for _, chunk := range r.Chunks {
			pieces = append(pieces, string(chunk))
		}
		if r.Chunks == nil { // the case leaves the pieces open
			pieces = []string{string(r.Body)}
		}
		return pieces
	})
	run("byte by byte", func(r *vectorResponse) (pieces []string) {
		for i := range r.Body {
			pieces = append(pieces, string(r.Body[i:i+1]))
		}
		return pieces
	})
	longest := 0
	for _, response := range v.responses() {
		longest = max(longest, len(response.Body))
	}
	step := 1
	if testing.Short() {
		step += longest / 100
	}
	for i := 1; i < longest && !opts.HTTP2; i += step {
		run(fmt.Sprintf("cut at %d", i), func(r *vectorResponse) []string {
			at := min(i, len(r.Body))
			return []string{string(r.Body[:at]), string(r.Body[at:])}
		})
	}
}

// script returns the response for a scripted server, with its body in the given
// pieces. The server pauses between two pieces. Fake time passes only when the client
// waits for more bytes, so the client reads each piece separately.
func (r *vectorResponse) script(self string, pieces []string) ssetest.Response {
	header := make(http.Header)
	for name, value := range r.Headers {
		header.Set(name, strings.ReplaceAll(value, "{{SELF}}", self))
	}
	return ssetest.Response{
		Status: r.Status,
		Header: header,
		Chunks: pieces,
		Delay:  time.Duration(r.DelayMs) * time.Millisecond,
		Pause:  time.Nanosecond,
		Stall:  r.KeepOpen,
	}
}

// errVectorDone is the cause with which a run cancels its client.
var errVectorDone = errors.New("the run is complete")

// vectorRun is one run of a case, as a script in a browser would see it: the states
// have the names of EventSource. The loss of a stream, and a final error, are error
// events.
type vectorRun struct {
	v      *vector
	script *ssetest.Script
	server *ssetest.Server
	cancel context.CancelCauseFunc

	events  []vectorEvent
	states  []string
	errors  []string      // the state at each error event
	reached bool          // a stream was lost after exactly the expected events
	delay   time.Duration // the delay before the last attempt, as reported
	lost    time.Time     // when the stream was lost
	waited  time.Duration // the actual delay
}

// run runs the case and returns a description of the first mismatch, or "".
func (r *vectorRun) run(ctx context.Context) string {
	ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	client := &sse.Client{
		URL: r.server.URL(), HTTPClient: r.server.Client(), LikeBrowser: true, OnState: r.onState,
	}
	if r.v.Expect.URL != "" {
		client.URL = r.v.Expect.URL
	}
	var timer *time.Timer
	switch {
	case r.v.Expect.Outcome == "open": // the stream must still be open after an hour
		timer = time.AfterFunc(time.Hour, func() { r.cancel(errVectorDone) })
		defer timer.Stop()
	case r.v.Expect.CloseAt == "connecting":
		timer = time.AfterFunc(time.Second/2, func() { r.cancel(errVectorDone) })
		defer timer.Stop()
	case r.v.Expect.Outcome == "end":
		// The case describes the end of a decoder's input. Run it first with a
		// client that does not reconnect, and then with a client that does.
		client.MaxRetries = -1
		if err := r.receive(ctx, client); err != nil {
			return fmt.Sprintf("got the error %v, want none at the end of the stream", err)
		}
		if !slices.Equal(r.events, r.v.Expect.Events) || len(r.script.Requests()) != 1 {
			return fmt.Sprintf("got the events %q and %d requests", r.events, len(r.script.Requests()))
		}
		if got := r.states[len(r.states)-1]; got != r.v.Expect.ReadyState {
			return fmt.Sprintf("got the last state %s", got)
		}
		client.MaxRetries = 0
		r.events, r.states = nil, nil
	}
	err := r.receive(ctx, client)
	return r.compare(err)
}

func (r *vectorRun) receive(ctx context.Context, client *sse.Client) error {
	for event, err := range client.Events(ctx) {
		if err != nil {
			return err
		}
		if event.Type == "" {
			event.Type = "message"
		}
		r.events = append(r.events, vectorEvent{event.Type, event.Data, event.LastEventID})
	}
	return nil
}

func (r *vectorRun) onState(change sse.StateChange) {
	expect := &r.v.Expect
	switch change.State {
	case sse.StateConnecting:
		if change.Attempt == 1 {
			r.states = append(r.states, "CONNECTING")
		} else {
			r.waited = time.Since(r.lost)
		}
		seen := len(r.script.Requests()) >= max(len(expect.Requests), expect.RequestCount)
		if r.reached && seen || change.Attempt > 10 {
			r.cancel(errVectorDone)
		}
	case sse.StateOpen:
		r.states = append(r.states, "OPEN")
		if expect.CloseAt == "open" {
			r.cancel(errVectorDone)
		}
	case sse.StateRetrying:
		r.states = append(r.states, "CONNECTING")
		r.errors = append(r.errors, "CONNECTING")
		r.delay, r.lost = change.Delay, time.Now()
		r.reached = r.reached || slices.Equal(r.events, expect.Events)
	case sse.StateClosed:
		r.states = append(r.states, "CLOSED")
		if change.Err != nil && !errors.Is(change.Err, errVectorDone) {
			r.errors = append(r.errors, "CLOSED")
		}
	}
}

// compare compares the result of the run with the expected result, after Events has
// ended with err. It describes the first mismatch, or returns "".
func (r *vectorRun) compare(err error) string {
	expect := &r.v.Expect
	done := errors.Is(err, errVectorDone)
	var refused *sse.ResponseError
	switch expect.Outcome {
	case "reconnect", "end": // method run runs an "end" case a second time, with reconnects
		if !r.reached || !done {
			return fmt.Sprintf("events: got %q, want %q, then a reconnection; error %v",
				r.events, expect.Events, err)
		}
	case "open", "cancelled":
		if !done || !slices.Equal(r.events, expect.Events) {
			return fmt.Sprintf("got the events %q, want %q; error %v", r.events, expect.Events, err)
		}
		if n := len(r.states); n < 2 || expect.Outcome == "open" && r.states[n-2] != "OPEN" {
			return fmt.Sprintf("got the states %q", r.states)
		}
	case "fatal", "construct-error":
		if err == nil || done || r.v.Response != nil && !errors.As(err, &refused) {
			return fmt.Sprintf("got the error %v, want a final error", err)
		}
		if !slices.Equal(r.events, expect.Events) {
			return fmt.Sprintf("got the events %q, want %q", r.events, expect.Events)
		}
		if expect.URL != "" && len(r.script.Requests()) != 0 {
			return "a request was sent"
		}
	default:
		return fmt.Sprintf("unknown outcome %q", expect.Outcome)
	}
	return r.compareStates() + r.compareErrors() + r.compareDelay() + r.compareRequests()
}

func (r *vectorRun) compareStates() string {
	expect := &r.v.Expect
	if expect.States != nil && !slices.Equal(r.states, expect.States) {
		return fmt.Sprintf("got the states %q, want %q. ", r.states, expect.States)
	}
	if expect.Open && !slices.Contains(r.states, "OPEN") {
		return "the stream was not open. "
	}
	last := len(r.states) - 1
	switch expect.Outcome {
	case "reconnect", "open":
		last-- // the run itself has canceled the client, which is not a part of the case
	case "end":
		return "" // method run compares ReadyState before it runs the case a second time
	}
	if want := expect.ReadyState; want != "" && r.states[last] != want {
		return fmt.Sprintf("got the last state %s, want %s. ", r.states[last], want)
	}
	return ""
}

func (r *vectorRun) compareErrors() string {
	expect := &r.v.Expect
	// In an "end" case, Error may be true, because an EventSource reports an error event
	// at the end of the stream. For a client that does not reconnect, this end is no
	// error: method run has checked that. So the following check ignores "end" cases.
	if expect.Error && expect.Outcome != "end" && !slices.Contains(r.errors, "CLOSED") {
		return fmt.Sprintf("got errors in the states %q, want one in CLOSED. ", r.errors)
	}
	got := r.errors
	if expect.Outcome == "reconnect" { // the run may reconnect more often than the case
		got = got[:min(len(got), len(expect.Errors))]
	}
	if expect.Errors != nil && !slices.Equal(got, expect.Errors) {
		return fmt.Sprintf("got errors in the states %q, want %q. ", r.errors, expect.Errors)
	}
	return ""
}

func (r *vectorRun) compareDelay() string {
	expect := &r.v.Expect
	if ms := expect.ReconnectionTimeMs; ms != nil {
		want := time.Duration(*ms) * time.Millisecond
		if r.delay != want || r.waited != want {
			return fmt.Sprintf("waited for %v after a delay of %v, want %v. ", r.waited, r.delay, want)
		}
	}
	want := time.Second // the initial delay
	switch ms := expect.ReconnectionTime.(type) {
	case float64:
		want = time.Duration(ms) * time.Millisecond
	case nil:
		return ""
	}
	if r.waited != want {
		return fmt.Sprintf("waited for %v, want %v. ", r.waited, want)
	}
	return ""
}

func (r *vectorRun) compareRequests() string {
	expect := &r.v.Expect
	requests := r.script.Requests()
	if n := expect.RequestCount; n != 0 && len(requests) != n {
		return fmt.Sprintf("got %d requests, want %d. ", len(requests), n)
	}
	if len(requests) < len(expect.Requests) {
		return fmt.Sprintf("got %d requests, want %d. ", len(requests), len(expect.Requests))
	}
	// A preflight is a request OPTIONS that a browser sends on behalf of a page of
	// another origin. Preflight is whether a browser sends a preflight in this case. The
	// client must not send one, whether Preflight is true or false.
	if expect.Preflight != nil && slices.ContainsFunc(requests, func(r *ssetest.Request) bool {
		return r.Method == http.MethodOptions
	}) {
		return "a preflight was sent. "
	}
	for i, want := range expect.Requests {
		got := requests[i]
		if want.Method != "" && got.Method != want.Method {
			return fmt.Sprintf("request %d: got the method %q, want %q. ", i+1, got.Method, want.Method)
		}
		for name, value := range want.Headers {
			if got := got.Header.Values(name); !slices.Equal(got, []string{value}) {
				return fmt.Sprintf("request %d: got %s %q, want %q. ", i+1, name, got, value)
			}
		}
		for _, name := range want.Absent {
			if got := got.Header.Values(name); len(got) != 0 {
				return fmt.Sprintf("request %d: got %s %q, want none. ", i+1, name, got)
			}
		}
	}
	if id := expect.LastEventID; id != nil && len(r.events) > 0 {
		if got := r.events[len(r.events)-1].LastEventID; got != *id {
			return fmt.Sprintf("got the last event ID %q, want %q. ", got, *id)
		}
	}
	return ""
}
