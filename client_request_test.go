package sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

func TestRequestDefaults(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		f := newFixtureWith(t, opts, held("data: a\n\n"))
		f.client.URL += "/events?x=1"
		f.mustReceive(1)
		r := f.script.Requests()[0]
		if r.Method != "GET" || r.URL.String() != "/events?x=1" || len(r.Body) != 0 {
			t.Errorf("got %s %s with the body %q", r.Method, r.URL, r.Body)
		}
		for name, want := range map[string]string{
			"Accept":          "text/event-stream", // HTML 9.2.2
			"Cache-Control":   "no-cache",          // HTML 9.2.2, for the cache mode no-store
			"Accept-Encoding": "identity",
			"Last-Event-Id":   "",
			"Content-Type":    "",
		} {
			if got := strings.Join(r.Header[name], "|"); got != want {
				t.Errorf("got %s %q, want %q", name, got, want)
			}
		}
	})
}

func TestRequestHeader(t *testing.T) {
	inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
		f := newFixtureWith(t, opts, answer("id: 1\ndata: a\n\n"), held("data: b\n\n"))
		f.client.Header = http.Header{
			"Accept":          {"application/x-events"},
			"cache-control":   {"max-age=0"}, // not canonical
			"Accept-Encoding": {"br"},
			"Authorization":   {"Bearer t"},
			"X-Many":          {"1", "2"},
			"User-Agent":      {"tester"},
			"X-Empty":         {""},
		}
		before := fmt.Sprint(f.client.Header)
		f.mustReceive(2)
		if after := fmt.Sprint(f.client.Header); after != before {
			t.Errorf("the client's Header is %v, was %v", after, before)
		}
		for i, r := range f.script.Requests() {
			for name, want := range map[string]string{
				"Accept": "application/x-events", "Cache-Control": "max-age=0",
				"Accept-Encoding": "br", "Authorization": "Bearer t", "X-Many": "1|2",
				"User-Agent": "tester", "X-Empty": "",
			} {
				if got := strings.Join(r.Header[name], "|"); got != want || len(r.Header[name]) == 0 {
					t.Errorf("request %d: got %s %q, want %q", i+1, name, got, want)
				}
			}
		}
	})
}

func TestRequestUserInURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, answer("data: a\n\n"), held("data: b\n\n"))
		f.client.URL = strings.Replace(f.client.URL, "://", "://me:secret@", 1)
		f.mustReceive(2)
		for _, r := range f.script.Requests() {
			if got, want := r.Header.Get("Authorization"), "Basic bWU6c2VjcmV0"; got != want {
				t.Errorf("got Authorization %q, want %q", got, want)
			}
		}
	})
}

// No error contains the password of the URL, however malformed the URL is.
func TestPasswordIsNotReported(t *testing.T) {
	for _, url := range []string{
		"ftp://me:secret@host/", "me:secret@host/", "//me:secret@host/", "http:me:secret@host/",
		"http:///me:secret@host/", "http://me:secret@", "http://me:secret@host:port/",
		"http://me:secret@a b/", "http://me:secret%zz@host/", "http://me:%secret@host/",
		"http://me:secret@host/%zz", "http://me:se secret@host/",
		"http://me:secret/@host/", "http://me:secret@[::1/", "http://me:secret@[secret]/",
		"http://me:\x01secret@host/", ":secret@host", "http://me:secret@host:70000000/",
	} {
		client := &sse.Client{URL: url, MaxRetries: -1}
		client.HTTPClient = &http.Client{Transport: failingTransport{}}
		count := 0
		for _, err := range client.Events(t.Context()) {
			if count++; err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: got the error %v, want one without the password", url, err)
			}
		}
		if count != 1 {
			t.Errorf("%q: got %d values, want 1", url, count)
		}
	}
}

// failingTransport fails every request.
type failingTransport struct{}

func (failingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("failed")
}

// Client.Body is the body of every request, also after a redirect that preserves the
// method. Content-Length is the length of Body, even if Body is empty.
func TestRequestConstantBody(t *testing.T) {
	for _, body := range []string{"question", ""} {
		inBubble(t, body, func(t *testing.T) {
			script := &ssetest.Script{Responses: []ssetest.Response{
				refusal(503), refusal(307, "Location", "/other"), held("data: end\n\n")}}
			var lengths []int64
			server := ssetest.NewServer(t, http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					lengths = append(lengths, r.ContentLength)
					script.ServeHTTP(w, r)
				}), nil)
			f := &fixture{t: t, script: script, server: server, client: &sse.Client{
				URL: server.URL(), HTTPClient: server.Client(),
				Method: "POST", Resend: always, Body: []byte(body),
			}}
			f.receiveUntil("end")
			f.wantRequests(3)
			for i, r := range script.Requests() {
				if string(r.Body) != body {
					t.Errorf("request %d: got the body %q, want %q", i+1, r.Body, body)
				}
			}
			n := int64(len(body))
			if want := []int64{n, n, n}; !slices.Equal(lengths, want) {
				t.Errorf("got the content lengths %v, want %v", lengths, want)
			}
		})
	}
}

