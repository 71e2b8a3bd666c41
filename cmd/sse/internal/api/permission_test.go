package api_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// The key must grant each topic and each pattern of a request, in the path, in the
// query or in the body. The error names the first item that the key does not grant.
func TestEachItemIsAuthorized(t *testing.T) {
	a, broker := newBroker(t, withKeys("k "+secret+" publish a b subscribe c d e/* f/** delete g h"))
	publish := func(name string) string { return fmt.Sprintf("403 sse: key k may not publish to %q", name) }
	subscribe := func(name string) string { return fmt.Sprintf("403 sse: key k may not subscribe to %q", name) }
	remove := func(name string) string {
		return fmt.Sprintf("403 sse: key k may not delete the stored events of %q", name)
	}
	rows := []row{
		{"POST /x", nil, "1", publish("x")},
		{"POST /a,x", nil, "1", publish("x")},
		{"POST /a,b,x", nil, "1", publish("x")},
		{"POST /x,a", nil, "1", publish("x")},
		{"POST /c", nil, "1", publish("c")},
		{"POST /-/publish?topic=a&topic=x", nil, "1", publish("x")},
		{"PUT /a,x", nil, "1", publish("x")},
		{"PUT /-/publish?topic=a&topic=x", nil, "1", publish("x")},
		{"POST /-/batch?topic=a&topic=x", nil, "1", publish("x")},
		{"PUT /-/batch?topic=a&topic=x", nil, "1", publish("x")},
		{"POST /-/batch?topic=a", nil, `{"topics":["b","x"],"data":"1"}`, "403 sse: line 1: " + publish("x")[9:]},
		{"POST /-/batch", nil, "{\"topics\":[\"a\"],\"data\":\"1\"}\n{\"topics\":[\"x\"],\"data\":\"1\"}", "403 sse: line 2: " + publish("x")[9:]},
		{"GET /x?follow=0", nil, "", subscribe("x")},
		{"GET /a?follow=0", nil, "", subscribe("a")},
		{"GET /c,x?follow=0", nil, "", subscribe("x")},
		{"GET /c,d,x?follow=0", nil, "", subscribe("x")},
		{"GET /c,d?follow=0", nil, "", "200 …"},
		{"GET /c,e/*,x?follow=0", nil, "", subscribe("x")},
		{"GET /e/*?follow=0", nil, "", "200 …"},
		{"GET /e/1,e/*?follow=0", nil, "", "200 …"},
		{"GET /e/**?follow=0", nil, "", subscribe("e/**")},
		{"GET /e/*/x?follow=0", nil, "", subscribe("e/*/x")},
		{"GET /*?follow=0", nil, "", subscribe("*")},
		{"GET /**?follow=0", nil, "", subscribe("**")},
		{"GET /f/*/**?follow=0", nil, "", "200 …"},
		{"GET /f/**,e/*,**?follow=0", nil, "", subscribe("**")},
		{"GET /f?follow=0", nil, "", subscribe("f")},
		{"GET /-/events?follow=0&topic=c&topic=x", nil, "", subscribe("x")},
		{"GET /-/events?follow=0&topic=c&pattern=e/*&pattern=x", nil, "", subscribe("x")},
		{"HEAD /-/events?topic=c&topic=x", nil, "", "403 …"},
		{"GET /c,x", nil, "", subscribe("x")},
		{"DELETE /x", nil, "", remove("x")},
		{"DELETE /g,x", nil, "", remove("x")},
		{"DELETE /g,h", nil, "", "204 "},
		{"DELETE /-/events?topic=g&topic=x", nil, "", remove("x")},
		{"POST /-/tickets?topic=c&topic=x", nil, "", subscribe("x")},
		{"POST /-/tickets?topic=c&pattern=e/*&pattern=**", nil, "", subscribe("**")},
	}
	for i := range rows {
		rows[i].header = bearer
	}
	checkRows(t, a, rows)
	checkEvents(t, broker)
	// Without a key, each request is refused with 401. No other error comes first.
	for _, row := range rows {
		got := ask(t, a, row.request, row.body)
		if got.status != 401 || got.header.Get("WWW-Authenticate") != `Bearer realm="sse"` {
			t.Errorf("%s without a key: %s %v, want 401 with WWW-Authenticate", row.request, got, got.header)
		}
	}
	if got := ask(t, a, "POST /x", "1", bearer...); got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("status 403 has WWW-Authenticate")
	}
}

// If the hub has keys, the commands in its responses send a key. They contain a
// variable of the shell, and never a secret.
func TestExamplesWithKeys(t *testing.T) {
	a, _ := newBroker(t, withKeys("k "+secret+" subscribe **"))
	checkRows(t, a, []row{
		{"GET /", nil, "", "200 This is a hub for Server-Sent Events. Its topics are paths:\n\n" +
			"  curl -N -H \"Authorization: Bearer $SECRET\" http://localhost/news\n" +
			"  curl -d hello -H \"Authorization: Bearer $SECRET\" http://localhost/news\n\n" +
			"For health checks, use http://localhost/-/healthz: other paths, such as /health, are topics."},
		{"GET /news", []string{"Sec-Fetch-Mode", "navigate"}, "", `406 sse: "/news" is a stream of events, not a page; ` +
			`to read it, use curl -N or sse listen with -H "Authorization: Bearer $SECRET", ` +
			`or new EventSource(…) with a ticket; for a page of stored events, add follow=0 to the query`},
	})
}

