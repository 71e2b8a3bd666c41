package api_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// Each error of the log becomes a response with this status and text. If the status
// is 500 or 507, the text is fixed, because the error describes the machine. Only
// errors with status 500 are passed to OnError.
func TestErrorsOfTheLog(t *testing.T) {
	const (
		internal = "the hub failed to handle this request; its operator finds the reason in its log"
		full     = "the disk is full; the hub still serves subscribers, and publishes again " +
			"once there is space: remove files from the disk, or DELETE a topic"
	)
	noSpace := &os.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC}
	for _, test := range []struct {
		err        error
		status     int
		text       string
		retryAfter string
		reported   bool
	}{
		{errors.New("sse: /secret is broken"), 500, internal, "", true},
		{fmt.Errorf("disk: %w", os.ErrPermission), 500, internal, "", true},
		{context.DeadlineExceeded, 500, internal, "", true},
		{noSpace, 507, full, "", false},
		{fmt.Errorf("disk: %w", noSpace), 507, full, "", false},
		{api.ErrKeyUsed, 422, "the Idempotency-Key was already used for another event; use a new key for each event, " +
			"and the same key for each attempt to publish it", "", false},
		{fmt.Errorf("sse: x: %w", api.ErrKeyUsed), 422, "x: " + api.ErrKeyUsed.Error(), "", false},
		{errors.Join(sse.ErrShutdown), 503, sse.ErrShutdown.Error()[len("sse: "):], "1", false},
		{context.Canceled, 503, "context canceled", "1", false},
		{errors.New("a\x00b"), 500, internal, "", true},
		{fmt.Errorf("a\x1fb c~d\x7fe\u009ff\u00a0g\nh: %w", context.Canceled), 503,
			"a\ufffdb c~d\ufffde\ufffdf\u00a0g\ufffdh: context canceled", "1", false},
	} {
		for _, request := range []string{"POST /a", "POST /b with a key", "POST /-/batch?topic=a", "PUT /a", "DELETE /a"} {
			request, withKey := strings.CutSuffix(request, " with a key")
			var header []string
			if withKey {
				header = []string{"Idempotency-Key", "k"}
			}
			var reported []error
			a, _ := newBroker(t, func(o *api.Options) {
				o.OnError = func(err error) { reported = append(reported, err) }
				o.Log = fakeLog{
					Log: o.Log,
					publish: func(*api.IdempotentRequest, []sse.Entry) ([]sse.Position, bool, error) {
						return nil, false, test.err
					},
					delete: func(string) error { return test.err },
				}
			})
			body, partial := `{"data":"x"}`, "; before the error: kept 0"
			fields := `"id":"","kept":0,`
			if request == "DELETE /a" {
				body = ""
			}
			if request != "PUT /a" {
				partial, fields = "", ""
			}
			got := ask(t, a, request, body, header...)
			if want := fmt.Sprintf("%d sse: %s%s", test.status, test.text, partial); got.String() != want {
				t.Errorf("%s with %v\ngot  %s\nwant %s", request, test.err, got, want)
			}
			if got := got.header.Get("Retry-After"); got != test.retryAfter {
				t.Errorf("%s with %v: Retry-After is %q, want %q", request, test.err, got, test.retryAfter)
			}
			got = ask(t, a, request, body, append(header, "Accept", "application/json")...)
			want := fmt.Sprintf(`%d {"error":%q,%s"status":%[1]d}`, test.status, test.text+partial, fields)
			if test.text[0] != 'a' && got.String() != want {
				t.Errorf("%s with %v\ngot  %s\nwant %s", request, test.err, got, want)
			}
			wantReports := 0
			if test.reported {
				wantReports = 2
			}
			if len(reported) != wantReports || test.reported && !errors.Is(reported[0], test.err) {
				t.Errorf("%s with %v: reported %v, want it %d times", request, test.err, reported, wantReports)
			}
			a.OnError = nil
			if got := ask(t, a, request, body); got.status != test.status {
				t.Errorf("%s with %v, without OnError: %s, want %d", request, test.err, got, test.status)
			}
		}
	}
}

// If the broker cannot read its log, the status is 500, too.
func TestErrorsOfReading(t *testing.T) {
	var reported []error
	a, broker := newBroker(t, func(o *api.Options) {
		o.OnError = func(err error) { reported = append(reported, err) }
	})
	broker.Log = brokenLog{}
	checkRows(t, a, []row{
		{"GET /a?follow=0", nil, "", "500 sse: the hub failed to handle this request; its operator finds the reason in its log"},
	})
	if len(reported) != 1 {
		t.Errorf("reported %v, want one error", reported)
	}
}

// If the log fails after the first events of a POST or a PUT, the response contains
// the number of published events and the ID of the last one.
func TestPartialErrors(t *testing.T) {
	a, _ := newBroker(t, func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, publish: func(_ *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
			return make([]sse.Position, 2), false, syscall.ENOSPC
		}}
	})
	const text = "the disk is full; the hub still serves subscribers, and publishes again once there is space: " +
		"remove files from the disk, or DELETE a topic; before the error: kept 2, last id i2"
	body := `{"data":"1","id":"i1"}` + "\n" + `{"data":"2","id":"i2"}` + "\n" + `{"data":"3","id":"i3"}`
	for _, request := range []string{"POST /-/batch?topic=a", "PUT /-/batch?topic=a"} {
		checkRows(t, a, []row{
			{request, nil, body, "507 sse: " + text},
			{request, []string{"Accept", "application/json"}, body, `507 {"error":"` + text + `","id":"i2","kept":2,"status":507}`},
		})
	}
}