// A request can have any method, for example REPORT, and a body from GetBody.
func TestRequestBody(t *testing.T) {
	for _, test := range []struct {
		name   string
		method string
		body   func(string) io.Reader
		length int64 // the Content-Length that the server sees; -1 if there is none
	}{
		{"strings.Reader", "REPORT", func(s string) io.Reader { return strings.NewReader(s) }, 6},
		{"bytes.Buffer", "POST", func(s string) io.Reader { return bytes.NewBufferString(s) }, 6},
		{"bytes.Reader", "PUT", func(s string) io.Reader { return bytes.NewReader([]byte(s)) }, 6},
		{"another", "QUERY", func(s string) io.Reader {
			return io.MultiReader(strings.NewReader(s))
		}, -1},
		{"closer", "REPORT", func(s string) io.Reader {
			return io.NopCloser(io.MultiReader(strings.NewReader(s)))
		}, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
				var lengths []int64
				script := &ssetest.Script{Responses: []ssetest.Response{
					answer("data: a\n\n"), broken(), refusal(503), held("data: end\n\n")}}
				server := ssetest.NewServer(t, http.HandlerFunc(
					func(w http.ResponseWriter, r *http.Request) {
						lengths = append(lengths, r.ContentLength)
						script.ServeHTTP(w, r)
					}), opts)
				n := 0
				f := &fixture{t: t, script: script, server: server, client: &sse.Client{
					URL: server.URL(), HTTPClient: server.Client(), Method: test.method, Resend: always,
					Header: http.Header{"Content-Type": {"application/json"}},
					GetBody: func() (io.Reader, error) {
						n++
						return test.body(fmt.Sprintf(`{"n":%d}`, n)[:6]), nil
					},
				}}
				f.receiveUntil("end")
				f.wantRequests(4)
				for i, r := range script.Requests() {
					if want := fmt.Sprintf(`{"n":%d`, i+1); string(r.Body) != want {
						t.Errorf("request %d: got the body %q, want %q", i+1, r.Body, want)
					}
					if r.Method != test.method || r.Header.Get("Content-Type") != "application/json" {
						t.Errorf("request %d: got %s, %v", i+1, r.Method, r.Header)
					}
				}
				if want := slices.Repeat([]int64{test.length}, 4); !slices.Equal(lengths, want) {
					t.Errorf("got the content lengths %v, want %v", lengths, want)
				}
			})
		})
	}
}

// By default, the client does not send a POST again after a failure, because the
// server may have executed it already. (In Azure/fetch-event-source#54, clients
// paid twice.)
func TestPostIsNotReplayed(t *testing.T) {
	for _, test := range []struct {
		name     string
		response ssetest.Response
		ends     bool // without an error
	}{
		{"no server", ssetest.Response{}, false},
		{"refused", refusal(503), false},
		{"refused for a while", refusal(429, "Retry-After", "1"), false},
		{"cut before the headers", ssetest.Response{Delay: time.Hour}, false},
		{"cut at once", broken(), false},
		{"cut", broken("data: a\n\n"), false},
		{"end inside of an event", answer("data: a\n"), false},
		{"clean end", answer("data: a\n\n"), true},
		{"idle", held("data: a\n\n"), false},
	} {
		for _, method := range []string{"POST", "REPORT", "PUT"} {
			inBubble(t, method+" "+test.name, func(t *testing.T) {
				f := newFixture(t, test.response, held("data: again\n\n"))
				forMethod(f.client, method)
				f.client.IdleTimeout = 2 * time.Hour
				want := 1
				switch {
				case test.name == "no server":
					f.server.Stop()
					time.AfterFunc(time.Second/2, f.server.Start)
					want = 0
				case test.response.Delay > 0:
					time.AfterFunc(time.Minute, f.server.CutAll)
				}
				_, err := f.receive(t.Context(), 2)
				if (err == nil) != test.ends {
					t.Errorf("got the error %v, want none: %v", err, test.ends)
				}
				f.wantRequests(want)
				if last := f.states[len(f.states)-1]; last.Attempt != 1 {
					t.Errorf("got %d attempts, want 1", last.Attempt)
				}
				if want == 0 {
					wantError(t, err, syscall.ECONNREFUSED)
				}
			})
		}
	}
}

