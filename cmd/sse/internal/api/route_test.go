package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

func TestNew(t *testing.T) {
	for _, test := range []struct {
		origins []string
		want    string
	}{
		{nil, ""},
		{[]string{"*"}, ""},
		{[]string{"https://a.example", "http://b.example:8080"}, ""},
		{[]string{"a.example"}, `invalid origin "a.example": scheme is required`},
		{[]string{"https://a.example", "https://b.example/"}, `invalid origin "https://b.example/": path, query, and fragment are not allowed`},
		{[]string{"*", "b.example"}, `invalid origin "b.example": scheme is required`},
	} {
		a, err := api.New(api.Options{Origins: test.origins})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want || (a == nil) != (err != nil) {
			t.Errorf("%q: %v, %v, want %q", test.origins, a, err, test.want)
		}
	}
}

func TestConfigure(t *testing.T) {
	var server http.Server
	api.Configure(&server)
	if server.ConnContext == nil {
		t.Error("Configure does not set ConnContext")
	}
	for name, times := range map[string][2]time.Duration{
		"ReadHeaderTimeout": {server.ReadHeaderTimeout, 10 * time.Second},
		"ReadTimeout":       {server.ReadTimeout, time.Minute},
		"WriteTimeout":      {server.WriteTimeout, 0},
		"IdleTimeout":       {server.IdleTimeout, 2 * time.Minute},
	} {
		if got, want := times[0], times[1]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if server.MaxHeaderBytes != 65536 {
		t.Errorf("MaxHeaderBytes is %d, want 65536", server.MaxHeaderBytes)
	}
}

// The status for each path, with the methods in the order of the variable methods.
func TestRoutes(t *testing.T) {
	a, _ := newBroker(t)
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}
	for path, want := range map[string][]int{
		"/":                            {200, 200, 400, 400, 400, 400},
		"":                             {200, 200, 400, 400, 400, 400},
		"/robots.txt":                  {200, 200, 404, 404, 404, 404},
		"/favicon.ico":                 {404, 404, 404, 404, 404, 404},
		"/-":                           {404, 404, 404, 404, 404, 404},
		"/-/":                          {404, 404, 404, 404, 404, 404},
		"/-/x":                         {404, 404, 404, 404, 404, 404},
		"/.well-known/x":               {404, 404, 404, 404, 404, 404},
		"/-/events?topic=a&follow=0":   {200, 200, 405, 405, 400, 405},
		"/-/events?topic=a":            {0, 200, 405, 405, 204, 405},
		"/-/publish?topic=a":           {405, 405, 200, 200, 405, 405},
		"/-/batch":                     {405, 405, 200, 200, 405, 405},
		"/-/login":                     {405, 405, 200, 405, 405, 405},
		"/-/logout":                    {405, 405, 200, 405, 405, 405},
		"/-/tickets?topic=a":           {405, 405, 200, 405, 405, 405},
		"/-/healthz":                   {200, 200, 405, 405, 405, 405},
		"/-/readyz":                    {200, 200, 405, 405, 405, 405},
		"/a?follow=0":                  {200, 200, 400, 400, 400, 405},
		"/a":                           {0, 200, 200, 200, 204, 405},
		"/a/-/b?follow=0":              {200, 200, 400, 400, 400, 405},
		"/a.well-known?follow=0":       {200, 200, 400, 400, 400, 405},
		"/a/favicon.ico?follow=0":      {200, 200, 400, 400, 400, 405},
		"/b,a/robots.txt?follow=0":     {200, 200, 400, 400, 400, 405},
		"/robots.txt,a?follow=0":       {400, 400, 400, 400, 400, 400},
		"/a,.well-known/b?follow=0":    {400, 400, 400, 400, 400, 400},
		"/a,-/events?follow=0&topic=a": {400, 400, 400, 400, 400, 400},
	} {
		for i, method := range methods {
			target := path
			if target == "" {
				target = "http://localhost"
			}
			if want[i] == 0 {
				continue // a stream, which does not end
			}
			if got := ask(t, a, method+" "+target, ""); got.status != want[i] {
				t.Errorf("%s %s: %s, want %d", method, target, got, want[i])
			}
		}
	}
	const reserved = "paths below /-/ and /.well-known/, /favicon.ico and /robots.txt are reserved"
	checkRows(t, a, []row{
		{"GET /", nil, "", "200 This is a hub for Server-Sent Events. Its topics are paths:\n\n" +
			"  curl -N http://localhost/news\n  curl -d hello http://localhost/news\n\n" +
			"For health checks, use http://localhost/-/healthz: other paths, such as /health, are topics."},
		{"GET /-/healthz", []string{"Accept", "application/json"}, "", "200 ok"},
		{"GET /-/readyz", []string{"Accept", "application/json"}, "", `200 {"status":200}`},
		{"GET /robots.txt", []string{"Accept", "application/json"}, "", "200 User-agent: *\nDisallow: /"},
		{"GET /-/x?<b>", []string{"Accept", "application/json"}, "", `404 {"error":"the hub has no path \"/-/x\"; ` + reserved + `","status":404}`},
		{"POST /", nil, "x", "400 sse: the path must name a topic, for example /news"},
		{"GET /robots.txt", nil, "", "200 User-agent: *\nDisallow: /"},
		{"GET /-/x", nil, "", `404 sse: the hub has no path "/-/x"; ` + reserved},
		{"PATCH /news", nil, "", `405 sse: this path does not accept the method "PATCH"; it accepts DELETE, GET, HEAD, POST, PUT`},
		{"GET /-/batch", nil, "", `405 sse: this path does not accept the method "GET"; it accepts POST, PUT`},
		{"GET /news,-/x?follow=0", nil, "", `400 sse: the path "/news,-/x" is not a topic: ` + reserved +
			`; for a topic that cannot be a path, use /-/events?topic=news%2C-%2Fx`},
	})
	if got := ask(t, a, "PATCH /news", "").header.Get("Allow"); got != "DELETE, GET, HEAD, POST, PUT" {
		t.Errorf("PATCH: Allow is %q", got)
	}
}

