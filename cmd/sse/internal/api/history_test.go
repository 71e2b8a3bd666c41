package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// publishAll publishes events, each in the form TOPICS|ID|DATA, and returns the texts
// of their positions.
func publishAll(t *testing.T, broker *sse.Broker, texts ...string) []string {
	t.Helper()
	var ids []string
	for _, text := range texts {
		fields := strings.SplitN(text, "|", 3)
		at, err := broker.Publish(t.Context(), sse.Event{ID: fields[1], Data: fields[2]}, strings.Split(fields[0], ",")...)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, at.String())
	}
	return ids
}

// A page is an event stream or lines of JSON. An event on the page has only the topics
// that the request selects.
func TestForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, broker := newBroker(t)
		events := []sse.Event{{Data: "1"}, {ID: "i", Type: "t", Data: "2<\n3", Retry: 1500 * time.Millisecond}}
		ids := []string{}
		for i, topics := range [][]string{{"a", "secret"}, {"secret", "b", "a"}} {
			time.Sleep(1500 * time.Millisecond)
			at, err := broker.Publish(t.Context(), events[i], topics...)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, at.String())
		}
		cursor := "id: " + ids[1] + "\nevent: sse.cursor\ndata: \n\n"
		second := "event: t\nid: i\nretry: 1500\ndata: 2<\ndata: 3\n\n"
		firstJSON := `{"topics":["a"],"id":"` + ids[0] + `","type":"message","data":"1","time":"2000-01-01T00:00:01.500000000Z"}` + "\n"
		secondJSON := `{"topics":[%s],"id":"i","type":"t","data":"2<\n3","retry":1500,"time":"2000-01-01T00:00:03.000000000Z"}` + "\n"
		for _, test := range []struct{ path, accept, want string }{
			{"/a", "", "id: " + ids[0] + "\ndata: 1\n\n" + second + cursor},
			{"/a", "text/event-stream", "id: " + ids[0] + "\ndata: 1\n\n" + second + cursor},
			{"/b", "", second + cursor},
			{"/x", "", cursor},
			{"/a", "application/json", firstJSON + fmt.Sprintf(secondJSON, `"a"`)},
			{"/a,b", "application/json", firstJSON + fmt.Sprintf(secondJSON, `"b","a"`)},
			{"/b", "application/json", fmt.Sprintf(secondJSON, `"b"`)},
			{"/*", "application/json", strings.Replace(firstJSON, `["a"]`, `["a","secret"]`, 1) + fmt.Sprintf(secondJSON, `"secret","b","a"`)},
			{"/x", "application/json", ""},
		} {
			got := ask(t, a, "GET "+test.path+"?follow=0", "", "Accept", test.accept)
			if normal := sortFields(got.text); normal != sortFields(test.want) || got.status != 200 {
				t.Errorf("%s %s: %d\ngot  %q\nwant %q", test.path, test.accept, got.status, normal, sortFields(test.want))
			}
			form := "text/event-stream"
			if strings.Contains(test.accept, "json") {
				form = "application/x-ndjson"
			}
			link := fmt.Sprintf(`<?follow=0&lastEventId=%s>; rel="next"`, url.QueryEscape(ids[1]))
			for name, want := range map[string]string{
				"Content-Type": form, "Content-Length": fmt.Sprint(len(got.text)), "Link": link,
			} {
				if got := got.header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", test.path, test.accept, name, got, want)
				}
			}
			head := ask(t, a, "HEAD "+test.path+"?follow=0", "", "Accept", test.accept)
			if head.text != "" || !slices.Equal(head.header["Content-Length"], got.header["Content-Length"]) {
				t.Errorf("HEAD %s: %q with %v", test.path, head.text, head.header)
			}
		}
		// With several topics or a pattern, each event has the field topic.
		for path, topics := range map[string][]string{"/a": {}, "/a,b": {"a", "b"}, "/a,x": {"a", "a"}, "/b,x": {"b"}, "/*": {"a", "secret"}} {
			got := []string{}
			for line := range strings.Lines(ask(t, a, "GET "+path+"?follow=0", "").text) {
				if topic, ok := strings.CutPrefix(strings.TrimSpace(line), "topic: "); ok {
					got = append(got, topic)
				}
			}
			if !slices.Equal(got, topics) {
				t.Errorf("%s: the topics are %q, want %q", path, got, topics)
			}
		}
	})
}

