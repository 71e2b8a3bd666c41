package api_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// refusals collects the calls of OnRefused.
type refusals struct{ calls []string }

func (r *refusals) set(o *api.Options) {
	o.OnRefused = func(subject, flag string) { r.calls = append(r.calls, subject+" "+flag) }
}

func TestHosts(t *testing.T) {
	const robots = "200 User-agent: *\nDisallow: /"
	refuse := func(name, flag string) string {
		return fmt.Sprintf("421 sse: this hub does not serve the host %q; its flag %s would allow it", name, flag)
	}
	for _, test := range []struct{ host, want, reported string }{
		{"localhost", robots, ""},
		{"LocalHost:3000", robots, ""},
		{"localhost.", robots, ""},
		{"localhost.:80", robots, ""},
		{"a.localhost", robots, ""},
		{"127.0.0.1", robots, ""},
		{"127.0.0.1:3000", robots, ""},
		{"0.0.0.0", robots, ""},
		{"9.9.9.9", robots, ""},
		{"[::1]", robots, ""},
		{"[::1]:3000", robots, ""},
		{":3000", robots, ""},
		{"x.example", robots, ""},
		{"hub.example", robots, ""},
		{"HUB.example:80", robots, ""},
		{"hub.example.", robots, ""},
		{"", refuse("", "--host NAME"), `the host "" --host NAME`},
		{"evil.example", refuse("evil.example", "--host evil.example"), `the host "evil.example" --host evil.example`},
		{"Evil.example:80", refuse("evil.example", "--host evil.example"), `the host "evil.example" --host evil.example`},
		{"xlocalhost", refuse("xlocalhost", "--host xlocalhost"), `the host "xlocalhost" --host xlocalhost`},
		{"localhost.example", refuse("localhost.example", "--host localhost.example"), `the host "localhost.example" --host localhost.example`},
		{"1.example", refuse("1.example", "--host 1.example"), `the host "1.example" --host 1.example`},
		{"1.2.3.4.", refuse("1.2.3.4", "--host 1.2.3.4"), `the host "1.2.3.4" --host 1.2.3.4`},
		{"[evil", refuse("[evil", "--host NAME"), `the host "[evil" --host NAME`},
		{"az09-._x", refuse("az09-._x", "--host az09-._x"), `the host "az09-._x" --host az09-._x`},
		{"a`", refuse("a`", "--host NAME"), "the host \"a`\" --host NAME"},
		{"a{", refuse("a{", "--host NAME"), `the host "a{" --host NAME`},
		{"a/", refuse("a/", "--host NAME"), `the host "a/" --host NAME`},
		{"a:b:c", refuse("a:b:c", "--host NAME"), `the host "a:b:c" --host NAME`},
		{"a$b", refuse("a$b", "--host NAME"), `the host "a$b" --host NAME`},
	} {
		var reported refusals
		a, _ := newBroker(t, reported.set, func(o *api.Options) { o.Hosts = []string{"x.example", "Hub.Example"} })
		for range 2 { // the second time, the API remembers the host
			if got := ask(t, a, "GET /robots.txt", "", "Host", test.host); got.String() != test.want {
				t.Errorf("%q: %s, want %s", test.host, got, test.want)
			}
		}
		// The API remembers the last host that it allowed, because a check takes time.
		remembered := ""
		if test.reported == "" {
			remembered = test.host
		}
		if got := a.LastHost(); got != remembered {
			t.Errorf("%q: the API remembers %q, want %q", test.host, got, remembered)
		}
		// After one host was allowed, other hosts are still refused.
		if got := ask(t, a, "GET /robots.txt", "", "Host", "other.example"); got.status != 421 {
			t.Errorf("other.example after %q: %s, want 421", test.host, got)
		}
		want := []string{test.reported, `the host "other.example" --host other.example`}
		if test.reported == "" {
			want = want[1:]
		}
		if !slices.Equal(reported.calls, want) {
			t.Errorf("%q: reported %q, want %q", test.host, reported.calls, want)
		}
		a.AnyHost = true
		if got := ask(t, a, "GET /robots.txt", "", "Host", test.host); got.String() != robots {
			t.Errorf("%q with AnyHost: %s, want 200", test.host, got)
		}
	}
}