// A DELETE removes the events of each of its topics, in order. It stops at the first
// error of the log. An invalid request removes nothing.
func TestDelete(t *testing.T) {
	var deleted []string
	a, _ := newBroker(t, func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, delete: func(topic string) error {
			deleted = append(deleted, topic)
			if topic == "bad" {
				return errors.New("broken")
			}
			return nil
		}}
	})
	for _, test := range []struct {
		request string
		want    int
		deleted []string
	}{
		{"DELETE /a", 204, []string{"a"}},
		{"DELETE /a,b,c", 204, []string{"a", "b", "c"}},
		{"DELETE /-/events?topic=a&topic=*", 204, []string{"a", "*"}},
		{"DELETE /a,bad,c", 500, []string{"a", "bad"}},
		{"DELETE /a,b/*", 400, nil},
		{"DELETE /-/events?topic=a&pattern=b", 400, nil},
		{"DELETE /-/events?topic=a&topic=", 400, nil},
		{"DELETE /-/events?pattern=b*", 400, nil},
		{"DELETE /a?x=1", 400, nil},
		{"DELETE /-/events?x=1&topic=a", 400, nil},
		{"DELETE /-/events", 400, nil},
	} {
		deleted = nil
		got := ask(t, a, test.request, "")
		if got.status != test.want || !slices.Equal(deleted, test.deleted) {
			t.Errorf("%s: %s, deleted %q, want %d, %q", test.request, got, deleted, test.want, test.deleted)
		}
		if got.status == 204 && got.text != "" {
			t.Errorf("%s: the body is %q, want none", test.request, got.text)
		}
	}
}

func TestLogin(t *testing.T) {
	const (
		form    = "application/x-www-form-urlencoded"
		refused = "400 sse: the body must be a form with the field key, or JSON such as {\"key\":\"…\"}"
	)
	json := []string{"Content-Type", "application/json; charset=utf-8"}
	a, _ := newBroker(t, withKeys("k "+secret+" subscribe a"))
	for _, test := range []row{
		{"POST /-/login", nil, "key=" + secret, "200 logged in as k"},
		{"POST /-/login", []string{"Content-Type", form}, "x=1&key=" + secret, "200 logged in as k"},
		{"POST /-/login", []string{"Content-Type", form}, "key=%30123456789abcdef", "200 logged in as k"},
		{"POST /-/login", json, `{"key":"` + secret + `"}`, "200 logged in as k"},
		{"POST /-/login", json, `{"Key":"` + secret + `","x":1}`, "200 logged in as k"},
		{"POST /-/login", bearer, "", "200 logged in as k"},
		{"POST /-/login", bearer, "key=wrong", "200 logged in as k"},
		{"POST /-/login", nil, "key=" + secret + strings.Repeat("&", 4096-4-16), "200 logged in as k"},
		{"POST /-/login", nil, "key=" + secret + strings.Repeat("&", 4097-4-16), "413 sse: a login must have at most 4096 bytes"},
		{"POST /-/login", nil, "key=wrong", "401 sse: the key is unknown"},
		{"POST /-/login", json, `{"key":"wrong"}`, "401 sse: the key is unknown"},
		{"POST /-/login", []string{"Authorization", "Bearer wrong"}, "key=" + secret, "401 sse: the key is unknown"},
		{"POST /-/login", nil, "", refused},
		{"POST /-/login", nil, "key=", refused},
		{"POST /-/login", nil, "key=%zz", refused},
		{"POST /-/login", nil, "key=" + secret + "&x=%zz", refused},
		{"POST /-/login", nil, `{"key":"` + secret + `"}`, refused},
		{"POST /-/login", json, `{"key":""}`, refused},
		{"POST /-/login", json, `{"key":"` + secret + `"`, refused},
		{"POST /-/login", json, `{"key":"` + secret + `","key":1}`, refused},
		{"POST /-/login", json, "key=" + secret, refused},
		{"POST /-/login", []string{"Content-Type", "multipart/form-data"}, "key=" + secret, "415 …"},
		{"POST /-/login", []string{"Content-Encoding", "gzip"}, "key=" + secret, "415 …"},
	} {
		got := ask(t, a, test.request, test.body, test.header...)
		if !isText(got.String(), test.want) {
			t.Errorf("%q %.80q: %s, want %s", test.header, test.body, got, test.want)
		}
		if got := got.header["Cache-Control"]; !slices.Equal(got, []string{"no-store, no-transform"}) {
			t.Errorf("%q %.80q: Cache-Control is %q", test.header, test.body, got)
		}
		if cookie := got.header.Get("Set-Cookie"); (got.status == 200) != strings.HasPrefix(cookie, "sse_session=k.") {
			t.Errorf("%q %.80q: %s sets the cookie %q", test.header, test.body, got, cookie)
		}
	}
	if got := send(t, a, "POST /-/login", &pieces{parts: []string{"key=" + secret}, err: errors.New("cut off")}); got.String() !=
		"400 sse: the body is incomplete or malformed" || got.header.Get("Connection") != "close" {
		t.Errorf("a login that is cut off: %s %v", got, got.header)
	}
	// The session cookie identifies the client. A logout removes the cookie from the
	// browser.
	got := ask(t, a, "POST /-/login", "key="+secret, "Accept", "application/json")
	cookie, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	seconds := strings.Split(cookie, ".")[1]
	if want := `200 {"expires":"`; !strings.HasPrefix(got.String(), want) || !strings.HasSuffix(got.String(), `Z","name":"k"}`) {
		t.Errorf("%s (%s), want an expiry and the name k", got, seconds)
	}
	if got := ask(t, a, "GET /a?follow=0", "", "Cookie", cookie); got.status != 200 {
		t.Errorf("with the cookie: %s, want 200", got)
	}
	got = ask(t, a, "POST /-/logout", "", "Cookie", cookie, "Accept", "application/json")
	if got.String() != `200 {"name":""}` || got.header.Get("Set-Cookie") != "sse_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict" {
		t.Errorf("logging out: %s %v", got, got.header)
	}
	checkRows(t, a, []row{{"POST /-/logout", nil, "", "200 logged out"}})
	open, _ := newBroker(t)
	checkRows(t, open, []row{
		{"POST /-/login", nil, "key=" + secret, "200 no key is needed"},
		{"POST /-/login", []string{"Accept", "application/json"}, "", `200 {"name":""}`},
	})
}

