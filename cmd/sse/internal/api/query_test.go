package api_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// Each of these queries is refused, even if only one of its parameters is invalid.
func TestQueries(t *testing.T) {
	a, broker := newBroker(t)
	const (
		malformed = "400 sse: the query is malformed: parameters must be name=value, joined by &, " +
			"and an escape must have two hexadecimal digits"
		publish = "type, id, retry, eol, split"
		read    = "since, lastEventId, follow, limit, ticket, cursor"
		retry   = "400 sse: retry must be a number of milliseconds from 1 to 86400000"
		limit   = "400 sse: limit must be a number of events from 1 to 10000"
	)
	unknown := func(name, accepted string) string {
		return "400 sse: the parameter \"" + name + "\" is unknown; this request accepts " + accepted
	}
	path := func(name string) string {
		return "400 sse: the path already names the topics; the parameter " + name + " is only for paths such as /-/events"
	}
	once := func(name string) string { return "400 sse: the parameter " + name + " must be given only once" }
	checkRows(t, a, []row{
		{"POST /a?x", nil, "", unknown("x", publish)},
		{"POST /a?type=b&x=1", nil, "", unknown("x", publish)},
		{"POST /a?%zz", nil, "", malformed},
		{"POST /a?type=b&id=%z", nil, "", malformed},
		{"POST /a?type=b;id=c", nil, "", malformed},
		{"POST /a?type=b&type=b", nil, "", once("type")},
		{"POST /a?id=1&id=2", nil, "", once("id")},
		{"POST /a?topic=b", nil, "", path("topic")},
		{"POST /a?pattern=b", nil, "", path("pattern")},
		{"PUT /a?topic=b", nil, "", path("topic")},
		{"DELETE /a?topic=b", nil, "", path("topic")},
		{"DELETE /a?type=b", nil, "", unknown("type", "no parameters")},
		{"DELETE /-/events?topic=a&type=b", nil, "", unknown("type", "topic, pattern")},
		{"DELETE /-/events?topic=a&x=%z", nil, "", malformed},
		{"GET /a?topic=b", nil, "", path("topic")},
		{"GET /a?follow=0&type=b", nil, "", unknown("type", read)},
		{"GET /a?follow=0&follow=0", nil, "", once("follow")},
		{"GET /a?follow=0&x=%z", nil, "", malformed},
		{"GET /-/events?topic=a&x=1", nil, "", unknown("x", read+", topic, pattern")},
		{"GET /-/events?topic=a&follow=1&follow=0", nil, "", once("follow")},
		{"POST /-/publish?topic=a&since=1", nil, "", unknown("since", publish+", topic, pattern")},
		{"POST /-/publish?topic=a&type=b&type=c", nil, "", once("type")},
		{"POST /-/batch?topic=a&type=b", nil, "", unknown("type", "eol, topic, pattern")},
		{"PUT /-/batch?topic=a&id=b", nil, "", unknown("id", "eol, topic, pattern")},
		{"POST /-/batch?topic=%z", nil, "", malformed},
		{"POST /-/tickets?topic=a&x=1", nil, "", unknown("x", "origin, topic, pattern")},
		{"POST /-/tickets?origin=a&origin=b&topic=a", nil, "", once("origin")},
		{"POST /-/publish", nil, "", "400 sse: the query must name a topic: add ?topic=NAME"},
		{"POST /-/publish?type=b", nil, "", "400 sse: the query must name a topic: add ?topic=NAME"},
		{"PUT /-/publish", nil, "", "400 sse: the query must name a topic: add ?topic=NAME"},
		{"GET /-/events", nil, "", "400 sse: the query must name a topic: add ?topic=NAME"},
		{"DELETE /-/events", nil, "", "400 sse: the query must name a topic: add ?topic=NAME"},
		{"POST /-/batch?eol=lf", nil, "", "200 kept 0"},
		{"POST /-/batch?topic=", nil, "", `400 sse: topic "" is empty`},
		{"POST /-/publish?topic=", nil, "", `400 sse: topic "" is empty`},
		{"POST /-/publish?topic=a&topic=", nil, "", `400 sse: topic "" is empty`},
		{"POST /-/publish?topic=a&topic=b%0A", nil, "", `400 sse: topic "b\n"…`},
		{"GET /-/events?topic=a&pattern=b*", nil, "", `400 sse: pattern "b*" has a "*"…`},
		{"GET /-/events?pattern=a&pattern=b*", nil, "", `400 sse: pattern "b*" has a "*"…`},
		{"POST /-/publish?pattern=a*b", nil, "", `400 sse: pattern "a*b" has a "*"…`},
		{"POST /-/publish?topic=a&pattern=b", nil, "", `400 sse: publishing needs topics, and "b" is a pattern; ` +
			"for a topic with * in its name, use /-/publish?topic=NAME"},
		{"POST /-/batch?pattern=b", nil, "", `400 sse: publishing needs topics, and "b" is a pattern; ` +
			"for a topic with * in its name, use /-/publish?topic=NAME"},
		{"DELETE /-/events?topic=a&pattern=b", nil, "", `400 sse: deleting needs topics, and "b" is a pattern; ` +
			"for a topic with * in its name, use /-/events?topic=NAME"},
		{"DELETE /a,b/*", nil, "", `400 sse: deleting needs topics, and "b/*" is a pattern; ` +
			"for a topic with * in its name, use /-/events?topic=NAME"},
		{"PUT /*", nil, "", `400 sse: publishing needs topics, and "*" is a pattern; ` +
			"for a topic with * in its name, use /-/publish?topic=NAME"},
		{"POST /a?eol=cr", nil, "", "400 sse: eol must be lf, to convert line ends to LF"},
		{"POST /a?eol=", nil, "", "400 sse: eol must be lf, to convert line ends to LF"},
		{"POST /-/batch?eol=x", nil, "", "400 sse: eol must be lf, to convert line ends to LF"},
		{"POST /a?retry=1&eol=cr", nil, "", "400 sse: eol must be lf, to convert line ends to LF"},
		{"GET /a*?follow=0", nil, "", `400 sse: pattern "a*" has a "*"…`},
		{"GET /b,a*?follow=0", nil, "", `400 sse: pattern "a*" has a "*"…`},
		{"GET /**/a?follow=0", nil, "", `400 sse: pattern "**/a"…`},
		{"POST /a?retry=", nil, "", retry},
		{"POST /a?retry=0", nil, "", retry},
		{"POST /a?retry=-1", nil, "", retry},
		{"POST /a?retry=1.5", nil, "", retry},
		{"POST /a?retry=0x10", nil, "", retry},
		{"POST /a?retry=86400001", nil, "", retry},
		{"POST /a?retry=4294967297", nil, "", retry},
		{"GET /a?limit=1", nil, "", "400 sse: limit must only be set for a page of history; add follow=0"},
		{"GET /a?follow=1&limit=1", nil, "", "400 sse: limit must only be set for a page of history; add follow=0"},
		{"GET /a?follow=0&limit=", nil, "", limit},
		{"GET /a?follow=0&limit=0", nil, "", limit},
		{"GET /a?follow=0&limit=10001", nil, "", limit},
		{"GET /a?follow=0&limit=-1", nil, "", limit},
		{"GET /a?follow=0&limit=0x1", nil, "", limit},
		{"GET /a?follow=0&limit=4294967297", nil, "", limit},
		{"GET /a?follow=2", nil, "", "400 sse: follow must be 0 for a page of stored events, or 1 for a stream"},
		{"GET /a?follow=0&since=", nil, "", `400 sse: cannot start at "": …`},
	})
	checkEvents(t, broker)
}

