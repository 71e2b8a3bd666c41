package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// All requests in flight together reserve at most the budget. A request that does
// not fit into the budget waits up to ten seconds. A request that is alone always
// fits. Only a request of at most 64 KiB may use the last quarter of the budget.
func TestInflight(t *testing.T) {
	const kib = 1 << 10
	for _, test := range []struct {
		name         string
		others, size int
		fits         bool
	}{
		{"small, the rest", 1000*kib - 1, 1, true},
		{"small, too much", 1000 * kib, 1, false},
		{"small, in the last quarter", 900 * kib, 64 * kib, true},
		{"large, in the last quarter", 900 * kib, 65 * kib, false},
		{"large, up to the last quarter", 600 * kib, 150 * kib, true},
		{"large, beyond the budget, alone", 0, 2000 * kib, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := newBroker(t)
				a.SetMaxInflight(1000 * kib)
				releaseOthers, err := a.Reserve(t.Context(), test.others)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				release, err := a.Reserve(t.Context(), test.size)
				want := time.Duration(0)
				if !test.fits {
					want = 10 * time.Second
				}
				if waited := time.Since(began); (err == nil) != test.fits || waited != want {
					t.Errorf("%v after %v, want success: %t after %v", err, waited, test.fits, want)
				}
				if test.fits {
					release()
				} else { // it succeeds when the others release their memory
					time.AfterFunc(9*time.Second, releaseOthers)
					if release, err = a.Reserve(t.Context(), test.size); err != nil {
						t.Error(err)
					}
					release()
				}
				releaseOthers()
				if n := a.Inflight(); n != 0 {
					t.Errorf("%d bytes are reserved at the end, want 0", n)
				}
			})
		})
	}
}

// Each kind of request waits for its memory, and is refused with 503 after ten
// seconds. After a request has ended in any way, none of its memory is reserved.
func TestInflightRequests(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	batch := `{"topics":["news"],"data":"` + big + `"}` + "\n"
	for _, test := range []struct{ request, body string }{
		{"POST /news", big},
		{"PUT /news", big + "\n"},
		{"POST /-/batch", batch},
		{"PUT /-/batch", batch},
		{"GET /news?follow=0", ""},
		{"POST /news", big + "\r"},   // 400
		{"POST /-/batch", big},       // 400
		{"GET /none?follow=0", ""},   // an empty page
		{"HEAD /news?follow=0", ""},  // no body
		{"PUT /news", big + "\r\n"},  // a CR LF
		{"PUT /news?id=1", big + ""}, // refused before its body
	} {
		t.Run(test.request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := newBroker(t)
				ask(t, a, "POST /news", big)
				a.SetMaxInflight(1)
				release, err := a.Reserve(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				got := ask(t, a, test.request, test.body)
				if waited := time.Since(began); waited == 10*time.Second {
					if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
						t.Errorf("without memory: %v, want 503 with Retry-After", got)
					}
				} else if waited != 0 || !strings.Contains(test.request, "?id=") {
					t.Errorf("without memory: %v after %v, want 503 after 10s", got, waited)
				}
				release()
				if got := ask(t, a, test.request, test.body); got.status == http.StatusServiceUnavailable {
					t.Errorf("with memory: %v", got)
				}
				if n := a.Inflight(); n != 0 {
					t.Errorf("%d bytes are reserved at the end, want 0", n)
				}
			})
		})
	}
}

// A page is not much larger than PageBytes, even if its events are large only as
// JSON: there each event contains all of its topics.
func TestPageOfEventsWithManyTopics(t *testing.T) {
	t.Parallel()
	a, broker := newBroker(t)
	topics := []string{"news"}
	for i := range 200 {
		topics = append(topics, fmt.Sprintf("%s/%d", strings.Repeat("t", 1000), i))
	}
	for range 100 { // 200 KB of topics each
		if _, err := broker.Publish(t.Context(), sse.Event{Data: "x"}, topics...); err != nil {
			t.Fatal(err)
		}
	}
	path, events := "/-/events?pattern=**&follow=0&limit=10000", 0
	for pages := 0; ; pages++ {
		got := ask(t, a, "GET "+path, "", "Accept", "application/json")
		if len(got.text) > api.PageBytes+300<<10 {
			t.Fatalf("page %d has %d bytes, want at most %d and one event", pages, len(got.text), api.PageBytes)
		}
		n := strings.Count(got.text, "\n")
		if events += n; n == 0 || pages > 100 {
			break
		}
		link, _, _ := strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
		path = "/-/events" + link
	}
	if events != 100 {
		t.Errorf("all pages have %d events, want 100", events)
	}
}

// A line splitter returns the lines of a body. Its buffer and the number of lines
// that it returns at once are small, unless a line is long.
func TestLineSplitter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300<<10)
	for _, test := range []struct {
		name, body string
		largest    int // size of the buffer in bytes, at most
		perCall    int // lines returned at once, at most
	}{
		{"short lines", strings.Repeat("abc\n", 100<<10), 64 << 10, 16 << 10},
		{"empty lines", strings.Repeat("\n", 1<<20), 64 << 10, 64 << 10},
		{"a long line and empty ones", long + strings.Repeat("\n", 1<<20), 1 << 20, 65 << 10},
		{"no LF at the end", "a\nb", 4 << 10, 2},
	} {
		var got [][]byte
		largest, err := api.SplitLines(strings.NewReader(test.body), 1<<20, func(lines [][]byte) {
			if len(lines) > test.perCall {
				t.Errorf("%s: %d lines at once, want at most %d", test.name, len(lines), test.perCall)
			}
			for _, line := range lines {
				got = append(got, slices.Clone(line))
			}
		})
		want := bytes.Split([]byte(strings.TrimSuffix(test.body, "\n")), []byte("\n"))
		if err != io.EOF || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: %d lines and the error %v, want %d lines", test.name, len(got), err, len(want))
		}
		if largest > test.largest {
			t.Errorf("%s: a buffer of %d bytes, want at most %d", test.name, largest, test.largest)
		}
	}
}
