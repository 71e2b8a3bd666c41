package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

// refusal is a request that must be refused. The response must have the status, and
// its text must contain want. The lines of head end with LF, as in Hub.Raw.
type refusal struct {
	head, body string
	status     int
	want       string
}

// withLength returns head with the Content-Length of body.
func withLength(head, body string) string {
	return fmt.Sprintf("%s\nContent-Length: %d", head, len(body))
}

func testRefusals(t *testing.T, h *hubtest.Hub, tests []refusal) {
	t.Helper()
	for _, test := range tests {
		head := test.head
		if test.body != "" && !strings.Contains(head, "Transfer-Encoding") {
			head = withLength(head, test.body)
		}
		got := h.Raw(head, test.body)
		name := strings.ReplaceAll(test.head, "\n", "; ")
		if got.StatusCode != test.status || !strings.Contains(got.Text, test.want) {
			t.Errorf("%s\ngot  %d %s\nwant %d %s", name, got.StatusCode, got.Text, test.status, test.want)
		}
		if !strings.HasPrefix(got.Text, "sse: ") || strings.Count(got.Text, "\n") != 1 {
			t.Errorf("%s\nthe response is not one line that begins with sse: %q", name, got.Text)
		}
		if location := got.Header.Get("Location"); location != "" {
			t.Errorf("%s: redirected to %s", name, location)
		}
		// With this header, the same request has a response as JSON.
		got = h.Raw(head+"\nAccept: application/json", test.body)
		var fields struct {
			Error  string
			Status int
		}
		if err := json.Unmarshal([]byte(got.Text), &fields); err != nil ||
			fields.Status != test.status || !strings.Contains(fields.Error, test.want) {
			t.Errorf("%s as JSON\ngot  %d %s (%v)\nwant %d %s",
				name, got.StatusCode, got.Text, err, test.status, test.want)
		}
	}
	if stored := h.Raw("GET /-/events?pattern=**&follow=0 HTTP/1.1\nAccept: application/json", ""); stored.Text != "" {
		t.Errorf("events of refused requests are stored: %s", stored.Text)
	}
}

func TestPathsRefused(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	var tests []refusal
	for _, test := range []struct{ path, want string }{
		{"//", "a segment is empty"},
		{"//news", "a segment is empty"},
		{"/a//b", "a segment is empty"},
		{"/news/", "ends with a slash"},
		{"/news,", "a name is empty"},
		{"/,news", "a name is empty"},
		{"/news,/sport", "a segment is empty"},
		{"/.", "remove the segments . and .."},
		{"/..", "remove the segments . and .."},
		{"/a/../b", "remove the segments . and .."},
		{"/a/./b", "remove the segments . and .."},
		{"/%2e", "remove the segments . and .."},
		{"/%2E%2e/b", "remove the segments . and .."},
		{"/a%2Fb", "/-/publish?topic=a%2Fb"},
		{"/a%2fb", "an escaped slash"},
		{"/a%2Cb", "an escaped slash or comma"},
		{"/a%2cb", "/-/publish?topic=a%2Cb"},
		{"/a%20b", "' ' is not a letter"},
		{"/a+b", "'+' is not a letter"},
		{"/a%0Ab", `'\n' is not a letter`},
		{"/a%0Db", `'\r' is not a letter`},
		{"/a%00b", `'\x00' is not a letter`},
		{"/a%7Fb", "is not a letter"},
		{"/a%FFb", "not UTF-8"},
		{"/a%C3", "not UTF-8"},
		{"/a;b", "';' is not a letter"},
		{"/a=b", "'=' is not a letter"},
		{"/a%25b", "'%' is not a letter"},
		{"/a%3Fb", "'?' is not a letter"},
		{"/%E2%80%AEa", "is not a letter"},
		{"/" + strings.Repeat("x", 1025), "more than 1024 bytes"},
		{"/news,-/x", "are reserved"},
		{"/news,.well-known/x", "are reserved"},
		{"/a*", `a \"*\" within a segment`},
		{"/**/a", `\"**\" before its last segment`},
		{"/room/*", "is a pattern"},
		{"/news,room/**", "is a pattern"},
	} {
		want := strings.ReplaceAll(test.want, `\"`, `"`)
		tests = append(tests, refusal{"POST " + test.path + " HTTP/1.1", "x", 400, want})
	}
	tests = append(tests,
		refusal{"GET /a%2Fb HTTP/1.1", "", 400, "/-/events?topic=a%2Fb"},
		refusal{"GET /news/ HTTP/1.1", "", 400, "ends with a slash"},
		refusal{"POST / HTTP/1.1", "x", 400, "the path must name a topic"},
		refusal{"POST /-/nothing HTTP/1.1", "x", 404, "are reserved"},
		refusal{"GET /- HTTP/1.1", "", 404, "are reserved"},
		refusal{"GET /-/ HTTP/1.1", "", 404, "are reserved"},
		refusal{"GET /.well-known/mercure HTTP/1.1", "", 404, "are reserved"},
		refusal{"GET /favicon.ico HTTP/1.1", "", 404, "are reserved"},
		refusal{"POST /favicon.ico HTTP/1.1", "x", 404, "are reserved"},
		refusal{"POST /robots.txt HTTP/1.1", "x", 404, "are reserved"},
		refusal{"PATCH /news HTTP/1.1", "x", 405, "DELETE, GET, HEAD, POST, PUT"},
		refusal{"PUT /-/events?topic=a HTTP/1.1", "x", 405, "DELETE, GET, HEAD"},
		refusal{"GET /-/publish?topic=a HTTP/1.1", "", 405, "POST, PUT"},
	)
	testRefusals(t, h, tests)
}