// A person who opens a page of stored events in a browser receives the same text as
// other clients. Its Content-Type is text/plain, so that the browser displays it.
func TestPageInABrowser(t *testing.T) {
	a, broker := newBroker(t)
	publishAll(t, broker, "a||<b>1</b>")
	want := ask(t, a, "GET /a?follow=0", "")
	for _, header := range [][]string{
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none"},
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Mode", "navigate"},
		{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	} {
		for _, target := range []string{"/a?follow=0", "/-/events?topic=a&follow=0"} {
			got := ask(t, a, "GET "+target, "", header...)
			if got.status != 200 || got.text != want.text || got.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
				got.header.Get("X-Content-Type-Options") != "nosniff" || got.header["Link"] == nil {
				t.Errorf("%s with %q: %s %v, want the text %q as a plain page", target, header, got, got.header, want.text)
			}
			if head := ask(t, a, "HEAD "+target, "", header...); !reflect.DeepEqual(head.header, got.header) {
				t.Errorf("HEAD %s with %q: %v, want %v", target, header, head.header, got.header)
			}
		}
	}
	got := ask(t, a, "GET /a?follow=0", "", "Sec-Fetch-Mode", "navigate", "Accept", "text/html, application/json")
	if !strings.HasPrefix(got.text, `{"topics":["a"]`) || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("with JSON: %s %v, want lines of JSON as a plain page", got, got.header)
	}
	// A script of another origin and a frame are refused.
	for status, header := range map[int][]string{
		403: {"Accept", "text/html", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"},
		406: {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "cross-site"},
	} {
		if got := ask(t, a, "GET /a?follow=0", "", header...); got.status != status {
			t.Errorf("%q: %s, want %d", header, got, status)
		}
	}
}

// sortFields sorts the lines of each event in an event stream, because their order
// has no meaning. It does not change lines of JSON.
func sortFields(text string) string {
	events := strings.Split(text, "\n\n")
	for i, event := range events {
		lines := strings.Split(event, "\n")
		if !strings.HasPrefix(event, "{") {
			slices.Sort(lines)
		}
		events[i] = strings.Join(lines, "\n")
	}
	return strings.Join(events, "\n\n")
}

// dataOf returns the data of the events on a page, separated by spaces. A gap becomes
// DATA@INDEX: its data, in which each position is replaced by its index in ids, and
// the index of its ID.
func dataOf(t *testing.T, page string, ids []string) string {
	t.Helper()
	var data []string
	for event, err := range sse.NewDecoder(strings.NewReader(page), nil).Events() {
		if err != nil {
			t.Fatal(err)
		}
		switch event.Type {
		case "sse.cursor":
		case "sse.gap":
			text := event.Data
			for i, id := range ids {
				text = strings.ReplaceAll(text, id, fmt.Sprint(i))
			}
			data = append(data, fmt.Sprintf("%s@%d", text, slices.Index(ids, event.ID)))
		default:
			data = append(data, event.Data)
		}
	}
	return strings.Join(data, " ")
}

// A page begins after the ID in the header Last-Event-ID, if there is one, or after
// the parameter lastEventId, or else at the parameter since.
func TestStartOfAPage(t *testing.T) {
	a, broker := newBroker(t)
	begin := positionOf(t, broker)
	ids := append(publishAll(t, broker, "a||1", "a|x|2", "b||3", "a||4", "a||5"), begin)
	id := func(i int) string { return url.QueryEscape(ids[i]) }
	for _, test := range []struct{ query, header, want string }{
		{"", "", "1 2 4 5"},
		{"&since=earliest", "", "1 2 4 5"},
		{"&since=latest", "", ""},
		{"&since=-1", "", "5"},
		{"&since=-2", "", "4 5"},
		{"&since=1h", "", "1 2 4 5"},
		{"&lastEventId=" + id(0), "", "2 4 5"},
		{"&lastEventId=" + id(2), "", "4 5"},
		{"&lastEventId=" + id(4), "", ""},
		{"&lastEventId=x", "", "4 5"},
		{"&lastEventId=" + id(3) + "&since=earliest", "", "5"},
		{"&lastEventId=&since=-1", "", "5"},
		{"", ids[3], "5"},
		{"", "x", "4 5"},
		{"&lastEventId=" + id(0), ids[3], "5"},
		{"&since=earliest", ids[3], "5"},
		{"&since=-1", "x", "4 5"},
		{"&limit=1", "", "1"},
		{"&limit=2", "", "1 2"},
		{"&limit=3", "", "1 2 4"},
		{"&limit=4", "", "1 2 4 5"},
		{"&limit=2&since=-3", "", "2 4"},
		{"&lastEventId=unknown", "", `{"asked":"unknown","available":"5","why":"unknown"}@5 1 2 4 5`},
	} {
		var header []string
		if test.header != "" {
			header = []string{"Last-Event-ID", test.header}
		}
		got := ask(t, a, "GET /a?follow=0"+test.query, "", header...)
		if data := dataOf(t, got.text, ids); data != test.want {
			t.Errorf("%s %q: %q, want %q (%s)", test.query, test.header, data, test.want, got)
		}
	}
}

// The header Link contains the URL of the next page, with the parameters of the
// request. A client that follows these links receives each event once, and at last
// a page without events.
func TestLinks(t *testing.T) {
	a, broker := newBroker(t, withKeys("k "+secret+" publish ** subscribe **"))
	publishAll(t, broker, "a||1", "b/x||2", "c||3", "a||4", "b/y||5", "c||6")
	ticket := strings.TrimSpace(ask(t, a, "POST /-/tickets?topic=a", "", bearer...).text)
	for _, test := range []struct {
		target string
		header []string
		want   string
		next   string // without lastEventId
	}{
		{"/a,b/*?follow=0&limit=3", bearer, "1 2 4,5,", "/a,b/*?follow=0&limit=3"},
		{"/a,b/*?follow=0&limit=2", bearer, "1 2,4 5,", "/a,b/*?follow=0&limit=2"},
		{"/a?follow=0&limit=1", bearer, "1,4,", "/a?follow=0&limit=1"},
		{"/a?follow=0&since=-1&limit=1", bearer, "4,", "/a?follow=0&limit=1"},
		{"/a?follow=0", bearer, "1 4,", "/a?follow=0"},
		{"/-/events?topic=c&pattern=b/*&topic=a&follow=0&limit=4", bearer, "1 2 3 4,5 6,",
			"/-/events?follow=0&limit=4&pattern=b/*&topic=c&topic=a"},
		{"/b/x,b/y?follow=0&limit=1", bearer, "2,5,", "/b/x,b/y?follow=0&limit=1"},
		{"/a?follow=0&ticket=" + ticket, nil, "1 4", "/a?follow=0"},
	} {
		pages := []string{}
		target := test.target
		base, err := url.Parse("http://example.com/a/prefix" + target)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			got := ask(t, a, "GET "+target, "", test.header...)
			pages = append(pages, dataOf(t, got.text, nil))
			next, ok := strings.CutPrefix(got.header.Get("Link"), "<")
			next, end := strings.CutSuffix(next, `>; rel="next"`)
			at, err := url.Parse(next)
			if !ok || !end || err != nil {
				t.Fatalf("%s: %s, Link is %q", target, got, got.header.Get("Link"))
			}
			query := at.Query()
			query.Del("lastEventId")
			want, err := url.Parse(test.next)
			if err != nil || query.Encode() != want.Query().Encode() {
				t.Errorf("%s: Link is %q, want %q and lastEventId", test.target, next, test.next)
			}
			// The client may use the hub through a proxy that adds a prefix to paths.
			base = base.ResolveReference(at)
			var below bool
			if target, below = strings.CutPrefix(base.String(), "http://example.com/a/prefix"); !below || base.Path != "/a/prefix"+want.Path {
				t.Fatalf("%s: Link leads to %s, want the path %s", test.target, base, want.Path)
			}
			if pages[len(pages)-1] == "" || test.header == nil {
				break
			}
		}
		if got := strings.Join(pages, ","); got != test.want {
			t.Errorf("%s: the pages are %q, want %q", test.target, got, test.want)
		}
	}
}

