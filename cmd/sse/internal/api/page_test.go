package api_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// Without the parameter limit, a page has at most 1000 events. Any page has at most
// about 4 MiB.
func TestLimitsOfAPage(t *testing.T) {
	a, broker := newBroker(t)
	texts := make([]string, 1002)
	for i := range texts {
		texts[i] = fmt.Sprintf("a||%d", i)
	}
	publishAll(t, broker, texts...)
	if n := strings.Count(ask(t, a, "GET /a?follow=0", "").text, "\ndata: "); n != 1000+1 { // and a cursor
		t.Errorf("the page has %d events, want 1000", n-1)
	}
	if n := strings.Count(ask(t, a, "GET /a?follow=0&limit=1001", "").text, "\ndata: "); n != 1001+1 {
		t.Errorf("the page has %d events, want 1001", n-1)
	}
	large := make([]string, 60)
	for i := range large {
		large[i] = "b||" + strings.Repeat("x", 100_000)
	}
	ids := publishAll(t, broker, large...)
	got := ask(t, a, "GET /b?follow=0", "")
	n := strings.Count(got.text, "\ndata: x")
	if n != 42 { // 4 MiB are 41.9 events
		t.Errorf("the page has %d events of 100 kB, want 42", n)
	}
	if link := got.header.Get("Link"); !strings.Contains(link, url.QueryEscape(ids[n-1])) {
		t.Errorf("Link is %q, want the position after %d events", link, n)
	}
}

// A page that begins with the earliest event or with the last N events has no gap,
// even if an event between its events was removed.
func TestNoGapFromOpenStart(t *testing.T) {
	a, broker := newBroker(t)
	large := strings.Repeat("x", 2000)
	ids := publishAll(t, broker, "b||"+large, "b||"+large, "a||3", "b||"+large)
	at, err := sse.ParsePosition(ids[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Forget(t.Context(), "a", at); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "&since=earliest", "&limit=3", "&since=-3", "&since=-3&limit=3"} {
		got := strings.ReplaceAll(dataOf(t, ask(t, a, "GET /a,b?follow=0"+query, "").text, ids), large, "X")
		if got != "X X X" {
			t.Errorf("%q: got %s, want three events and no gap", query, got)
		}
	}
}

// For a page with few events, the API reads few events from the log.
func TestPageReadsFewEvents(t *testing.T) {
	log := &countingLog{EventLog: reflog.New(nil)}
	broker := &sse.Broker{Log: log}
	t.Cleanup(func() { _ = broker.Shutdown(context.Background()) })
	a := newAPI(t, broker)
	broker.Select = a.Select
	texts := make([]string, 3000)
	for i := range texts {
		texts[i] = "a||" + strings.Repeat("x", 200)
	}
	publishAll(t, broker, texts...)
	for _, test := range []struct {
		query     string
		want, max int
	}{
		{"limit=1", 1, 2}, {"limit=10", 10, 20}, {"limit=1000", 1000, 2000}, {"limit=10&since=earliest", 10, 20},
		{"limit=1&since=-2000", 1, 2}, {"limit=10000", 3000, 3000},
	} {
		log.read = 0
		n := strings.Count(ask(t, a, "GET /a?follow=0&"+test.query, "").text, "\ndata: x")
		if n != test.want || log.read > test.max {
			t.Errorf("%s: %d events, of %d that were read, want %d of at most %d",
				test.query, n, log.read, test.want, test.max)
		}
	}
}

// countingLog counts the events that are read from a log.
type countingLog struct {
	sse.EventLog
	read int
}

func (l *countingLog) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	page, err := l.EventLog.Read(ctx, r)
	l.read += len(page.Entries)
	return page, err
}

// The broker may return the events of a page in several parts. The limit of events
// then applies to all parts together. A gap after the last event of a page is on the
// next page.
func TestPagesInParts(t *testing.T) {
	a, broker := newBroker(t)
	texts := make([]string, 12_000)
	for i := range texts {
		texts[i] = "a||" + strings.Repeat("x", 400)
	}
	publishAll(t, broker, texts...)
	count := func(limit int) int {
		text := ask(t, a, fmt.Sprint("GET /a?follow=0&limit=", limit), "").text
		return strings.Count(text, "\ndata: x")
	}
	full := count(10_000) // limited by the size of the page
	if full < 9600 || full > 9800 {
		t.Errorf("the page has %d events, want about 9700", full)
	}
	if n := count(full - 10); n != full-10 {
		t.Errorf("the page has %d events, want %d", n, full-10)
	}
	large := strings.Repeat("x", 3<<20)
	b, broker := newBroker(t)
	ids := publishAll(t, broker, "z||0", "b||"+large, "b||"+large, "b||"+large, "a||1", "b||2")
	at, err := sse.ParsePosition(ids[4])
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Forget(t.Context(), "a", at); err != nil {
		t.Fatal(err)
	}
	after := ids[0]
	for i, want := range []string{"X X", `X {"asked":"2","available":"4","why":"trimmed"}@4 2`, ""} {
		got := ask(t, b, "GET /a,b?follow=0", "", "Last-Event-ID", after)
		if data := strings.ReplaceAll(dataOf(t, got.text, ids), large, "X"); data != want {
			t.Errorf("page %d: %.200s, want %s", i, data, want)
		}
		link, err := url.Parse(strings.Trim(strings.Split(got.header.Get("Link"), ";")[0], "<>"))
		if err != nil {
			t.Fatal(err)
		}
		after = link.Query().Get("lastEventId")
	}
}
