package api_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// closed makes a hub shut down. Its streams then end at once.
func closed(o *api.Options) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	o.Closing = ctx
}

// A request receives a stream unless a browser sends it for a page, an image or a
// prefetch, or unless its header Accept excludes event streams.
func TestRequestsForAStream(t *testing.T) {
	a, _ := newBroker(t, closed)
	const (
		page     = `406 sse: "/news" is a stream of events, not a page; to read it, use curl -N, sse listen or new EventSource(…); for a page of stored events, add follow=0 to the query`
		part     = "406 sse: events must not be a part of a page, such as an image, a script or a frame"
		prefetch = "503 sse: a stream must not be prefetched"
		accept   = "406 sse: Accept must include text/event-stream for a stream; for stored events as lines of JSON, add follow=0"
	)
	for _, test := range []struct {
		want   string
		header []string
	}{
		{"200", nil},
		{"200", []string{"Accept", ""}},
		{"200", []string{"Accept", "*/*"}},
		{"200", []string{"Accept", "text/*"}},
		{"200", []string{"Accept", "text/event-stream"}},
		{"200", []string{"Accept", "Text/Event-Stream; q=0.5"}},
		{"200", []string{"Accept", "application/json, text/event-stream;q=0.1"}},
		{"200", []string{"Accept", "application/json,*/*"}},
		{"200", []string{"Accept", "text/event-stream", "Accept", ""}},
		{"200", []string{"Accept", "text/event-stream;q=0.01, text/plain"}},
		{accept, []string{"Accept", "text/event-stream;q=0"}},
		{accept, []string{"Accept", "text/plain, */*; level=1; q=0.000"}},
		{accept, []string{"Accept", "application/xml"}},
		{accept, []string{"Accept", "text/plain"}},
		{accept, []string{"Accept", "text/event-streams"}},
		{accept, []string{"Accept", "application/*"}},
		{accept, []string{"Accept", "text/plain", "Accept", "application/xml"}},
		{"200", []string{"Accept", "text/event-stream", "Accept", "application/xml"}},
		{"200", []string{"Accept", "application/xml", "Accept", "text/event-stream"}},
		{"200", []string{"Accept", "application/xml, text/plain", "Accept", "a/b, */*;q=0.1"}},
		{"200", []string{"Accept", " , "}},
		{page, []string{"Accept", "", "Accept", " text/html"}},
		{page, []string{"Accept", ", Text/HTML;q=0.9", "Accept", "*/*"}},
		{"200", []string{"Accept", "*/*", "Accept", "text/html"}},
		{page, []string{"Accept", "text/html"}},
		{page, []string{"Accept", "text/html,*/*"}},
		{"200", []string{"Accept", "*/*,text/html"}},
		{page, []string{"Sec-Fetch-Mode", "navigate"}},
		{"200", []string{"Sec-Fetch-Mode", "cors"}},
		{page, []string{"Sec-Fetch-Dest", "document"}},
		{part, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}},
		{part, []string{"Sec-Fetch-Dest", "image"}},
		{part, []string{"Sec-Fetch-Dest", "script"}},
		{"200", []string{"Sec-Fetch-Dest", "empty"}},
		{"200", []string{"Sec-Fetch-Dest", ""}},
		{prefetch, []string{"Sec-Purpose", "prefetch"}},
		{prefetch, []string{"Sec-Purpose", "prefetch;prerender"}},
		{prefetch, []string{"Purpose", "prefetch"}},
		{prefetch, []string{"X-Moz", "prefetch"}},
		{"200", []string{"Purpose", "other"}},
		{prefetch, []string{"Sec-Purpose", "prefetch", "Sec-Fetch-Mode", "navigate"}},
	} {
		got := ask(t, a, "GET /news", "", test.header...)
		if test.want != "200" && got.String() != test.want || test.want == "200" && got.status != 200 {
			t.Errorf("%q: %s, want %s", test.header, got, test.want)
		}
		if test.want == "200" && got.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%q: %v, want an event stream", test.header, got.header)
		}
	}
	checkRows(t, a, []row{
		{"HEAD /news", []string{"Accept", "application/xml"}, "", accept},
		{"HEAD /news", []string{"Sec-Purpose", "prefetch"}, "", prefetch},
		{"GET /news?follow=1", []string{"Sec-Fetch-Mode", "navigate"}, "", page},
		{"GET /news?follow=0", []string{"Sec-Fetch-Dest", "image"}, "", part},
	})
}