// The smallest and the largest values are valid.
func TestQueryBounds(t *testing.T) {
	a, broker := newBroker(t)
	for _, request := range []string{
		"POST /a?retry=1", "POST /a?retry=86400000", "POST /a?retry=0010", "POST /a?type=t&id=i&retry=2&eol=lf",
		"POST /-/publish?topic=b&topic=c*d&type=t", "POST /-/publish?topic=b&topic=b",
	} {
		if got := ask(t, a, request, "x"); got.status != 200 {
			t.Errorf("%s: %s, want 200", request, got)
		}
	}
	checkEvents(t, broker, "a|||1ms|x", "a|||24h0m0s|x", "a|||10ms|x", "a|i|t|2ms|x", "b,c*d||t|0s|x", "b|||0s|x")
	for _, request := range []string{
		"GET /a?follow=0&limit=1", "GET /a?follow=0&limit=10000", "GET /a?follow=0&since=earliest",
		"HEAD /a?follow=1", "HEAD /a?follow=", "HEAD /a?since=10m",
	} {
		if got := ask(t, a, request, ""); got.status != 200 {
			t.Errorf("%s: %s, want 200", request, got)
		}
	}
}

// An event that is published to a path has these topics. If there is no topic, the
// path is refused.
func TestPathsThatAreTopics(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for path, want := range map[string]string{
		"/a":                    "a",
		"/azAZ09_-:@~.":         "azAZ09_-:@~.",
		"/a/b/c":                "a/b/c",
		"/a,b":                  "a,b",
		"/a,b,c/d":              "a,b,c/d",
		"/a/-":                  "a/-",
		"/a/-b":                 "a/-b",
		"/a/...":                "a/...",
		"/...":                  "...",
		"/.a/.b":                ".a/.b",
		"/-a":                   "-a",
		"/a..b":                 "a..b",
		"/%61":                  "a",
		"/a%3Ab":                "a:b",
		"/%C3%A9":               "é",
		"/%D9%A3":               "٣", // a digit
		"/favicon.ico/a":        "favicon.ico/a",
		"/favicon.icon":         "favicon.icon",
		"/robots.txt.":          "robots.txt.",
		"/" + long:              long,
		"/" + long + ",b":       long + ",b",
		"/" + long[1:] + "/":    "",
		"/" + long + "x":        "",
		"/b," + long + "x":      "",
		"/a/":                   "",
		"/a,":                   "",
		"/,a":                   "",
		"/a,,b":                 "",
		"//a":                   "",
		"/a//b":                 "",
		"/.":                    "",
		"/..":                   "",
		"/a/.":                  "",
		"/a/..":                 "",
		"/a/./b":                "",
		"/a/../b":               "",
		"/./a":                  "",
		"/a,..":                 "",
		"/a%2Fb":                "",
		"/a%2cb":                "",
		"/a/b%2fc":              "",
		"/%FF":                  "",
		"/a/%FF/b":              "",
		"/a%20b":                "",
		"/a`":                   "",
		"/a{":                   "",
		"/a[":                   "",
		"/a;":                   "",
		"/a!":                   "",
		"/a$":                   "",
		"/a'":                   "",
		"/a=":                   "",
		"/=a":                   "",
		"/a/=b":                 "",
		"/a+b":                  "",
		"/a&b":                  "",
		"/a%7F":                 "",
		"/a%00":                 "",
		"/a*":                   "",
		"/a,b*":                 "",
		"/**/a":                 "",
		"/-":                    "",
		"/.well-known":          "",
		"/robots.txt,favicon.i": "",
	} {
		a, broker := newBroker(t)
		got := ask(t, a, "POST "+path, "x")
		switch {
		case want == "" && (got.status != 400 && got.status != 404):
			t.Errorf("%s: %s, want 400 or 404", path, got)
		case want != "" && got.status != 200:
			t.Errorf("%s: %s, want 200", path, got)
		case want != "":
			checkEvents(t, broker, want+"|||0s|x")
		default:
			checkEvents(t, broker)
		}
	}
}

