package hub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
)

// scriptedLog is a log whose Append returns the values of the fields.
type scriptedLog struct {
	sse.EventLog
	replayed bool
	err      error
}

func (l *scriptedLog) Append(context.Context, sse.AppendRequest) (sse.AppendResult, error) {
	return sse.AppendResult{Replayed: l.replayed}, l.err
}

// The health of a log contains the results of the last commit and of the last test. A
// check tests the disk if the last commit and the last test are at least 5 seconds old.
func TestLogHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := error(syscall.ENOSPC)
		var disk error
		tests, log := 0, &scriptedLog{}
		h := hub.NewLogHealth(log, func() error { tests++; return disk })
		start := time.Now()
		check := func(wantTests int, commit, test time.Duration, commitErr, testErr error) {
			t.Helper()
			want := api.LogHealth{Commit: api.WriteResult{Err: commitErr}, Test: api.WriteResult{Err: testErr}}
			if commit >= 0 {
				want.Commit.Time = start.Add(commit)
			}
			if test >= 0 {
				want.Test.Time = start.Add(test)
			}
			if got := h.Check(t.Context()); got != want || tests != wantTests {
				t.Errorf("after %v: %+v and %d tests, want %+v and %d", time.Since(start), got, tests, want, wantTests)
			}
		}
		appendEvent := func(err error) {
			log.err = err
			if _, got := h.Append(t.Context(), sse.AppendRequest{}); got != err {
				t.Errorf("Append returned %v, want %v", got, err)
			}
		}
		const none = -1
		check(1, none, 0, nil, nil) // no commit since the start
		time.Sleep(4999 * time.Millisecond)
		check(1, none, 0, nil, nil)
		disk = full
		time.Sleep(time.Millisecond)
		check(2, none, 5*time.Second, nil, full)
		disk = nil
		time.Sleep(time.Second)
		appendEvent(nil) // at 6 s
		check(2, 6*time.Second, 5*time.Second, nil, full)
		time.Sleep(time.Second)
		appendEvent(full) // at 7 s
		check(2, 7*time.Second, 5*time.Second, full, full)
		time.Sleep(4 * time.Second)
		check(2, 7*time.Second, 5*time.Second, full, full) // at 11 s
		time.Sleep(time.Second)
		check(3, 7*time.Second, 12*time.Second, full, nil) // found by a test alone
		time.Sleep(time.Second)

		// Errors that are not the fault of the disk change nothing.
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		log.err = errors.New("a cause")
		if _, err := h.Append(canceled, sse.AppendRequest{}); err == nil {
			t.Error("Append returned no error")
		}
		appendEvent(&sse.FieldError{Field: "key"})
		appendEvent(segmentlog.ErrClosed)
		log.replayed = true
		appendEvent(nil)
		check(3, 7*time.Second, 12*time.Second, full, nil)
	})
}

// If the disk does not answer, each check returns an error after at most 2 seconds,
// and all checks share one test.
func TestHealthOfASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		var tests atomic.Int32
		h := hub.NewLogHealth(&scriptedLog{}, func() error { tests.Add(1); return <-answer })
		start := time.Now()
		check := func(want time.Duration, wantErr error, ctx context.Context) {
			t.Helper()
			began := time.Now()
			if got := h.Check(ctx).Test.Err; got != wantErr || time.Since(began) != want || tests.Load() != 1 {
				t.Errorf("%v after %v and %d tests, want %v after %v and 1", got, time.Since(began), tests.Load(), wantErr, want)
			}
		}
		check(2*time.Second, api.ErrSlowDisk, t.Context())
		check(2*time.Second, api.ErrSlowDisk, t.Context())
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		check(0, api.ErrSlowDisk, canceled)
		time.AfterFunc(time.Second, func() { answer <- nil })
		check(time.Second, nil, t.Context())
		if got := h.Check(t.Context()).Test.Time; got != start.Add(5*time.Second) {
			t.Errorf("the test ended after %v, want 5s", got.Sub(start))
		}
	})
}