// A client that lost its connection may ask for the rest of the bytes, as for a
// download. It is refused, because it might skip as many bytes of the new stream as it
// has received of the old one. Every other Range is ignored.
func TestRangeOfAStream(t *testing.T) {
	a, _ := newBroker(t, closed)
	refusal := func(first string) string {
		return "416 sse: a stream cannot be continued at byte " + first + ", because each stream begins anew; " +
			"to continue after an event, send its ID in the header Last-Event-ID"
	}
	for _, test := range []struct {
		header []string
		want   string
	}{
		{[]string{"Range", "bytes=1-"}, refusal("1")},
		{[]string{"Range", "bytes=313-"}, refusal("313")},
		{[]string{"Range", "Bytes=0010-"}, refusal("10")},
		{[]string{"Range", "bytes=99999999999999999999999999-"}, refusal("99999999999999999999")},
		{[]string{"Range", "bytes=0-"}, "200 retry: …"},
		{[]string{"Range", "bytes=000-"}, "200 retry: …"},
		{[]string{"Range", ""}, "200 retry: …"},
		{[]string{"Range", "bytes"}, "200 retry: …"},
		{[]string{"Range", "bytes="}, "200 retry: …"},
		{[]string{"Range", "bytes=-"}, "200 retry: …"},
		{[]string{"Range", "bytes=-5"}, "200 retry: …"},
		{[]string{"Range", "bytes=5-9"}, "200 retry: …"},
		{[]string{"Range", "bytes=5-,9-"}, "200 retry: …"},
		{[]string{"Range", "bytes=5--"}, "200 retry: …"},
		{[]string{"Range", "bytes=+5-"}, "200 retry: …"},
		{[]string{"Range", "bytes=5x-"}, "200 retry: …"},
		{[]string{"Range", "bytes=\u0665-"}, "200 retry: …"},
		{[]string{"Range", "events=5-"}, "200 retry: …"},
		{[]string{"Range", "bytes=5-", "Range", "bytes=5-"}, "200 retry: …"},
		// A stream has no ETag, so If-Range does not match, and Range is ignored.
		{[]string{"Range", "bytes=5-", "If-Range", `"a"`}, "200 retry: …"},
	} {
		got := ask(t, a, "GET /news", "", test.header...)
		if !isText(got.String(), test.want) || got.header["Content-Range"] != nil {
			t.Errorf("%q: %s, want %s", test.header, got, test.want)
		}
	}
	checkRows(t, a, []row{
		{"GET /-/events?topic=a", []string{"Range", "bytes=5-"}, "", refusal("5")},
		// RFC 9110 14.2: Range has a meaning only for GET.
		{"HEAD /news", []string{"Range", "bytes=5-"}, "", "200 "},
		{"POST /news", []string{"Range", "bytes=5-"}, "x", "200 …"},
		{"GET /news?follow=0", []string{"Range", "bytes=5-"}, "", "200 …"},
	})
}

// The response to HEAD has the same headers as the response to GET, for a stream and
// for a page.
func TestHeadEqualsGet(t *testing.T) {
	for _, target := range []string{"/news", "/news?follow=0"} {
		open, _ := newBroker(t)
		head := ask(t, open, "HEAD "+target, "")
		if !strings.Contains(target, "follow") {
			open, _ = newBroker(t, closed) // a stream that ends at once
		}
		get := ask(t, open, "GET "+target, "")
		for _, header := range []http.Header{head.header, get.header} {
			header.Del("Date")
			header.Del("Link") // it contains a position, which is different in each broker
		}
		if head.status != get.status || !maps.EqualFunc(head.header, get.header, slices.Equal) {
			t.Errorf("%s: HEAD has %d %v, GET has %d %v", target,
				head.status, head.header, get.status, get.header)
		}
	}
}

