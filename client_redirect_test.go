package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// newOrigins is like newFixture, but its server answers requests for every host and
// port, and for https URLs too (without TLS). hosts returns the Host of each request.
func newOrigins(t *testing.T, responses ...ssetest.Response) (f *fixture, hosts func() []string) {
	t.Helper()
	f = newFixture(t)
	var seen []string
	script := &ssetest.Script{Responses: responses}
	server := ssetest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Host)
		script.ServeHTTP(w, r)
	}), nil)
	dial := func(context.Context, string, string) (net.Conn, error) { return server.Dial(), nil }
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	f.script, f.server = script, server
	f.client.URL = "http://one.example/events"
	f.client.HTTPClient = &http.Client{Transport: transport}
	return f, func() []string { return seen }
}

func redirect(status int, location string) ssetest.Response {
	return refusal(status, "Location", location)
}

// Fetch 4.4, "HTTP-redirect fetch": after 301 and 302, a POST becomes a GET. After 303,
// every method except HEAD becomes GET. A request whose method has changed has no body,
// and no header fields that describe a body.
func TestRedirectMethods(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{"GET", "POST", "REPORT", "PUT"} {
			inBubble(t, fmt.Sprintf("%d %s", status, method), func(t *testing.T) {
				f := newFixture(t, redirect(status, "/target?x=1"), held("data: a\n\n"))
				forMethod(f.client, method)
				f.client.Header = http.Header{
					"Content-Type": {"application/json"}, "Content-Language": {"en"}, "X-Y": {"z"},
				}
				f.mustReceive(1)
				want := method
				if status == 303 || method == "POST" && status < 303 {
					want = "GET"
				}
				r := f.script.Requests()[1]
				if r.Method != want || r.URL.String() != "/target?x=1" {
					t.Errorf("got %s %s, want %s /target?x=1", r.Method, r.URL, want)
				}
				body := ""
				if want == method && method != "GET" {
					body = "{}"
				}
				if string(r.Body) != body {
					t.Errorf("got the body %q, want %q", r.Body, body)
				}
				kept := r.Header.Get("Content-Type") != "" && r.Header.Get("Content-Language") != ""
				if kept != (want == method) || r.Header.Get("X-Y") != "z" {
					t.Errorf("got the header %v", r.Header)
				}
				if got := r.Header.Get("Accept"); got != "text/event-stream" {
					t.Errorf("got Accept %q", got)
				}
				f.wantElapsed(0)
				f.wantStates("connecting 1", "open 1", "closed 1")
			})
		}
	}
}

// Every attempt begins at the client's URL, and every request has the last
// event ID.
func TestRedirectOnEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, redirect(308, "/a"), redirect(307, "b?c=d"), answer("id: 1\ndata: a\n\n"),
			redirect(302, "/a"), answer("id: \x01\ndata: b\n\n"),
			redirect(302, "/a?c=d"), held("data: c\n\n"))
		f.client.URL += "/start"
		f.mustReceive(3)
		var got []string
		for _, r := range f.script.Requests() {
			got = append(got, r.URL.Path+"?"+r.URL.Query().Get("c"))
		}
		want := []string{"/start?", "/a?", "/b?d", "/start?", "/a?", "/start?", "/a?d"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		want = []string{"-", "-", "-", "1", "1", "query \x01", "query \x01"}
		if got := f.sentIDs(); !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
	})
}

// Fetch 4.4: "If locationURL is null, then return response", "If locationURL is
// failure, then return a network error", "If request's redirect count is 20,
// then return a network error."
func TestRedirectsThatFail(t *testing.T) {
	for _, test := range []struct {
		name     string
		response ssetest.Response
		requests int
		status   int // of the *ResponseError, or 0 for another error
	}{
		{"no Location", refusal(302), 1, 302},
		{"empty Location", refusal(301, "Location", ""), 1, 301},
		{"no redirect", refusal(300, "Location", "/x"), 1, 300},
		{"not modified", refusal(304, "Location", "/x"), 1, 304},
		{"ftp", redirect(302, "ftp://one.example/"), 1, 0},
		{"javascript", redirect(302, "javascript:alert(1)"), 1, 0},
		{"no host", redirect(302, "http:///x"), 1, 0},
		{"loop", redirect(302, "/x"), 21, 0},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.response)
			err := f.mustFail()
			var got *sse.ResponseError
			if errors.As(err, &got) != (test.status != 0) || got != nil && got.StatusCode != test.status {
				t.Errorf("got the error %v, want a *ResponseError: %v", err, test.status != 0)
			}
			f.wantRequests(test.requests)
			f.wantElapsed(0)
			f.wantNoConnection()
		})
	}
	for _, location := range []string{"http://a b/", "/%zz", ":"} {
		inBubble(t, location, func(t *testing.T) {
			f := newFixture(t, redirect(302, location))
			f.client.MaxRetries = -1 // because the client would retry after this error of net/http
			if err := f.mustFail(); !strings.Contains(err.Error(), location) {
				t.Errorf("got the error %v, want an error that names %q", err, location)
			}
			f.wantRequests(1)
			f.wantNoConnection()
		})
	}
	inBubble(t, "20", func(t *testing.T) { // the client follows 20 redirects
		f := newFixture(t, append(times(20, redirect(307, "/x")), held("data: a\n\n"))...)
		f.mustReceive(1)
	})
}