// long has one byte more than an ID or a type may have.
var long = strings.Repeat("x", 1025)

func TestQueriesRefused(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	testRefusals(t, h, []refusal{
		{"POST /news?tpye=x HTTP/1.1", "x", 400, `"tpye" is unknown; this request accepts type, id, retry, eol`},
		{"POST /news?type=a&type=b HTTP/1.1", "x", 400, "type must be given only once"},
		{"POST /news?topic=a HTTP/1.1", "x", 400, "the path already names the topics"},
		{"POST /news?type=%zz HTTP/1.1", "x", 400, "the query is malformed"},
		{"POST /news?a;b HTTP/1.1", "x", 400, "the query is malformed"},
		{"POST /news?type=a%0Ab HTTP/1.1", "x", 400, "contains LF"},
		{"POST /news?type=a%0Db HTTP/1.1", "x", 400, "contains CR"},
		{"POST /news?type=a%00b HTTP/1.1", "x", 400, "contains NUL"},
		{"POST /news?type=a%FF HTTP/1.1", "x", 400, "is not UTF-8"},
		{"POST /news?type=sse.gap HTTP/1.1", "x", 400, `must not begin with "sse."`},
		{"POST /news?id=~1 HTTP/1.1", "x", 400, `must not begin with "~"`},
		{"POST /news?id=~42.3q2-7wAAAAHK_rq- HTTP/1.1", "x", 400, `must not begin with "~"`},
		{"POST /news?id=a%0Ab HTTP/1.1", "x", 400, "contains LF"},
		{"POST /news?id=a%01b HTTP/1.1", "x", 400, "contains a control character"},
		{"POST /news?id=a%09b HTTP/1.1", "x", 400, "contains a control character"},
		{"POST /news?id=+a HTTP/1.1", "x", 400, "begins or ends with a space"},
		{"POST /news?id=a%20 HTTP/1.1", "x", 400, "begins or ends with a space"},
		{"POST /-/publish?topic=a&id=%7F HTTP/1.1", "x", 400, "contains a control character"},
		{"POST /news?id=" + long + " HTTP/1.1", "x", 400, "has more than 1024 bytes"},
		{"POST /news?type=" + long + " HTTP/1.1", "x", 400, "has more than 1024 bytes"},
		{"POST /news?retry=1.5 HTTP/1.1", "x", 400, "number of milliseconds"},
		{"POST /news?retry=-1 HTTP/1.1", "x", 400, "number of milliseconds"},
		{"POST /news?retry=0 HTTP/1.1", "x", 400, "number of milliseconds"},
		{"POST /news?retry= HTTP/1.1", "x", 400, "number of milliseconds"},
		{"POST /news?eol=cr HTTP/1.1", "x", 400, "eol must be lf"},
		{"POST /-/publish HTTP/1.1", "x", 400, "the query must name a topic"},
		{"POST /-/publish?topic= HTTP/1.1", "x", 400, "is empty"},
		{"POST /-/publish?topic=a%0Ab HTTP/1.1", "x", 400, "control character"},
		{"POST /-/publish?topic=%FF HTTP/1.1", "x", 400, "not UTF-8"},
		{"POST /-/publish?topic=a&pattern=b HTTP/1.1", "x", 400, "is a pattern"},
		{"GET /-/events HTTP/1.1", "", 400, "the query must name a topic"},
		{"GET /-/events?pattern=a* HTTP/1.1", "", 400, "within a segment"},
		{"GET /news?since=yesterday HTTP/1.1", "", 400, "cannot start at"},
		{"GET /news?since=yesterday&follow=0 HTTP/1.1", "", 400, "cannot start at"},
		{"GET /news?follow=2 HTTP/1.1", "", 400, "follow must be 0"},
		{"GET /news?limit=2 HTTP/1.1", "", 400, "add follow=0"},
		{"GET /news?follow=0&limit=0 HTTP/1.1", "", 400, "1 to 10000"},
		{"GET /news?Since=10m HTTP/1.1", "", 400, `"Since" is unknown`},
		{"DELETE /room/* HTTP/1.1", "", 400, "deleting needs topics"},
		{"DELETE /news?since=10m HTTP/1.1", "", 400, "unknown; this request accepts no parameters"},
	})
}