// An event of the type sse.gap is at the place where events are missing: after the
// events before the loss, and before the events after it. In want, GAP is this event.
// Events with an even number have the topic b, and the others the topic a.
func TestGapsOnAPage(t *testing.T) {
	for _, test := range []struct {
		forget  int // events of the topic a up to this index are removed; -1: none
		query   string
		want    string
		asked   int // index of the position after which the client asks to read
		through int // index of the last event that was removed
	}{
		{-1, "", "1 2 3 4 5 6", 0, 0},
		{1, "", "GAP 2 3 4 5 6", 0, 1},
		{3, "", "2 GAP 4 5 6", 0, 3},
		{4, "", "2 GAP 4 5 6", 0, 3}, // event 4 has the topic b
		{5, "", "2 4 GAP 6", 0, 5},
		{5, "&limit=1", "2", 0, 5},
		{5, "&limit=2", "2 4", 0, 5},
		{5, "&limit=3", "2 4 GAP 6", 0, 5},
		{3, "&limit=2", "2 GAP 4", 0, 3},
		{7, "", "2 4 6 GAP 8", 0, 7},
		{9, "", "2 4 6 8 GAP", 0, 9},
		{9, "&limit=4", "2 4 6 8 GAP", 0, 9},
		{9, "&limit=3", "2 4 6", 0, 9},
	} {
		texts := []string{"z||0"}
		for i := 1; i <= max(6, test.forget); i++ {
			texts = append(texts, fmt.Sprintf("%s||%d", []string{"b", "a"}[i%2], i))
		}
		a, broker := newBroker(t)
		ids := publishAll(t, broker, texts...)
		if test.forget >= 0 {
			at, err := sse.ParsePosition(ids[test.forget])
			if err != nil {
				t.Fatal(err)
			}
			if err := broker.Forget(t.Context(), "a", at); err != nil {
				t.Fatal(err)
			}
		}
		want := strings.Replace(test.want, "GAP", fmt.Sprintf(`{"asked":"%d","available":"%d","why":"trimmed"}@%[2]d`,
			test.asked, test.through), 1)
		if test.forget == 7 {
			publishAll(t, broker, "b||8")
			ids = append(ids, positionOf(t, broker))
		}
		got := ask(t, a, "GET /a,b?follow=0&lastEventId="+url.QueryEscape(ids[0])+test.query, "")
		if data := dataOf(t, got.text, ids); data != want {
			t.Errorf("events of a up to %d are removed, %s:\ngot  %s\nwant %s", test.forget, test.query, data, want)
		}
		got = ask(t, a, "GET /a,b?follow=0&lastEventId="+url.QueryEscape(ids[0])+test.query, "", "Accept", "application/json")
		id := fmt.Sprintf(`"id":%q,"type":"sse.gap","data":"{\"asked\":`, ids[test.through])
		if n := strings.Count(got.text, id); n != strings.Count(test.want, "GAP") {
			t.Errorf("events of a up to %d are removed, %s, as JSON: %s", test.forget, test.query, got)
		}
	}
}