// A failure of GetBody is like a network error: the client does not send a POST again,
// unless Resend allows it.
func TestGetBodyFails(t *testing.T) {
	for _, resend := range []bool{false, true} {
		inBubble(t, fmt.Sprintf("Resend %v", resend), func(t *testing.T) {
			f := newFixture(t, held("data: a\n\n"))
			failed, n := errors.New("no body today"), 0
			if f.client.Method = "POST"; resend {
				f.client.Resend = always
			}
			f.client.GetBody = func() (io.Reader, error) {
				if n++; n == 1 {
					return nil, failed
				}
				return strings.NewReader("{}"), nil
			}
			if !resend {
				wantError(t, f.mustFail(), failed)
				f.wantRequests(0)
				return
			}
			f.mustReceive(1)
			f.wantRequestsAt(time.Second)
			wantError(t, f.states[1].Err, failed)
		})
	}
}

// The client calls Prepare before each attempt, so that each request can have a
// new token.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, refusal(503), broken(), answer("id: 7\ndata: a\n\n"),
			held("data: b\n\n"))
		f.client.Header = http.Header{"Authorization": {"stale"}, "X-Y": {"z"}}
		f.client.MaxRetryDelay = -1
		n := 0
		failed := errors.New("no token today")
		f.client.Prepare = func(r *http.Request) error {
			switch n++; n {
			case 2:
				return failed
			case 5:
				if got := r.Header.Get("Last-Event-ID"); got != "7" {
					t.Errorf("Prepare sees Last-Event-ID %q, want 7", got)
				}
			}
			r.Header.Set("Authorization", fmt.Sprintf("token %d", n))
			r.Header.Add("X-Added", "once") // each attempt begins with the client's Header
			r.URL.RawQuery = fmt.Sprintf("n=%d", n)
			return nil
		}
		f.mustReceive(2)
		f.wantRequestsAt(0, 2*time.Second, 3*time.Second, 4*time.Second)
		var got []string
		for _, r := range f.script.Requests() {
			got = append(got, r.URL.RawQuery+" "+r.Header.Get("Authorization")+r.Header.Get("X-Y"))
			if added := r.Header["X-Added"]; len(added) != 1 {
				t.Errorf("got the header X-Added %q, want one value", added)
			}
		}
		want := []string{"n=1 token 1z", "n=3 token 3z", "n=4 token 4z", "n=5 token 5z"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if f.client.Header.Get("Authorization") != "stale" {
			t.Errorf("the client's Header has become %v", f.client.Header)
		}
		if change := f.states[3]; change.State != sse.StateRetrying || !errors.Is(change.Err, failed) {
			t.Errorf("got the state change %+v, want retrying for %v", change, failed)
		}
	})
}

// If Prepare sets an invalid header field, the request cannot be sent. The client does
// not retry.
func TestPrepareSetsAnInvalidHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"))
		f.client.Prepare = func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer token\n") // as read from a file
			return nil
		}
		if err := f.mustFail(); !strings.Contains(err.Error(), "Authorization") ||
			strings.Contains(err.Error(), "token") {
			t.Errorf("got the error %q, want an error that names the field and not its value", err)
		}
		f.wantElapsed(0)
		f.wantRequests(0)
	})
}

// Prepare may block: the context of its request is done as soon as the context of
// Events is done.
func TestPrepareIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("data: a\n\n"))
		f.client.Prepare = func(r *http.Request) error {
			<-r.Context().Done()
			return context.Cause(r.Context())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.receive(ctx, 0)
		wantError(t, err, context.DeadlineExceeded)
		f.wantElapsed(time.Minute)
	})
}

// The next attempt sends the cookies that the server has set.
func TestCookieJar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := answer("data: a\n\n")
		first.Header = http.Header{"Set-Cookie": {"node=7"}}
		f := newFixture(t, first, held("data: b\n\n"))
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		f.client.HTTPClient.Jar = jar
		f.mustReceive(2)
		if got := f.script.Requests()[1].Header.Get("Cookie"); got != "node=7" {
			t.Errorf("got the cookies %q, want node=7", got)
		}
	})
}

// The client does not change its HTTPClient. (The client of
// donovanhide/eventsource changes http.DefaultClient.)
func TestHTTPClientIsNotChanged(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			http.Redirect(w, r, "/events", http.StatusFound)
			return
		}
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer stream.Close()
		_ = stream.Send(sse.Event{Data: "a"})
		<-stream.Context().Done()
	}))
	defer server.Close()
	for _, client := range []*http.Client{nil, http.DefaultClient, {}} {
		f := &fixture{t: t, client: &sse.Client{URL: server.URL, HTTPClient: client}}
		if got := f.receiveUntil("a"); len(got) != 1 {
			t.Errorf("got %q", got)
		}
		if client == nil {
			client = http.DefaultClient
		}
		if client.CheckRedirect != nil || client.Jar != nil || client.Timeout != 0 ||
			client.Transport != nil {
			t.Errorf("the http.Client has become %+v", client)
		}
		if f.client.HTTPClient != nil && f.client.HTTPClient != client {
			t.Errorf("the field HTTPClient has become %p, was %p", f.client.HTTPClient, client)
		}
	}
}