// After a redirect to another origin, the request contains no credentials. (The client
// of donovanhide/eventsource sends Authorization to the other origin.)
func TestRedirectCredentials(t *testing.T) {
	for _, test := range []struct {
		location string
		host     string // of the second request
		same     bool   // the location has the origin of the client's URL
	}{
		{"/x", "one.example", true},
		{"x?y", "one.example", true},
		{"http://one.example/x", "one.example", true},
		{"http://ONE.example:80/x", "ONE.example:80", true},
		{"//one.example/x", "one.example", true},

		{"https://one.example/x", "one.example", false},
		{"https://one.example:80/x", "one.example:80", false},
		{"http://one.example:8080/x", "one.example:8080", false},
		{"http://two.example/x", "two.example", false},
		{"//two.example/x", "two.example", false},
		{"http://sub.one.example/x", "sub.one.example", false},
		{"http://example/x", "example", false},
		{"http://one.example@two.example/x", "two.example", false},
		{"http://127.0.0.1/x", "127.0.0.1", false},
	} {
		for _, status := range []int{301, 303, 307} {
			inBubble(t, fmt.Sprintf("%d %s", status, test.location), func(t *testing.T) {
				f, hosts := newOrigins(t, redirect(status, test.location), answer("data: a\n\n"),
					held("data: b\n\n"))
				f.client.LastEventID = "5"
				f.client.Header = http.Header{
					"Authorization": {"secret"}, "Cookie": {"secret=1"}, "X-Api-Key": {"secret"},
					"x-lower": {"secret"}, "Proxy-Authorization": {"secret"}, "Accept-Language": {"de"},
				}
				f.client.Prepare = func(r *http.Request) error {
					r.Header.Set("X-Fresh", "secret")
					return nil
				}
				f.mustReceive(2)
				requests := f.script.Requests()
				if got := hosts()[1]; got != test.host {
					t.Errorf("the second request is for the host %q, want %q", got, test.host)
				}
				for i, want := range []bool{true, test.same, true} { // the third request is a new attempt
					for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "X-Lower",
						"Proxy-Authorization", "X-Fresh"} {
						got := requests[i].Header.Get(name)
						if strings.Contains(got, "secret") != want {
							t.Errorf("request %d: got %s %q, want the secret: %v", i+1, name, got, want)
						}
					}
					if got := requests[i].Header.Get("Accept-Language"); got != "de" {
						t.Errorf("request %d: got Accept-Language %q, want de", i+1, got)
					}
				}
				if got, want := f.sentIDs(), []string{"5", "5", "5"}; !slices.Equal(got, want) {
					t.Errorf("sent the IDs %q, want %q", got, want)
				}
			})
		}
	}
}

// An https URL with the port 443 has the same origin as the URL without a port.
func TestRedirectDefaultPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newOrigins(t, redirect(307, "https://one.example:443/x"),
			redirect(307, "https://one.example:80/x"), held("data: a\n\n"))
		f.client.URL = "https://one.example/events"
		f.client.Header = http.Header{"Authorization": {"secret"}}
		f.mustReceive(1)
		for i, r := range f.script.Requests() {
			if got := r.Header.Get("Authorization"); (got != "") != (i < 2) {
				t.Errorf("request %d has Authorization %q", i+1, got)
			}
		}
	})
}

// After a redirect to another origin and back, the credentials do not return.
// Fetch 4.4 removes Authorization from the request, and never adds it again.
func TestRedirectBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newOrigins(t, redirect(307, "http://two.example/"),
			redirect(307, "http://one.example/events"), held("data: a\n\n"))
		f.client.Header = http.Header{"Authorization": {"secret"}}
		f.mustReceive(1)
		for i, r := range f.script.Requests()[1:] {
			if got := r.Header.Get("Authorization"); got != "" {
				t.Errorf("request %d has Authorization %q", i+2, got)
			}
		}
	})
}

// The user and the password in the client's URL are credentials, too: a request to
// another origin does not contain them.
func TestRedirectUserInURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newOrigins(t, redirect(307, "/x"), redirect(307, "//two.example/x"),
			held("data: a\n\n"))
		f.client.URL = "http://me:secret@one.example/events"
		f.mustReceive(1)
		for i, r := range f.script.Requests() {
			if got := r.Header.Get("Authorization"); (got != "") != (i < 2) {
				t.Errorf("request %d has Authorization %q", i+1, got)
			}
		}
	})
}