// Responses to all methods except POST have headers for caches, and a header that
// prevents browsers from guessing the type. Some responses to POST have one of these
// headers, too.
func TestCommonHeaders(t *testing.T) {
	a, _ := newBroker(t)
	plain := "text/plain; charset=utf-8"
	cache := http.Header{
		"Cache-Control": {"no-store, no-transform"}, "X-Content-Type-Options": {"nosniff"},
		"Vary": {"Accept, Origin, Authorization, Cookie"},
	}
	for _, test := range []struct {
		request string
		header  []string
		cache   bool
		more    http.Header
	}{
		{"GET /", nil, true, http.Header{"Content-Type": {plain}}},
		{"HEAD /", nil, true, http.Header{"Content-Type": {plain}}},
		{"GET /-/healthz", nil, true, http.Header{"Content-Type": {plain}, "Server": {"sse"}}},
		{"PUT /news", nil, true, http.Header{"Content-Type": {plain}}},
		{"DELETE /news", nil, true, nil},
		{"GET /-/x", nil, true, http.Header{"Content-Type": {plain}}},
		{"GET /-/x", []string{"Accept", "application/json"}, true, http.Header{"Content-Type": {"application/json"}}},
		{"HEAD /news", nil, true, http.Header{"Content-Type": {"text/event-stream"}, "X-Accel-Buffering": {"no"}, "Incremental": {"?1"}}},
		{"POST /news?id=1", nil, false, http.Header{"Content-Type": {plain}}},
		{"POST /news", nil, false, http.Header{"Content-Type": {plain}}},
		{"POST /news", []string{"Accept", "application/json"}, false, http.Header{"Content-Type": {"application/json"}}},
		{"POST /-/x", nil, false, http.Header{"Content-Type": {plain}, "X-Content-Type-Options": {"nosniff"}}},
		{"POST /-/logout", nil, false, http.Header{"Content-Type": {plain}, "Cache-Control": {"no-store, no-transform"},
			"Set-Cookie": {"sse_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"}}},
	} {
		want := http.Header{}
		if test.cache {
			want = cache.Clone()
		}
		for name, values := range test.more {
			want[name] = values
		}
		if got := ask(t, a, test.request, "", test.header...); !reflect.DeepEqual(got.header, want) {
			t.Errorf("%s %q: %s\ngot  %v\nwant %v", test.request, test.header, got, got.header, want)
		}
	}
}