func TestBodiesRefused(t *testing.T) {
	h := hubtest.Start(t, hub.Config{MaxEvent: 1000})
	big := strings.Repeat("x", 1000)
	testRefusals(t, h, []refusal{
		{"POST /news HTTP/1.1", "a\rb", 400, "a CR at byte 1"},
		{"POST /news HTTP/1.1", "ab\r\nc", 400, "add ?eol=lf to convert line ends to LF"},
		{"POST /news HTTP/1.1", "a\xffb", 400, "must be UTF-8"},
		{"POST /news HTTP/1.1", "\xed\xa0\x80", 400, "must be UTF-8"},
		{"POST /news HTTP/1.1", big, 413, "at most 1000 bytes on the wire"},
		{"POST /news HTTP/1.1", strings.Repeat("\n", 200), 413, "7 for each line"},
		{"POST /news HTTP/1.1\nTransfer-Encoding: chunked", "3e9\r\n" + big + "x\r\n0\r\n\r\n", 413, "at most 1000"},
		{"POST /news HTTP/1.1\nContent-Type: multipart/form-data; boundary=x", "--x--", 415, "with curl, use -d"},
		{"POST /news HTTP/1.1\nContent-Type: Multipart/form-data", "--x--", 415, "with curl, use -d"},
		{"PUT /news HTTP/1.1\nContent-Type: multipart/mixed; boundary=x", "--x--", 415, "with curl, use -d"},
		{"POST /-/publish?topic=a HTTP/1.1\nContent-Type: multipart/form-data; boundary=x", "--x--", 415, "with curl, use -d"},
		{"POST /-/batch?topic=a HTTP/1.1\nContent-Type: multipart/form-data; boundary=x", "--x--", 415, "with curl, use -d"},
		{"PUT /-/batch?topic=a HTTP/1.1\nContent-Type: multipart/form-data; boundary=x", "--x--", 415, "with curl, use -d"},
		{"POST /news HTTP/1.1\nContent-Encoding: gzip", "x", 415, "not compressed"},
		{"GET /news HTTP/1.1", "x", 400, "must have no body"},
		{"GET /news?follow=0 HTTP/1.1", "x", 400, "must have no body"},
		{"DELETE /news HTTP/1.1", "x", 400, "must have no body"},
		{"DELETE /-/events?topic=news HTTP/1.1", "x", 400, "must have no body"},
		{"POST /-/tickets HTTP/1.1", "topic=news", 400, "in the path and the query"},
		{"POST /-/batch?topic=a HTTP/1.1\nContent-Length: 99999999", "", 413, "a batch must have at most 16777216 bytes"},
		{"POST /news HTTP/1.1\nContent-Length: 99999999", "", 413, "at most 1000 bytes"},
		{"POST /news HTTP/1.1\nIdempotency-Key:", "x", 400, "1 to 255 bytes"},
		{"POST /news HTTP/1.1\nIdempotency-Key: a\nIdempotency-Key: b", "x", 400, "1 to 255 bytes"},
		{"POST /news HTTP/1.1\nIdempotency-Key: " + strings.Repeat("k", 256), "x", 400, "1 to 255 bytes"},
		{"PUT /news HTTP/1.1\nIdempotency-Key: " + strings.Repeat("k", 256), "x", 400, "1 to 255 bytes"},
		{"POST /news?split=words HTTP/1.1", "x", 400, "split must be lines"},
		{"POST /news?split=lines HTTP/1.1", "a\rb\n", 400, "line 1: the data has a CR"},
		{"POST /news?split=lines&type=a%0Ab HTTP/1.1", "x", 400, "line 1: event"},
		{"PUT /news?id=1 HTTP/1.1", "x", 400, "id must not be set"},
		{"PUT /news HTTP/1.1", "a\rb\n", 400, "line 1: the data has a CR"},
		{"PUT /news HTTP/1.1", big + big + "\n", 413, "line 1: an event must have at most"},
		{"PUT /news?type=a%0Ab HTTP/1.1", "x", 400, "contains LF"},
		{"PUT /news?type=" + long + " HTTP/1.1", "x", 400, "has more than 1024 bytes"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x","id":"` + long + `"}`, 400, "more than 1024 bytes"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x","type":"` + long + `"}`, 400, "more than 1024 bytes"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x","id":"a\u0001"}`, 400, "control character"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x","id":"a "}`, 400, "ends with a space"},
		{"POST /-/batch HTTP/1.1", `{"data":"x"}`, 400, "line 1: must name a topic"},
		{"POST /-/batch?topic=a HTTP/1.1", "\n{", 400, "line 2: must be an event as JSON"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x","tpye":"y"}`, 400, "unknown field"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x"} {}`, 400, "must have nothing after"},
		{"POST /-/batch?topic=a HTTP/1.1", `{}`, 400, `must have "data"`},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":null}`, 400, `must have "data" that is not null`},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"a\rb"}`, 400, "a CR at byte 1"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"\ud800"}`, 400, "must not have half a surrogate pair"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"\udc00\ud800"}`, 400, "must not have half a surrogate pair"},
		{"POST /-/batch?topic=a HTTP/1.1", "{\"data\":\"\xff\"}", 400, "line 1: must be UTF-8"},
		{"POST /-/batch?topic=a HTTP/1.1", `{"data":"x","retry":0}`, 400, "number of milliseconds"},
		{"POST /-/batch?topic=a HTTP/1.1", "{\"data\":\"x\"}\n{\"data\":\"x\",\"id\":\"~1\"}", 400, `must not begin with "~"`},
		{"POST /-/batch HTTP/1.1", `{"data":"x","topics":["a","\n"]}`, 400, "control character"},
	})
}

func TestRequestsWithoutStream(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	for _, test := range []struct {
		head   string
		status int
		want   string
	}{
		{"HEAD /news HTTP/1.1", 200, ""},
		{"HEAD /-/events?topic=a HTTP/1.1", 200, ""},
		{"GET /robots.txt HTTP/1.1", 200, "Disallow: /"},
		{"GET / HTTP/1.1", 200, "curl -N"},
		{"GET /news HTTP/1.1\nSec-Purpose: prefetch;prerender", 503, "must not be prefetched"},
		{"GET /news HTTP/1.1\nPurpose: prefetch", 503, "must not be prefetched"},
		{"GET /news HTTP/1.1\nSec-Fetch-Mode: navigate", 406, "not a page"},
		{"GET /news HTTP/1.1\nAccept: text/html,*/*", 406, "not a page"},
		{"GET /news HTTP/1.1\nSec-Purpose: prefetch;prerender\nSec-Fetch-Mode: navigate", 503, "must not be prefetched"},
		{"GET /-/events?topic=a HTTP/1.1\nX-Moz: prefetch", 503, "must not be prefetched"},
		{"GET /apple-touch-icon.png HTTP/1.1\nSec-Fetch-Dest: image\nSec-Fetch-Site: same-origin", 406, "a part of a page"},
		{"GET /news HTTP/1.1\nSec-Fetch-Dest: script\nSec-Fetch-Site: same-origin", 406, "a part of a page"},
		{"HEAD /favicon.ico HTTP/1.1", 404, ""},
		{"GET /news HTTP/1.1\nAccept: application/json", 406, "add follow=0"},
		{"GET /-/healthz HTTP/1.1", 200, "ok"},
		{"GET /-/readyz HTTP/1.1", 200, "ready"},
		{"OPTIONS /news HTTP/1.1", 204, ""},
	} {
		got := h.Raw(test.head, "")
		if got.StatusCode != test.status || !strings.Contains(got.Text, test.want) {
			t.Errorf("%s: %d %q, want %d %q", test.head, got.StatusCode, got.Text, test.status, test.want)
		}
		if cache := got.Header.Get("Cache-Control"); !strings.Contains(cache, "no-store") {
			t.Errorf("%s: Cache-Control is %q", test.head, cache)
		}
		if vary := got.Header.Get("Vary"); !strings.Contains(vary, "Accept") {
			t.Errorf("%s: Vary is %q", test.head, vary)
		}
	}
}

// Some load balancers check a server by HTTP/1.0 requests without a Host, for example
// HAProxy with "option httpchk".
func TestHealthChecksWithoutAHost(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	for request, want := range map[string]int{
		"GET /-/healthz HTTP/1.0\r\n\r\n":                               200,
		"HEAD /-/healthz HTTP/1.0\r\n\r\n":                              200,
		"GET /-/readyz HTTP/1.0\r\n\r\n":                                200,
		"GET /news?follow=0 HTTP/1.0\r\n\r\n":                           421,
		"GET / HTTP/1.0\r\n\r\n":                                        421,
		"OPTIONS /-/healthz HTTP/1.0\r\n\r\n":                           204,
		"OPTIONS / HTTP/1.0\r\n\r\n":                                    421, // the default of HAProxy
		"GET /-/healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n": 200,
	} {
		if got := h.Wire(request); got.StatusCode != want {
			t.Errorf("%q: %s %s, want %d", request, got.Status, got.Text, want)
		}
	}
}

// A request that is not valid HTTP is refused by net/http, and publishes nothing.
func TestInvalidHTTP(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	const post, x = "POST /news HTTP/1.1\r\nHost: localhost\r\n", "Content-Length: 1\r\n\r\nx"
	for _, request := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", // TLS
		"POST /news\r\n\r\nx",
		"POST /ne ws HTTP/1.1\r\nHost: localhost\r\n" + x,
		"POST /ne\x00ws HTTP/1.1\r\nHost: localhost\r\n" + x,
		"POST /ne\rws HTTP/1.1\r\nHost: localhost\r\n" + x,
		"POST /%zz HTTP/1.1\r\nHost: localhost\r\n" + x,
		"POST news HTTP/1.1\r\nHost: localhost\r\n" + x,
		"PO\x00ST /news HTTP/1.1\r\nHost: localhost\r\n" + x,
		"POST /news HTTP/3.0\r\nHost: localhost\r\n" + x,
		"POST /news HTTP/1.1\r\n" + x,
		post + "Host: localhost\r\n" + x,
		post + "Host : localhost\r\n" + x,
		post + "Idempotency-Key: a\x00b\r\n" + x,
		post + "Idempotency-Key: a\rb\r\n" + x,
		post + "Idem\xffpotency-Key: a\r\n" + x,
		post + "Content-Length: 2\r\n" + x,
		post + "Content-Length: -1\r\n\r\nx",
		post + "Transfer-Encoding: gzip\r\n\r\nx",
		post + "Transfer-Encoding: chunked\r\n\r\nx\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
		post + "Expect: a miracle\r\n" + x,
		post + "X: " + strings.Repeat("x", 100<<10) + "\r\n" + x,
	} {
		got := h.Wire(request)
		if got.StatusCode < 400 || got.StatusCode == 500 {
			t.Errorf("%.60q: %d %s", request, got.StatusCode, got.Text)
		}
	}
	if stored := history(t, h, "/-/events?pattern=**&follow=0"); len(stored) > 0 {
		t.Errorf("events of refused requests are stored: %+v", stored)
	}
}

func TestHosts(t *testing.T) {
	h := hubtest.Start(t, hub.Config{Hosts: []string{"hub.example.com"}})
	for _, test := range []struct {
		host string
		want int
	}{
		{"localhost", 200}, {"LOCALHOST:3000", 200}, {"localhost.", 200}, {"app.localhost:1", 200},
		{"127.0.0.1:3000", 200}, {"[::1]:3000", 200}, {"[::1]", 200}, {"10.1.2.3", 200},
		{"hub.example.com", 200}, {"Hub.Example.com:443", 200},
		{"evil.example", 421}, {"evil.example:3000", 421}, {"127.0.0.1.evil.example", 421},
		{"localhost.evil.example", 421}, {"xlocalhost", 421}, {"x", 421},
	} {
		for _, request := range []string{"GET /robots.txt", "POST /news"} {
			got := h.Raw(request+" HTTP/1.1\nHost: "+test.host+"\nContent-Length: 0", "")
			if got.StatusCode != test.want {
				t.Errorf("%s with Host %s: %d %s, want %d", request, test.host, got.StatusCode, got.Text, test.want)
			}
			if test.want == http.StatusMisdirectedRequest && !strings.Contains(got.Text, "--host ") {
				t.Errorf("Host %s: the response names no flag: %q", test.host, got.Text)
			}
		}
	}
	if !strings.Contains(h.Logs(), "--host evil.example allows it") {
		t.Errorf("the log does not name the flag that allows a host:\n%s", h.Logs())
	}
}