// At most 100 names are reported, each once. A name is also refused if OnRefused is
// nil.
func TestReportedNames(t *testing.T) {
	var reported refusals
	a, _ := newBroker(t, reported.set)
	for range 2 {
		for i := range 150 {
			ask(t, a, "GET /robots.txt", "", "Host", fmt.Sprintf("h%d.example", i))
		}
	}
	want := []string{}
	for i := range 100 {
		want = append(want, fmt.Sprintf(`the host "h%d.example" --host h%[1]d.example`, i))
	}
	if !slices.Equal(reported.calls, want) {
		t.Errorf("%d names were reported, want 100: %q", len(reported.calls), reported.calls)
	}
	if n := a.CountReported(); n != 100 {
		t.Errorf("%d names are remembered, want 100", n)
	}
	a.OnRefused = nil
	if got := ask(t, a, "GET /robots.txt", "", "Host", "new.example"); got.status != 421 {
		t.Errorf("without OnRefused: %s, want 421", got)
	}
	b, _ := newBroker(t)
	if got := ask(t, b, "GET /robots.txt", "", "Host", "new.example"); got.status != 421 {
		t.Errorf("without OnRefused: %s, want 421", got)
	}
}

// A health check may have no Host, or any Host. Other requests may not.
func TestHostOfHealthChecks(t *testing.T) {
	for _, host := range []string{"", "evil.example", "[evil", "10.0.0.1:3000"} {
		var reported refusals
		a, _ := newBroker(t, reported.set)
		for request, want := range map[string]string{
			"GET /-/healthz": "200 ok", "GET http://x.example/-/healthz": "200 ok", "GET /-/readyz": "200 ready",
		} {
			if got := ask(t, a, request, "", "Host", host); got.String() != want {
				t.Errorf("%s of %q: %s, want %s", request, host, got, want)
			}
		}
		if len(reported.calls) > 0 || a.LastHost() != "" {
			t.Errorf("%q: reported %q, remembered %q", host, reported.calls, a.LastHost())
		}
		for _, request := range []string{"GET /-/healthz/x", "GET /-/events?topic=a&follow=0", "GET /", "GET /a?follow=0", "POST /a"} {
			if got := ask(t, a, request, "", "Host", host); (got.status == 421) != (host != "10.0.0.1:3000") {
				t.Errorf("%s of %q: %s", request, host, got)
			}
		}
		// A page of another origin is still refused.
		if got := ask(t, a, "GET /-/healthz", "", "Host", host, "Origin", "https://other.example"); got.status != 403 {
			t.Errorf("a page asks for %q: %s, want 403", host, got)
		}
	}
}

// With RefuseProxies, a request that a proxy has forwarded is refused, whether its
// Host is allowed or not.
func TestProxies(t *testing.T) {
	for _, test := range []struct{ header, value, name string }{
		{"Via", "1.1 squid", "Via"},
		{"Forwarded", "for=192.0.2.1", "Forwarded"},
		{"X-Forwarded-For", "192.0.2.1", "X-Forwarded-For"},
		{"x-forwarded-host", "hub.example", "X-Forwarded-Host"},
		{"X-Forwarded-Proto", "https", "X-Forwarded-Proto"},
		{"X-Forwarded-New", "", "X-Forwarded-New"},
		{"X-Real-IP", "192.0.2.1", "X-Real-Ip"},
		{"X-Forwarded", "for=192.0.2.1", ""},
		{"X-Request-Id", "1", ""},
	} {
		for _, request := range []string{"GET /-/healthz", "GET /a?follow=0", "POST /a", "PUT /a",
			"DELETE /a", "GET /", "OPTIONS /a"} {
			for _, host := range []string{"localhost", "evil.example"} {
				var reported refusals
				a, broker := newBroker(t, reported.set, func(o *api.Options) { o.RefuseProxies = true })
				header := []string{test.header, test.value, "Host", host}
				got := ask(t, a, request, "", header...)
				ask(t, a, request, "", header...)
				if test.name == "" {
					if got.status == 403 || host == "localhost" && len(reported.calls) > 0 {
						t.Errorf("%s with %s: %s, reported %q", request, test.header, got, reported.calls)
					}
					continue
				}
				want := "403 sse: this hub has no keys, and the request came through a proxy " +
					"(it has the header " + test.name + "); start the hub with --keys FILE, " +
					"or with --insecure to allow every client of the proxy"
				const wantReport = "a request through a proxy --keys FILE or --insecure"
				if got.String() != want || !slices.Equal(reported.calls, []string{wantReport}) {
					t.Errorf("%s of %s with %s: %s, reported %q\nwant %s, reported %q",
						request, host, test.header, got, reported.calls, want, wantReport)
				}
				checkEvents(t, broker)
			}
		}
		a, _ := newBroker(t)
		if got := ask(t, a, "GET /-/healthz", "", test.header, test.value); got.status != 200 {
			t.Errorf("%s with keys or --insecure: %s, want 200", test.header, got)
		}
	}
}