// A gap on a page contains what the request asked for: an ID, or the text of since.
func TestAskedOfAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, broker := newBroker(t)
		ids := publishAll(t, broker, "b|x|0", "a||1", "b||2")
		lost, err := sse.ParsePosition(ids[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := broker.Forget(t.Context(), "a", lost); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]string{
			"lastEventId=x":                          `{"asked":"x",`,
			"lastEventId=unknown":                    `{"asked":"unknown",`,
			"lastEventId=" + url.QueryEscape(ids[0]): `{"asked":"` + ids[0] + `",`,
			"since=1h":                               `{"asked":"1h",`,
			"since=1999-12-31T23:00:00Z":             `{"asked":"1999-12-31T23:00:00Z",`,
			"since=1h&lastEventId=x":                 `{"asked":"x",`,
			"since=2000-01-01T01:00:00%2B01:00":      `{"asked":"2000-01-01T01:00:00+01:00",`,
		} {
			for _, accept := range []string{"text/event-stream", "application/json"} {
				got := ask(t, a, "GET /a,b?follow=0&"+query, "", "Accept", accept)
				text := strings.ReplaceAll(got.text, `\"`, `"`)
				if !strings.Contains(text, want) {
					t.Errorf("%s as %s: %s, want a gap with %s", query, accept, got, want)
				}
			}
		}
	})
}

// The deadline for a chunk of a page does not apply to the next response on the same
// connection.
func TestPageWithoutDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t)
		publishAll(t, c.broker, "news||1")
		c.send("GET /news?follow=0 HTTP/1.1", "")
		response, err := http.ReadResponse(c.in, nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response, err)
		}
		if _, err := c.in.Discard(int(response.ContentLength)); err != nil {
			t.Fatal(err)
		}
		// The response to the next request is written an hour later.
		c.send("PUT /news HTTP/1.1\nTransfer-Encoding: chunked", "2\r\na\n\r\n")
		time.Sleep(time.Hour)
		if _, err := c.Write([]byte("0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		c.checkAnswer(time.Hour, http.StatusOK, "kept 1")
	})
}

// A page is complete even if its last chunk has only one byte. The second page has
// this size.
func TestLastByteOfAPage(t *testing.T) {
	size := 60_000
	for range 2 {
		a, broker := newBroker(t)
		publishAll(t, broker, "a||"+strings.Repeat("x", size))
		got := ask(t, a, "GET /a?follow=0", "")
		if got.header.Get("Content-Length") != fmt.Sprint(len(got.text)) || !strings.HasSuffix(got.text, "\n\n") {
			t.Errorf("the page has %d bytes, and Content-Length is %v", len(got.text), got.header)
		}
		size += 64<<10 + 1 - len(got.text)
	}
}