// While the hub shuts down, a subscriber receives a stream that sets a random retry
// time, contains a cursor, and ends.
func TestRetryWhileClosing(t *testing.T) {
	a, broker := newBroker(t, closed)
	at, err := broker.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cursor := "id: " + at.String() + "\nevent: sse.cursor\ndata: \n\n"
	shortest, longest := 1<<30, 0
	for range 300 {
		got := ask(t, a, "GET /news", "")
		var ms int
		if _, err := fmt.Sscanf(got.text, "retry: %d\n\n", &ms); err != nil || got.text != fmt.Sprintf("retry: %d\n\n%s", ms, cursor) {
			t.Fatalf("%q, want a retry time and the cursor", got.text)
		}
		shortest, longest = min(shortest, ms), max(longest, ms)
	}
	if shortest < 500 || shortest > 1000 || longest > 2500 || longest < 2000 {
		t.Errorf("the times are from %d to %d ms, want from 500 to 2500", shortest, longest)
	}
}

// A stream of a hub that shuts down contains the ID with which the client should
// reconnect: the ID that the client has sent, or the current position if the client
// asks for new events.
func TestCursorWhileClosing(t *testing.T) {
	const event = "id: ID\nevent: sse.cursor\ndata: \n\n"
	for _, test := range []struct {
		query  string
		header []string
		want   string // with ID for the ID in the cursor
		id     string // the ID in the cursor; if empty, the current position
	}{
		{"", nil, event, ""},
		{"?since=latest", nil, event, ""},
		{"", []string{"Last-Event-ID", "own"}, event, "own"},
		{"", []string{"Last-Event-ID", "~4.StV-GO7aIR0aB3dE"}, event, "~4.StV-GO7aIR0aB3dE"},
		{"?lastEventId=%C3%A9+1&since=earliest", nil, event, "é 1"},
		{"?lastEventId=other", []string{"Last-Event-ID", "own"}, event, "own"},
		// The current position would skip the stored events that the client asks for.
		{"?since=earliest", nil, "", ""},
		{"?since=-1", nil, "", ""},
		{"?since=10m", nil, "", ""},
		// No event can have such an ID, so the stream cannot contain it.
		{"?lastEventId=a%0Ab", nil, "", ""},
		{"?lastEventId=" + strings.Repeat("x", 1025), nil, "", ""},
		{"?cursor=block", nil, event, ""},
		{"?cursor=comment", []string{"Last-Event-ID", "own"}, ": cursor ID\n", "own"},
		{"?cursor=comment&since=earliest", nil, "", ""},
		{"?cursor=off", []string{"Last-Event-ID", "own"}, "", ""},
	} {
		a, broker := newBroker(t, closed)
		publishAll(t, broker, "news|own|1", "other||2")
		at, err := broker.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(test.want, "ID", cmp.Or(test.id, at.String()))
		got := ask(t, a, "GET /news"+test.query, "", test.header...)
		if _, rest, _ := strings.Cut(got.text, "\n\n"); sortFields(rest) != sortFields(want) {
			t.Errorf("%.40s %q: %q, want %q", test.query, test.header, rest, want)
		}
	}
}

// After the stream of a hub that shuts down has ended, nothing is written to the
// response, for example no heartbeat.
func TestNothingAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newBroker(t, closed)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "http://localhost/news", nil))
		time.Sleep(time.Hour)
		if n := strings.Count(w.Body.String(), "\n"); n != 6 {
			t.Errorf("the response is %q, want only a retry time and the cursor", w.Body)
		}
	})
}

// A request for a stream fails with status 500 if the ResponseWriter cannot flush.
func TestResponseWithoutFlush(t *testing.T) {
	for _, set := range []func(*api.Options){closed, func(*api.Options) {}} {
		a, _ := newBroker(t, set)
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/news", nil)
		a.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		if w.Code != http.StatusInternalServerError {
			t.Errorf("status %d, want 500", w.Code)
		}
	}
}

// A stream contains only the selected events. An event has the field topic if the
// client subscribes to several topics or to a pattern. The broker knows the name of
// the client's key.
func TestSelection(t *testing.T) {
	for path, topics := range map[string]string{
		"/a": "", "/-/events?topic=a": "", "/a,b": "a", "/*": "a", "/-/events?topic=a&topic=b": "a", "/-/events?pattern=a": "a",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, withKey)
			c.send("GET "+path+" HTTP/1.1\nAuthorization: Bearer "+secret, "")
			synctest.Wait()
			subscribers := c.broker.Subscribers()
			if len(subscribers) != 1 || subscribers[0].Key != "k" {
				t.Fatalf("%s: the subscribers are %+v, want one with the key k", path, subscribers)
			}
			publishAll(t, c.broker, "x/y||other", "a||1")
			topic := ""
			for {
				line, err := c.in.ReadString('\n')
				if err != nil || line == "data: other\n" {
					t.Fatalf("%s: %q, %v", path, line, err)
				}
				if text, ok := strings.CutPrefix(line, "topic: "); ok {
					topic = strings.TrimSpace(text)
				}
				if line == "\n" || line != "data: 1\n" && !strings.HasPrefix(line, "data: 1") {
					continue
				}
				break
			}
			if rest, err := c.in.ReadString('\n'); err == nil && topic == "" {
				if text, ok := strings.CutPrefix(rest, "topic: "); ok {
					topic = strings.TrimSpace(text)
				}
			}
			if topic != topics {
				t.Errorf("%s: the topic is %q, want %q", path, topic, topics)
			}
		})
	}
}