// RFC 9112 3.2.2: a server accepts the absolute form of a URL.
func TestAbsoluteURLs(t *testing.T) {
	a, _ := newBroker(t)
	checkRows(t, a, []row{
		{"GET http://localhost/-/healthz", nil, "", "200 ok"},
		{"GET https://localhost/-/healthz", nil, "", "200 ok"},
		{"GET http:/-/healthz", nil, "", `400 sse: "http:/-/healthz" must be a path, or an http or https URL with a host`},
		{"GET https:///-/healthz", nil, "", `400 sse: "https:///-/healthz" must be a path, or an http or https URL with a host`},
		{"GET ftp://localhost/-/healthz", nil, "", `400 sse: "ftp://localhost/-/healthz" must be a path, or an http or https URL with a host`},
		{"GET //localhost/-/healthz", nil, "", `400 sse: the path "//localhost/-/healthz" is not a topic: ` +
			`a segment is empty, as between // or before a slash; for a topic that cannot be a path, use /-/events?topic=%2Flocalhost%2F-%2Fhealthz`},
	})
}

// originTest is a request of a page. The last fields are the status of the response
// if Origins is empty, contains https://app.example, and is "*".
type originTest struct {
	request, origin, site string
	header                []string
	none, listed, all     int
}

// A request of a page of another origin is refused unless Origins allows that
// origin.
func TestOrigins(t *testing.T) {
	const app, evil = "https://app.example", "https://evil.example"
	for _, test := range []originTest{
		{"GET /-/healthz", "", "", nil, 200, 200, 200},
		{"GET /-/healthz", app, "cross-site", nil, 403, 200, 200},
		{"GET /-/healthz", app, "", nil, 403, 200, 200},
		{"GET /-/healthz", evil, "cross-site", nil, 403, 403, 200},
		{"GET /-/healthz", evil, "", nil, 403, 403, 200},
		{"GET /-/healthz", evil, "same-site", nil, 403, 403, 200},
		{"GET /-/healthz", "null", "cross-site", nil, 403, 403, 200},
		{"GET /-/healthz", "null", "", nil, 403, 403, 200},
		{"GET /-/healthz", "", "cross-site", nil, 403, 403, 200},
		{"GET /-/healthz", "", "same-origin", nil, 200, 200, 200},
		{"GET /-/healthz", "", "none", nil, 200, 200, 200},
		{"GET /-/healthz", "http://localhost", "", nil, 200, 200, 200},
		{"GET /-/healthz", "https://LOCALHOST", "", nil, 200, 200, 200},
		{"GET /-/healthz", "http://localhost", "cross-site", nil, 403, 403, 200},
		{"GET /-/healthz", "http://localhost:1", "", nil, 403, 403, 200},
		{"GET /-/healthz", "http://x.localhost", "", nil, 403, 403, 200},
		{"GET /-/healthz", "localhost", "", nil, 403, 403, 200},
		{"HEAD /-/healthz", evil, "cross-site", nil, 403, 403, 200},
		{"HEAD /-/healthz", "", "same-origin", nil, 200, 200, 200},
		// A person follows a link from another page.
		{"GET /-/healthz", "", "cross-site", []string{"Sec-Fetch-Mode", "navigate"}, 200, 200, 200},
		{"POST /-/login", "", "cross-site", []string{"Sec-Fetch-Mode", "navigate"}, 403, 403, 200},
		{"POST /-/login", "", "same-origin", nil, 200, 200, 200},
		{"POST /-/login", "http://localhost", "", nil, 200, 200, 200},
		{"POST /-/login", app, "cross-site", nil, 403, 200, 200},
		{"POST /-/login", evil, "cross-site", nil, 403, 403, 200},
		{"POST /-/login", evil, "", nil, 403, 403, 200},
		{"POST /-/login", "", "cross-site", nil, 403, 403, 200},
		{"POST /-/login", "", "same-site", nil, 403, 403, 200},
		{"PUT /a", evil, "cross-site", nil, 403, 403, 200},
		{"DELETE /a", evil, "cross-site", nil, 403, 403, 204},
		{"OPTIONS /a", app, "cross-site", nil, 403, 204, 204},
		{"OPTIONS /a", evil, "cross-site", nil, 403, 403, 204},
		{"OPTIONS /a", "http://localhost", "", nil, 204, 204, 204},
		// A preflight is refused even if it looks like a person who opens a page.
		{"OPTIONS /a", evil, "cross-site", []string{"Sec-Fetch-Mode", "navigate"}, 403, 403, 204},
	} {
		for i, want := range []int{test.none, test.listed, test.all} {
			origins := [][]string{nil, {"https://other.example", app, "null"}, {"*"}}[i]
			if i == 1 {
				origins = origins[:2]
			}
			a, _ := newBroker(t, func(o *api.Options) { o.Origins = origins })
			header := test.header
			if test.origin != "" {
				header = append(slices.Clip(header), "Origin", test.origin)
			}
			if test.site != "" {
				header = append(slices.Clip(header), "Sec-Fetch-Site", test.site)
			}
			got := ask(t, a, test.request, "", header...)
			name := fmt.Sprintf("%s from %q (%s) %q with %q", test.request, test.origin, test.site, test.header, origins)
			if got.status != want {
				t.Errorf("%s: %s, want %d", name, got, want)
			}
			cors := []string{}
			for _, name := range []string{"Allow-Origin", "Allow-Credentials", "Expose-Headers"} {
				cors = append(cors, got.header.Get("Access-Control-"+name))
			}
			wantCors := []string{"", "", ""}
			switch {
			case i == 2 && test.origin != "":
				wantCors = []string{"*", "", "Link, Retry-After, Idempotent-Replayed"}
			case i == 1 && test.origin == app:
				wantCors = []string{app, "true", "Link, Retry-After, Idempotent-Replayed"}
			}
			if !slices.Equal(cors, wantCors) {
				t.Errorf("%s: the CORS headers are %q, want %q", name, cors, wantCors)
			}
		}
	}
}

