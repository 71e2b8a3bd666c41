package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// Requests with long targets, pages, and large batches wait for their turn, up to ten
// seconds. Small requests do not wait. A request that waits for its body has no turn.
// After a request has ended in any way, it has no turn.
func TestTurns(t *testing.T) {
	many := "topic=news" + strings.Repeat("&topic=another/topic", 200)
	batch := strings.Repeat(`{"topics":["news"],"data":"x"}`+"\n", 4<<10)
	for _, test := range []struct {
		request, body string
		waits         bool
	}{
		{"POST /news", "x", false},
		{"POST /-/batch", batch[:100<<5], false},
		{"HEAD /news", "", false},
		{"GET /-/healthz", "", false},
		{"POST /-/batch", batch, true},
		{"POST /-/batch", batch + "{", true}, // 400
		{"GET /news?follow=0", "", true},
		{"GET /news?follow=0&since=x", "", false}, // 400
		{"POST /-/publish?" + many, "x", true},
		{"PUT /-/publish?" + many, "x\n", true},
		{"POST /-/publish?x&" + many, "", true}, // 400
		{"DELETE /-/events?" + many, "", true},
		{"HEAD /-/events?" + many, "", true},
		{"GET /-/events?follow=0&" + many, "", true},
		{"POST /-/tickets?" + many, "", true},
	} {
		t.Run(fmt.Sprintf("%.30s", test.request), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := newBroker(t)
				endTurns := a.TakeTurns()
				began := time.Now()
				got := ask(t, a, test.request, test.body)
				want := time.Duration(0)
				if test.waits {
					want = 10 * time.Second
				}
				if waited := time.Since(began); waited != want {
					t.Errorf("without a turn: %v after %v, want a response after %v", got, waited, want)
				}
				refused := got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != ""
				if refused != test.waits {
					t.Errorf("without a turn: %v, want 503 with Retry-After: %t", got, test.waits)
				}
				time.AfterFunc(time.Second, endTurns)
				began = time.Now()
				if got := ask(t, a, test.request, test.body); got.status == http.StatusServiceUnavailable {
					t.Errorf("with a turn after a second: %v", got)
				}
				if waited := time.Since(began); test.waits && waited != time.Second {
					t.Errorf("the request has waited for %v, want 1s", waited)
				}
				time.Sleep(2 * time.Second)
				if n := a.Turns(); n != 0 {
					t.Errorf("%d turns are taken at the end, want 0", n)
				}
			})
		})
	}
}

// A page that waits for memory holds none. Otherwise many pages could together reserve
// the whole budget, and all of them would wait for each other.
func TestPageWaitsWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const kib = 1 << 10
		a, _ := newBroker(t)
		ask(t, a, "POST /news", strings.Repeat("x", 400*kib))
		a.SetMaxInflight(1000 * kib)
		release, err := a.Reserve(t.Context(), 100*kib)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan answer, 1)
		go func() { done <- ask(t, a, "GET /news?follow=0", "") }()
		synctest.Wait()
		if n := a.Inflight(); n != 100*kib || a.Turns() != 0 {
			t.Errorf("while the page waits, %d bytes and %d turns are taken, want %d and none",
				n, a.Turns(), 100*kib)
		}
		time.Sleep(time.Second)
		release()
		if got := <-done; got.status != http.StatusOK || len(got.text) < 400*kib {
			t.Errorf("after the others have released their memory: %.60v", got)
		}
	})
}

// If there is no memory for a further event of a page, the page ends, and the client
// gets the event with the next page.
func TestPageEndsWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const kib = 1 << 10
		a, broker := newBroker(t)
		for i := range 3 {
			data := fmt.Sprint(i) + strings.Repeat("x", 200*kib)
			if _, err := broker.Publish(t.Context(), sse.Event{Data: data}, "news"); err != nil {
				t.Fatal(err)
			}
		}
		a.SetMaxInflight(1000 * kib)
		release, err := a.Reserve(t.Context(), 200*kib)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		began, query := time.Now(), "?follow=0"
		for i := range 4 {
			got := ask(t, a, "GET /news"+query, "")
			if n := strings.Count(got.text, "xx\n"); got.status != http.StatusOK || n != min(1, 3-i) ||
				n == 1 && !strings.Contains(got.text, fmt.Sprint("data: ", i)) {
				t.Errorf("page %d has %d events, and is %.60v", i, n, got)
			}
			query, _, _ = strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the pages have waited for %v", waited)
		}
	})
}