// IsSimpleTopic returns true only for valid topics, but not for all of them.
func TestSimpleTopics(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for topic, want := range map[string]bool{
		"a": true, "azAZ09_-:@~": true, "a.b": true, "a/b/c": true, "a/-": true, "a-": true, "a.": true, long: true,
		"favicon.icon": true, "a/favicon.ico": true, "_": true, "~a/~b": true,
		"": false, long + "x": false, "favicon.ico": false, "robots.txt": false, "/a": false, ".a": false, "-a": false, "-": false,
		"a/": false, "a//b": false, "a/.b": false, "a/.": false, "a/..": false, "/": false, ".": false, "a%41": false, "a*": false,
		"a,b": false, "a`": false, "a{": false, "a[": false, "a;": false, "a?": false, "a}": false, "a^": false, "a\xff": false, "é": false,
	} {
		if got := api.IsSimpleTopic(topic); got != want {
			t.Errorf("%.40q: %t, want %t", topic, got, want)
		}
	}
}

// The error for a path that is not a topic contains the reason, and another path that
// accepts the same topic in its query.
func TestPathsThatAreNotTopics(t *testing.T) {
	a, _ := newBroker(t)
	const (
		escaped  = "an escaped slash or comma could be mistaken for an unescaped one"
		empty    = "a segment is empty, as between // or before a slash"
		ends     = "a name is empty, or ends with a slash"
		dots     = "clients and proxies remove the segments . and .."
		notUTF8  = "it is not UTF-8"
		reserved = "paths below /-/ and /.well-known/, /favicon.ico and /robots.txt are reserved"
	)
	letter := func(c string) string { return c + " is not a letter, a digit or one of _ - . : @ ~" }
	x79 := strings.Repeat("x", 79)
	for _, test := range []struct{ method, path, reason, instead string }{
		{"POST", "/a%2Fb", escaped, "publish?topic=a%2Fb"},
		{"PUT", "/a%2fb", escaped, "publish?topic=a%2Fb"},
		{"GET", "/a%2Cb", escaped, "events?topic=a%2Cb"},
		{"HEAD", "/a%2cb", escaped, "events?topic=a%2Cb"},
		{"DELETE", "/x/a%2cb", escaped, "events?topic=x%2Fa%2Cb"},
		{"POST", "//", empty, "publish?topic=%2F"},
		{"POST", "/a//b", empty, "publish?topic=a%2F%2Fb"},
		{"POST", "//b", empty, "publish?topic=%2Fb"},
		{"POST", "/b/", ends, "publish?topic=b%2F"},
		{"POST", "/b,", ends, "publish?topic=b%2C"},
		{"POST", "/b/.", dots, "publish?topic=b%2F."},
		{"POST", "/../b", dots, "publish?topic=..%2Fb"},
		{"POST", "/%2e", dots, "publish?topic=."},
		{"POST", "/%FF", notUTF8, "publish?topic=%FF"},
		{"POST", "/a%20b", letter("' '"), "publish?topic=a+b"},
		{"POST", "/a%0Ab", letter(`'\n'`), "publish?topic=a%0Ab"},
		{"POST", "/a,b=", letter("'='"), "publish?topic=a%2Cb%3D"},
		{"POST", "/a,favicon.ico", reserved, "publish?topic=a%2Cfavicon.ico"},
		{"POST", "/" + x79 + "=", letter("'='"), "publish?topic=" + x79 + "%3D"},
		{"POST", "/x" + x79 + "=", letter("'='"), "publish?topic=NAME"},
	} {
		got := ask(t, a, test.method+" "+test.path, "").String()
		quoted := `"` + test.path + `"`
		if len(test.path) > 80 {
			quoted = `"` + test.path[:80] + `"` + "…"
		}
		want := "400 sse: the path " + quoted + " is not a topic: " + test.reason +
			"; for a topic that cannot be a path, use /-/" + test.instead
		if got != want {
			t.Errorf("%s %s\ngot  %s\nwant %s", test.method, test.path, got, want)
		}
	}
}