// The error for a refused origin names the flag that would allow the origin. There is
// no such flag for an invalid origin.
func TestRefusedOrigins(t *testing.T) {
	const unnamed = "403 sse: pages of other sites may not use this hub, and this page has no valid Origin"
	for _, test := range []struct{ origin, want, reported string }{
		{"https://evil.example", `403 sse: pages of "https://evil.example" may not use this hub; ` +
			`its flag --cors https://evil.example would allow them`,
			`the origin "https://evil.example" --cors https://evil.example`},
		{"null", unnamed, ""},
		{"", unnamed, ""},
		{"https://a b", unnamed, ""},
		{"https://\x7f", unnamed, ""},
		{"https://é", unnamed, ""},
		{"https://!~", `403 sse: pages of "https://!~" may not use this hub; its flag --cors https://!~ would allow them`,
			`the origin "https://!~" --cors https://!~`},
	} {
		var reported refusals
		a, _ := newBroker(t, reported.set)
		got := ask(t, a, "GET /-/healthz", "", "Origin", test.origin, "Sec-Fetch-Site", "cross-site")
		if got.String() != test.want || strings.Join(reported.calls, ";") != test.reported {
			t.Errorf("%q: %s, reported %q, want %s, reported %q", test.origin, got, reported.calls, test.want, test.reported)
		}
	}
	// Without a Host, no origin is the hub's own.
	anyHost, _ := newBroker(t, func(o *api.Options) { o.AnyHost = true })
	if got := ask(t, anyHost, "GET /-/healthz", "", "Host", "", "Origin", "null"); got.String() != unnamed {
		t.Errorf("without a Host: %s, want %s", got, unnamed)
	}
	// The response to a request without an Origin has no header for an origin.
	a, _ := newBroker(t, func(o *api.Options) { o.Origins = []string{"*"} })
	if got := ask(t, a, "GET /-/healthz", "", "Sec-Fetch-Site", "cross-site"); got.status != 200 ||
		got.header["Access-Control-Allow-Origin"] != nil {
		t.Errorf("without an Origin: %s %v, want 200 without Access-Control-Allow-Origin", got, got.header)
	}
}