// A request that must have no body is refused if it has a body. It has no effect.
func TestBodyWithoutMeaning(t *testing.T) {
	a, broker := newBroker(t)
	for request, want := range map[string]string{
		"GET /-/healthz":          `"GET" of "/-/healthz"`,
		"HEAD /news":              `"HEAD" of "/news"`,
		"DELETE /news":            `"DELETE" of "/news"`,
		"OPTIONS /news":           `"OPTIONS" of "/news"`,
		"POST /-/tickets?topic=a": `"POST" of "/-/tickets"`,
		"POST /-/logout":          `"POST" of "/-/logout"`,
	} {
		want = "400 sse: " + want + " must have no body; its parameters are in the path and the query"
		if got := ask(t, a, request, "x"); got.String() != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	checkEvents(t, broker)
}

func TestReadiness(t *testing.T) {
	closing, stop := context.WithCancel(t.Context())
	a, broker := newBroker(t, func(o *api.Options) { o.Closing = closing })
	check := func(want string) {
		t.Helper()
		if got := ask(t, a, "GET /-/readyz", "").String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	broker.Log = brokenLog{}
	check("503 sse: the event log is not available")
	broker.Log = nil
	check("200 ready")
	stop()
	check("503 sse: the hub is shutting down")
	if got := ask(t, a, "GET /-/healthz", "").String(); got != "200 ok" {
		t.Errorf("health: %s, want 200 ok", got)
	}
}

// A hub that stores events on a disk is ready if the last write has succeeded: a
// commit or a test, whichever is later.
func TestReadinessOfTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var health api.LogHealth
		a, _ := newBroker(t, func(o *api.Options) {
			o.CheckLog = func(context.Context) api.LogHealth { return health }
		})
		start := time.Now()
		write := func(seconds int, err error) api.WriteResult {
			return api.WriteResult{Time: start.Add(time.Duration(seconds) * time.Second), Err: err}
		}
		full := fmt.Errorf("sse: no space in /secret: %w", syscall.ENOSPC)
		time.Sleep(10*time.Second + 260*time.Millisecond)
		for _, test := range []struct {
			commit, test api.WriteResult
			text, json   string
		}{
			{api.WriteResult{}, write(10, nil), "200 ready; last test: succeeded 300ms ago",
				`200 {"status":200,"test":{"ok":true,"seconds":0.3}}`},
			{write(8, nil), api.WriteResult{}, "200 ready; last commit: succeeded 2.3s ago",
				`200 {"commit":{"ok":true,"seconds":2.3},"status":200}`},
			{write(8, full), write(2, nil), "503 sse: events cannot be stored; " +
				"last commit: failed (the disk is full) 2.3s ago; last test: succeeded 8.3s ago",
				`503 {"commit":{"ok":false,"seconds":2.3},"error":"events cannot be stored; ` +
					`last commit: failed (the disk is full) 2.3s ago; last test: succeeded 8.3s ago",` +
					`"status":503,"test":{"ok":true,"seconds":8.3}}`},
			{write(2, full), write(8, nil), "200 ready; " +
				"last commit: failed (the disk is full) 8.3s ago; last test: succeeded 2.3s ago",
				`200 {"commit":{"ok":false,"seconds":8.3},"status":200,"test":{"ok":true,"seconds":2.3}}`},
			{write(2, nil), write(8, api.ErrSlowDisk), "503 sse: events cannot be stored; " +
				"last commit: succeeded 8.3s ago; last test: failed (the disk is too slow) 2.3s ago", "503 …"},
			{write(8, errors.New("/secret is broken")), api.WriteResult{},
				"503 sse: events cannot be stored; last commit: failed (the hub's log has the reason) 2.3s ago", "503 …"},
		} {
			health = api.LogHealth{Commit: test.commit, Test: test.test}
			checkRows(t, a, []row{
				{"GET /-/readyz", nil, "", test.text},
				{"GET /-/readyz", []string{"Accept", "application/json"}, "", test.json},
			})
		}
	})
}

// brokenLog is an event log that cannot be read.
type brokenLog struct{ sse.EventLog }

func (brokenLog) Locate(context.Context, sse.Start, sse.Selection) (sse.Page, error) {
	return sse.Page{}, errors.New("disk /dev/x is broken")
}

// Select, which the broker calls, refuses a request that did not pass the API, because
// the request was not authorized.
func TestSelectWithoutTheAPI(t *testing.T) {
	a, _ := newBroker(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/news", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	sel, err := a.Select(r)
	var refused *sse.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != 403 || refused.Reason != "sse: the request did not pass the hub's API" ||
		sel.Topics != nil {
		t.Errorf("Select returned %+v, %v, want status 403", sel, err)
	}
}