// A client should escape these characters in a path. A path without the escapes has
// the same meaning, and the error contains the escaped path.
func TestUnescapedPaths(t *testing.T) {
	a, _ := newBroker(t)
	for path, want := range map[string]string{
		"/é%2Ca":  `"/%C3%A9%2Ca"`,
		"/~%2Ca":  `"/~%2Ca"`,
		"/!%2Ca":  `"/!%2Ca"`,
		"/\"%2Ca": `"/%22%2Ca"`,
		"/<%2Ca":  `"/%3C%2Ca"`,
		"/>%2Ca":  `"/%3E%2Ca"`,
		"/\\%2Ca": `"/%5C%2Ca"`,
		"/^%2Ca":  `"/%5E%2Ca"`,
		"/`%2Ca":  `"/%60%2Ca"`,
		"/{%2Ca":  `"/%7B%2Ca"`,
		"/|%2Ca":  `"/%7C%2Ca"`,
		"/}%2Ca":  `"/%7D%2Ca"`,
	} {
		got := ask(t, a, "POST "+path, "").String()
		if !strings.HasPrefix(got, "400 sse: the path "+want+" is not a topic: ") {
			t.Errorf("%s: %s, want %s in it", path, got, want)
		}
	}
}

// Middleware may set a path that net/http itself would refuse.
func TestPathsOfMiddleware(t *testing.T) {
	for raw, want := range map[string]string{
		"/a%zz":     `the path "/a%zz" is not a topic: an escape must be % and two hexadecimal digits; for a topic that cannot be a path, use /-/publish?topic=NAME`,
		"/a b%2C":   `the path "/a%20b%2C" is not a topic: an escaped slash or comma could be mistaken for an unescaped one; for a topic that cannot be a path, use /-/publish?topic=a+b%2C`,
		"/a\x1f%2C": `the path "/a%1F%2C" is not a topic: an escaped slash or comma could be mistaken for an unescaped one; for a topic that cannot be a path, use /-/publish?topic=a%1F%2C`,
		"/a\x7f%2C": `the path "/a%7F%2C" is not a topic: an escaped slash or comma could be mistaken for an unescaped one; for a topic that cannot be a path, use /-/publish?topic=a%7F%2C`,
	} {
		a, _ := newBroker(t)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/a", nil)
		r.URL.RawPath = raw
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if got := fmt.Sprintf("%d %s", w.Code, w.Body); got != "400 sse: "+want+"\n" {
			t.Errorf("%q\ngot  %s\nwant 400 sse: %s", raw, got, want)
		}
	}
}