// If only the origin * allows a page, the page can neither use the cookie of the
// person who opens it, nor change that cookie.
func TestAnyOriginIgnoresCookies(t *testing.T) {
	const app, evil = "https://app.example", "https://evil.localhost"
	pages := []struct {
		name    string
		header  []string
		foreign bool
	}{
		{"page of the same site", []string{"Origin", evil, "Sec-Fetch-Site", "same-site"}, true},
		{"page of another site", []string{"Origin", evil, "Sec-Fetch-Site", "cross-site"}, true},
		{"opaque origin", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, true},
		{"old browser", []string{"Origin", evil}, true},
		{"another port, old browser", []string{"Origin", "http://localhost:1"}, true},
		{"origin with the name *", []string{"Origin", "*"}, true},
		{"page without an Origin", []string{"Sec-Fetch-Site", "same-site"}, true},
		{"form of another page", []string{"Origin", evil, "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate"}, true},
		{"listed page", []string{"Origin", app, "Sec-Fetch-Site", "cross-site"}, false},
		{"own page", []string{"Origin", "http://localhost", "Sec-Fetch-Site", "same-origin"}, false},
		{"own page, old browser", []string{"Origin", "http://localhost"}, false},
		{"no browser", nil, false},
	}
	a, _ := newBroker(t, withKeys("k "+secret+" publish ** subscribe ** delete **"),
		func(o *api.Options) { o.Origins = []string{"*", app} })
	cookie, _, _ := strings.Cut(ask(t, a, "POST /-/login", "key="+secret).header.Get("Set-Cookie"), ";")
	for _, page := range pages {
		for _, test := range []struct {
			request, body string
			ok, refused   int
		}{
			{"POST /a", "x", 200, 401},
			{"PUT /a", "x", 200, 401},
			{"POST /-/publish?topic=a", "x", 200, 401},
			{"POST /-/batch?topic=a", `{"data":"x"}`, 200, 401},
			{"PUT /-/batch?topic=a", `{"data":"x"}`, 200, 401},
			{"DELETE /a", "", 204, 401},
			{"GET /a?follow=0", "", 200, 401},
			{"HEAD /a", "", 200, 401},
			{"POST /-/tickets?topic=a", "", 200, 401},
			{"POST /-/login", "key=" + secret, 200, 403},
			{"POST /-/logout", "", 200, 403},
		} {
			want := test.ok
			if page.foreign {
				want = test.refused
			}
			if isRead := test.request[0] == 'G' || test.request[0] == 'H'; isRead && slices.Contains(page.header, "navigate") {
				continue // a person follows a link
			}
			got := ask(t, a, test.request, test.body, append(slices.Clip(page.header), "Cookie", cookie)...)
			if got.status != want {
				t.Errorf("%s: %s: %s, want %d", page.name, test.request, got, want)
			}
			if page.foreign && got.header["Set-Cookie"] != nil {
				t.Errorf("%s: %s sets the cookie %q", page.name, test.request, got.header["Set-Cookie"])
			}
		}
		// A key in the header works from every page.
		header := append(slices.Clip(page.header), "Cookie", "sse_session=wrong", bearer[0], bearer[1])
		if got := ask(t, a, "POST /a", "x", header...); got.status != 200 {
			t.Errorf("%s with a key: %s, want 200", page.name, got)
		}
	}
}

func TestPreflights(t *testing.T) {
	const methods = "GET, HEAD, POST, PUT, DELETE"
	common := http.Header{
		"Allow": {methods + ", OPTIONS"}, "Cache-Control": {"no-store, no-transform"},
		"X-Content-Type-Options": {"nosniff"}, "Vary": {"Accept, Origin, Authorization, Cookie"},
	}
	cors := http.Header{
		"Access-Control-Allow-Origin": {"https://app.example"}, "Access-Control-Allow-Credentials": {"true"},
		"Access-Control-Expose-Headers": {"Link, Retry-After, Idempotent-Replayed"},
		"Access-Control-Allow-Methods":  {methods},
		"Access-Control-Allow-Headers":  {"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Cache-Control"},
		"Access-Control-Max-Age":        {"600"},
	}
	private := http.Header{"Access-Control-Allow-Private-Network": {"true"}}
	app := []string{"Origin", "https://app.example"}
	for _, test := range []struct {
		header []string
		want   []http.Header
	}{
		{nil, []http.Header{common}},
		{app, []http.Header{common, cors}},
		{append(slices.Clip(app), "Access-Control-Request-Private-Network", "true"), []http.Header{common, cors, private}},
		{append(slices.Clip(app), "Access-Control-Request-Private-Network", "false"), []http.Header{common, cors}},
		{[]string{"Access-Control-Request-Private-Network", "true"}, []http.Header{common}},
	} {
		a, _ := newBroker(t, func(o *api.Options) { o.Origins = []string{"https://app.example"} })
		want := http.Header{}
		for _, header := range test.want {
			for name, values := range header {
				want[name] = values
			}
		}
		got := ask(t, a, "OPTIONS /news", "", test.header...)
		if got.String() != "204 " || !reflect.DeepEqual(got.header, want) {
			t.Errorf("%q: %s\ngot  %v\nwant %v", test.header, got, got.header, want)
		}
	}
}