// A Host that Prepare has set applies to all requests to the origin of the client's
// URL, as in net/http.
func TestRedirectHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hosts := newOrigins(t, redirect(307, "/x"), redirect(307, "http://two.example/"),
			held("data: a\n\n"))
		f.client.Prepare = func(r *http.Request) error {
			r.Host = "virtual.example"
			return nil
		}
		f.mustReceive(1)
		want := []string{"virtual.example", "virtual.example", "two.example"}
		if got := hosts(); !slices.Equal(got, want) {
			t.Errorf("got the hosts %q, want %q", got, want)
		}
	})
}

// After each redirect, the request contains the cookies that the jar has then for its
// URL. Here the response of /login replaces the cookie "session", removes the cookie
// "old", and sets the cookie "here", which is for the path /login only.
func TestRedirectCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		login := redirect(302, "/events")
		login.Header["Set-Cookie"] = []string{"session=new; Path=/", "old=; Path=/; Max-Age=0",
			"here=1; Path=/login"}
		f, _ := newOrigins(t, redirect(302, "/login"), login, answer("data: a\n\n"),
			redirect(302, "http://two.example/"), held("data: b\n\n"))
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		f.client.HTTPClient.Jar = jar
		one, err := http.NewRequest("GET", f.client.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(one.URL, []*http.Cookie{{Name: "session", Value: "stale", Path: "/"},
			{Name: "old", Value: "1", Path: "/"}})
		f.mustReceive(2)
		var got []string
		for _, r := range f.script.Requests() {
			cookies := strings.Split(strings.Join(r.Header["Cookie"], "; "), "; ")
			slices.Sort(cookies)
			got = append(got, strings.Join(cookies, "; "))
		}
		want := []string{"old=1; session=stale", "old=1; session=stale", "session=new",
			"session=new", ""}
		if !slices.Equal(got, want) {
			t.Errorf("got the cookies %q, want %q", got, want)
		}
	})
}

// The client calls CheckRedirect of the caller's http.Client before each redirect. As
// in net/http, CheckRedirect decides whether the client follows the redirect, fails, or
// uses the last response.
func TestCheckRedirect(t *testing.T) {
	refused := errors.New("not there")
	for _, test := range []struct {
		name     string
		err      error
		requests int
	}{{"follow", nil, 4}, {"error", refused, 2}, {"use last", http.ErrUseLastResponse, 2}} {
		inBubble(t, test.name, func(t *testing.T) {
			second := redirect(302, "/2")
			second.Chunks = []string{"moved"}
			f := newFixture(t, redirect(302, "/1"), second, redirect(302, "/3"), held("data: a\n\n"))
			n := 0
			f.client.HTTPClient.CheckRedirect = func(next *http.Request, via []*http.Request) error {
				n++
				if got, want := next.URL.Path, "/"+strconv.Itoa(n); got != want || len(via) != n {
					t.Errorf("CheckRedirect is called for %q after %d requests, want %q after %d", got, len(via), want, n)
				}
				if via[0].URL.Path != "" || next.Response == nil {
					t.Errorf("the first request is for %q, the response is %v", via[0].URL.Path, next.Response)
				}
				next.Header.Set("X-Hop", strconv.Itoa(n))
				if n == 2 {
					return test.err
				}
				return nil
			}
			events, err := f.receive(t.Context(), 1)
			var response *sse.ResponseError
			switch test.err {
			case nil:
				wantData(t, events, "a")
			case refused:
				wantError(t, err, refused)
			default:
				if !errors.As(err, &response) || string(response.Body) != "moved" {
					t.Errorf("got the error %v, want the response", err)
				}
			}
			f.wantRequests(test.requests)
			for i, r := range f.script.Requests()[1:] {
				if got := r.Header.Get("X-Hop"); got != strconv.Itoa(i+1) {
					t.Errorf("request %d: got X-Hop %q", i+2, got)
				}
			}
			f.wantNoConnection()
		})
	}
}

// If GetBody fails for a redirect, the attempt fails, as for the first request.
func TestRedirectGetBodyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, redirect(307, "/x"), redirect(307, "/x"), held("data: a\n\n"))
		failed, n := errors.New("no body today"), 0
		f.client.Method, f.client.Resend = "REPORT", always
		f.client.GetBody = func() (io.Reader, error) {
			if n++; n == 2 {
				return nil, failed
			}
			return strings.NewReader("{}"), nil
		}
		f.mustReceive(1)
		f.wantRequestsAt(0, time.Second, time.Second)
		wantError(t, f.states[1].Err, failed)
	})
}