// The stream of a client with a cookie ends when the cookie expires.
func TestStreamEndsWithItsCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var options api.Options
		withKey(&options)
		cookie, err := options.Authority.Login(secret)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*24*time.Hour - time.Minute)
		c := dial(t, func(o *api.Options) { o.Authority = options.Authority })
		c.send("GET /news HTTP/1.1\nConnection: close\nCookie: "+cookie.Name+"="+cookie.Value, "")
		if _, err := io.Copy(io.Discard, c.in); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(c.began); got != time.Minute {
			t.Errorf("the stream ended after %v, want 1m0s", got)
		}
	})
}

// The parameter cursor selects the form of the cursor, in a stream and on a page.
func TestCursorParameter(t *testing.T) {
	for query, want := range map[string]string{
		"":               "id: ID\nevent: sse.cursor\ndata: \n\n",
		"cursor=block":   "id: ID\nevent: sse.cursor\ndata: \n\n",
		"cursor=comment": ": cursor ID\n",
		"cursor=off":     "",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t)
			first := publishAll(t, c.broker, "news||1")
			want := strings.ReplaceAll(want, "ID", first[0])
			page := ask(t, c.api, "GET /news?follow=0&"+query, "")
			if rest := strings.TrimPrefix(page.text, "id: "+first[0]+"\ndata: 1\n\n"); sortFields(rest) != sortFields(want) {
				t.Errorf("%q: the page ends with %q, want %q", query, rest, want)
			}
			c.send("GET /news?"+query+" HTTP/1.1", "")
			response, err := http.ReadResponse(c.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			last := publishAll(t, c.broker, "news||2")
			if want == "" {
				want = ":\n" // the stream begins with a comment
			}
			want += "id: " + last[0] + "\ndata: 2\n\n"
			text := make([]byte, len(want))
			if _, err := io.ReadFull(response.Body, text); err != nil || string(text) != want {
				t.Errorf("%q: the stream begins with %q, %v, want %q", query, text, err, want)
			}
		})
	}
	a, _ := newBroker(t)
	checkRows(t, a, []row{
		{"GET /news?cursor=on", nil, "", "400 sse: cursor must be block, comment or off"},
		{"HEAD /news?cursor=event", nil, "", "400 sse: cursor must be block, comment or off"},
		{"GET /news?follow=0&cursor=on", nil, "", "400 sse: cursor must be block, comment or off"},
		{"HEAD /news?cursor=off", nil, "", "200 "},
	})
	if got := ask(t, a, "GET /news?follow=0&cursor=off", "").header.Get("Link"); !strings.Contains(got, "cursor=off") {
		t.Errorf("Link is %q, want cursor=off", got)
	}
}

// A stream begins at the place for which the client asks. Without such a place, it
// begins with new events.
func TestStartOfAStream(t *testing.T) {
	for query, want := range map[string]string{
		"":                "new",
		"?since=earliest": "1 2 new",
		"?since=-1":       "2 new",
		"?follow=1":       "new",
		"?lastEventId=x":  "2 new",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t)
			publishAll(t, c.broker, "news|x|1", "news||2")
			c.send("GET /news"+query+" HTTP/1.1", "")
			synctest.Wait()
			publishAll(t, c.broker, "news||new")
			var data []string
			for len(data) == 0 || data[len(data)-1] != "new" {
				line, err := c.in.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if text, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: "); ok && text != "" {
					data = append(data, text)
				}
			}
			if got := strings.Join(data, " "); got != want {
				t.Errorf("%q: %q, want %q", query, got, want)
			}
		})
	}
}
