package ssetest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

func newRequest() *http.Request { return httptest.NewRequest("GET", "/", nil) }

func TestRecorderShowsWhatWasFlushed(t *testing.T) {
	recorder := ssetest.NewRecorder(t)
	if recorder.Code() != 0 || recorder.SentHeader() != nil {
		t.Error("the response has begun before its handler")
	}
	recorder.Header().Set("X-Before", "1")
	_, _ = io.WriteString(recorder, "id: 1\nevent: e\ndata: d\n\n")
	if got := recorder.Body(); len(got) != 0 {
		t.Errorf("before the flush the body is %q", got)
	}
	recorder.Header().Set("X-After", "1")
	recorder.WriteHeader(http.StatusTeapot) // too late
	if err := http.NewResponseController(recorder).Flush(); err != nil {
		t.Errorf("Flush: %v", err)
	}
	_, _ = io.WriteString(recorder, "data: not flushed\n\n")

	want := []sse.Event{{ID: "1", Type: "e", Data: "d"}}
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
		t.Errorf("got header %v, want it as it was at the first Write", sent)
	}
}

func TestRecorderRecordsTheStatus(t *testing.T) {
	recorder := ssetest.NewRecorder(t)
	recorder.WriteHeader(http.StatusEarlyHints)
	if got := recorder.Code(); got != 0 {
		t.Errorf("an informational status has begun the response: %d", got)
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
		// What the handler leaves is flushed when it returns; more never comes.
		got := recorder.Wait(100)
		wantElapsed(t, "waiting for the handler", start, 4*time.Second)
		if len(got) != 4 || got[3].Data != "last" {
			t.Errorf("Wait returned %+v, want the four events", got)
		}
	})
}

// failures is a testing.TB that counts the errors of a test that is to fail.
type failures struct {
	testing.TB
	errors []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func TestRecorderReportsUseAfterTheHandler(t *testing.T) {
	tb := &failures{TB: t}
	recorder := ssetest.NewRecorder(tb)
	recorder.Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), newRequest())
	if len(tb.errors) != 0 {
		t.Fatalf("reported too early: %q", tb.errors)
	}
	_, _ = io.WriteString(recorder, "late")
	recorder.Flush()
	want := []string{
		"ssetest: Write was called after the handler had returned",
		"ssetest: Flush was called after the handler had returned",
	}
	if !slices.Equal(tb.errors, want) {
		t.Errorf("got %q, want %q", tb.errors, want)
	}
}