func TestTicketRequests(t *testing.T) {
	a, _ := newBroker(t, withKeys("k "+secret+" subscribe a b/*"), func(o *api.Options) {
		o.Origins = []string{"https://app.example", "https://other.example"}
	})
	app := []string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}
	other := []string{"Origin", "https://other.example", "Sec-Fetch-Site", "cross-site"}
	ticket := func(query string, header ...string) string {
		t.Helper()
		got := ask(t, a, "POST /-/tickets?"+query, "", append(slices.Clip(bearer), header...)...)
		if got.status != 200 || got.header.Get("Cache-Control") != "no-store, no-transform" {
			t.Fatalf("%s: %s %v, want 200 that is not stored", query, got, got.header)
		}
		return strings.TrimSpace(got.text)
	}
	use := func(target, ticket string, header ...string) int {
		return ask(t, a, "GET "+target+"?follow=0&ticket="+url.QueryEscape(ticket), "", header...).status
	}
	for _, test := range []struct {
		query    string
		issuedTo []string
		target   string
		usedBy   []string
		want     int
	}{
		{"topic=a", nil, "/a", nil, 200},
		{"topic=a", nil, "/b/1", nil, 403},
		{"topic=a&topic=b/1&pattern=b/*", nil, "/a,b/1,b/*", nil, 200},
		{"pattern=b/*", nil, "/b/*", nil, 200},
		{"pattern=b/*", nil, "/a,b/*", nil, 403},
		{"topic=a", nil, "/a", app, 403},
		{"topic=a", app, "/a", app, 200},
		{"topic=a", app, "/a", nil, 403},
		{"topic=a", app, "/a", other, 403},
		{"topic=a&origin=https://app.example", nil, "/a", app, 200},
		{"topic=a&origin=https://app.example", other, "/a", app, 200},
		{"topic=a&origin=https://app.example", other, "/a", other, 403},
		{"topic=a&origin=", app, "/a", nil, 200},
		{"topic=a&origin=", app, "/a", app, 403},
	} {
		x := ticket(test.query, test.issuedTo...)
		if got := use(test.target, x, test.usedBy...); got != test.want {
			t.Errorf("%s for %q, %s by %q: %d, want %d", test.query, test.issuedTo, test.target, test.usedBy, got, test.want)
		}
		if got := use("/a", x, test.usedBy...); got != 401 {
			t.Errorf("%s, used again: %d, want 401", test.query, got)
		}
	}
	checkRows(t, a, []row{
		{"POST /-/tickets?topic=a", nil, "", "401 …"},
		{"POST /-/tickets?topic=a&ticket=x", bearer, "", "400 …"},
		{"POST /-/tickets", bearer, "", "400 sse: the query must name a topic: add ?topic=NAME"},
		{"POST /a?ticket=x", nil, "1", `400 sse: the parameter "ticket" is unknown; this request accepts type, id, retry, eol, split`},
		{"GET /a?follow=0&ticket=", bearer[:0], "", "401 …"},
		{"GET /a?follow=0&ticket=x", bearer, "", "200 …"}, // the key is checked, and the ticket is ignored
	})
	got := ask(t, a, "POST /-/tickets?topic=a", "", append(slices.Clip(bearer), "Accept", "application/json")...)
	text, ok := strings.CutPrefix(got.String(), `200 {"seconds":30,"ticket":"`)
	if x, end := strings.CutSuffix(text, `"}`); !ok || !end || use("/a", x) != 200 {
		t.Errorf("a ticket as JSON: %s", got)
	}
}
