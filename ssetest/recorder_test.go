package ssetest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

func newRequest() *http.Request { return httptest.NewRequest("GET", "/", nil) }

func TestRecorderShowsFlushedBytes(t *testing.T) {
	recorder := ssetest.NewRecorder(t)
	if recorder.Code() != 0 || recorder.SentHeader() != nil {
		t.Error("the response has begun before the handler was called")
	}
	recorder.Header().Set("X-Before", "1")
	_, _ = io.WriteString(recorder, "id: 1\nevent: e\ndata: d\n\n")
	if got := recorder.Body(); len(got) != 0 {
		t.Errorf("got body %q before the flush, want none", got)
	}
	recorder.Header().Set("X-After", "1")
	recorder.WriteHeader(http.StatusTeapot) // too late
	if err := http.NewResponseController(recorder).Flush(); err != nil {
		t.Errorf("Flush: %v", err)
	}
	_, _ = io.WriteString(recorder, "data: not flushed\n\n")

	want := []sse.Event{{ID: "1", LastEventID: "1", Type: "e", Data: "d"}}
	if got := recorder.Events(); !slices.Equal(got, want) {
		t.Errorf("got events %+v, want %+v", got, want)
	}
	if got, want := string(recorder.Body()), "id: 1\nevent: e\ndata: d\n\n"; got != want {
		t.Errorf("got body %q, want %q", got, want)
	}
	if got := recorder.Code(); got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	sent := recorder.SentHeader()
	if sent.Get("X-Before") == "" || sent.Get("X-After") != "" {
		t.Errorf("got header %v, want the header at the first Write", sent)
	}
}

func TestRecorderRecordsStatus(t *testing.T) {
	recorder := ssetest.NewRecorder(t)
	recorder.WriteHeader(http.StatusEarlyHints)
	if got := recorder.Code(); got != 0 {
		t.Errorf("got status %d after an informational status, want 0", got)
	}
	recorder.WriteHeader(http.StatusNoContent)
	recorder.Flush()
	if got := recorder.Code(); got != http.StatusNoContent {
		t.Errorf("got status %d, want 204", got)
	}
}

func TestRecorderWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := ssetest.NewRecorder(t)
		control := http.NewResponseController(recorder)
		deadline := time.Now().Add(time.Second)
		if err := control.SetWriteDeadline(deadline); err != nil {
			t.Fatalf("SetWriteDeadline: %v", err)
		}
		if got := recorder.WriteDeadline(); !got.Equal(deadline) {
			t.Errorf("got deadline %v, want %v", got, deadline)
		}
		_, _ = io.WriteString(recorder, "x")
		<-time.After(time.Second) // in the bubble
		if err := control.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Flush: got error %v, want os.ErrDeadlineExceeded", err)
		}
		if _, err := io.WriteString(recorder, "x"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: got error %v, want os.ErrDeadlineExceeded", err)
		}
		_ = control.SetWriteDeadline(time.Time{})
		if err := control.Flush(); err != nil {
			t.Errorf("Flush without a deadline: %v", err)
		}
	})
}

func TestRecorderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := ssetest.NewRecorder(t)
		start := time.Now()
		go recorder.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := range 3 {
				<-time.After(time.Second) // in the bubble
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
			}
			<-time.After(time.Second)
			fmt.Fprint(w, "data: last\n\n")
		}), newRequest())

		for n := range 4 {
			if got := recorder.Wait(n); len(got) != n {
				t.Errorf("Wait(%d) returned %d events", n, len(got))
			}
			wantElapsed(t, "waiting", start, time.Duration(n)*time.Second)
		}
		// When the handler returns, the recorder flushes the last event, and Wait returns
		// although there are fewer than 100 events.
		got := recorder.Wait(100)
		wantElapsed(t, "waiting for the handler", start, 4*time.Second)
		if len(got) != 4 || got[3].Data != "last" {
			t.Errorf("Wait returned %+v, want the four events", got)
		}
	})
}

// errorRecorder is a testing.TB whose Errorf records the text instead of failing the
// test.
type errorRecorder struct {
	testing.TB
	errors []string
}

func (r *errorRecorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestRecorderReportsUseAfterTheHandler(t *testing.T) {
	tb := &errorRecorder{TB: t}
	recorder := ssetest.NewRecorder(tb)
	recorder.Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), newRequest())
	if len(tb.errors) != 0 {
		t.Fatalf("got errors %q before the handler was misused, want none", tb.errors)
	}
	_, _ = io.WriteString(recorder, "late")
	recorder.Flush()
	want := []string{
		"ssetest: Write must not be called after the handler has returned",
		"ssetest: Flush must not be called after the handler has returned",
	}
	if !slices.Equal(tb.errors, want) {
		t.Errorf("got %q, want %q", tb.errors, want)
	}
}

func TestEvents(t *testing.T) {
	a := sse.Event{ID: "1", LastEventID: "1", Data: "a"}
	b := sse.Event{LastEventID: "1", Type: "x", Data: "b\nc"}
	const body = ":\n\nid: 1\ndata: a\n\nevent: x\ndata: b\ndata: c\n\n"
	for _, test := range []struct {
		body string
		want []sse.Event
		err  error
	}{
		{"", nil, nil},
		{":\n", nil, nil},
		{body, []sse.Event{a, b}, nil},
		{strings.ReplaceAll(body, "\n", "\r"), []sse.Event{a, b}, nil},
		{body[:len(body)-1], []sse.Event{a}, io.ErrUnexpectedEOF},
		{body[:len(body)-3], []sse.Event{a}, io.ErrUnexpectedEOF},
		{body + "data", []sse.Event{a, b}, io.ErrUnexpectedEOF},
		{body + "retry: 1\n\n:\n", []sse.Event{a, b}, nil},
	} {
		got, err := ssetest.Events([]byte(test.body))
		if !slices.Equal(got, test.want) || !errors.Is(err, test.err) || err != nil && test.err == nil {
			t.Errorf("%q: got %+v, %v, want %+v, %v", test.body, got, err, test.want, test.err)
		}
	}
	large := "data: " + strings.Repeat("x", 16<<20+1) + "\n\n"
	got, err := ssetest.Events([]byte(large + body))
	var skipped *sse.TooLargeError
	if !slices.Equal(got, []sse.Event{a, b}) || !errors.As(err, &skipped) {
		t.Errorf("a large event: got %+v, %v, want the others and a TooLargeError", got, err)
	}
}
