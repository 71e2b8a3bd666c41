package hub_test

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
	"github.com/sse-go/sse/internal/testrand"
)

const (
	page = "https://app.example"
	evil = "https://evil.example"
)

// A web page can neither publish nor read, unless it is a page of the hub or --cors
// allows its origin.
func TestOrigins(t *testing.T) {
	open := hubtest.Start(t, hub.Config{})
	cors := hubtest.Start(t, hub.Config{Origins: []string{page}})
	own := "http://HOST"
	for _, test := range []struct {
		name         string
		origin, site string
		more         string
		closed, cors int // the expected status of the hubs open and cors
	}{
		{"no browser", "", "", "", 200, 200},
		{"own page", "", "same-origin", "", 200, 200},
		{"own page with an Origin", own, "same-origin", "", 200, 200},
		{"own page, old browser", own, "", "", 200, 200},
		{"opened by a person", "", "none", "", 200, 200},
		{"listed page", page, "cross-site", "", 403, 200},
		{"listed page, old browser", page, "", "", 403, 200},
		{"other page", evil, "cross-site", "", 403, 403},
		{"other page, old browser", evil, "", "", 403, 403},
		{"other port", "http://localhost:1", "same-site", "", 403, 403},
		{"other scheme", "https://app.example:444", "same-site", "", 403, 403},
		{"opaque origin", "null", "cross-site", "", 403, 403},
		{"image", "", "cross-site", "", 403, 403},
	} {
		for _, h := range []*hubtest.Hub{open, cors} {
			want := test.closed
			if h == cors {
				want = test.cors
			}
			var header []string
			if test.origin != "" {
				header = append(header, "Origin", strings.Replace(test.origin, "HOST", h.Addr, 1))
			}
			if test.site != "" {
				header = append(header, "Sec-Fetch-Site", test.site)
			}
			for _, request := range [][2]string{
				{"GET", "/news?follow=0"}, {"POST", "/news"}, {"PUT", "/log"}, {"POST", "/-/batch?topic=a"},
				{"POST", "/-/login"}, {"POST", "/-/tickets?topic=a"}, {"POST", "/-/logout"},
			} {
				got := h.Do(request[0], request[1], "", header...)
				if got.StatusCode != want {
					t.Errorf("%s: %s %s: %d %s, want %d", test.name, request[0], request[1], got.StatusCode, got.Text, want)
				}
				allowed := ""
				if test.origin == page && h == cors {
					allowed = page
				}
				if got := got.Header.Get("Access-Control-Allow-Origin"); got != allowed {
					t.Errorf("%s: %s: Access-Control-Allow-Origin is %q, want %q", test.name, request, got, allowed)
				}
			}
		}
	}
	for _, want := range []string{"--cors " + page + " allows it", "--cors " + evil, "--cors http://localhost:1 "} {
		if n := strings.Count(open.Logs(), want); n != 1 {
			t.Errorf("the log has %q %d times, want once:\n%s", want, n, open.Logs())
		}
	}
}

// A proxy on this machine that rewrites Host does not give other machines access to a
// hub without keys, unless --insecure is set. The hub recognizes the proxy by the
// headers that the proxy adds.
func TestProxies(t *testing.T) {
	keys := hubtest.Keys(t, "k 0123456789abcdef publish ** subscribe **")
	bearer := []string{"Authorization", "Bearer 0123456789abcdef"}
	for _, test := range []struct {
		name      string
		config    hub.Config
		leaveMark bool // whether the proxy adds headers
		header    []string
		want      int
	}{
		{"neither keys nor --insecure", hub.Config{}, true, nil, 403},
		{"--host", hub.Config{Hosts: []string{"hub.example"}}, true, nil, 403},
		{"--insecure", hub.Config{Insecure: true}, true, nil, 200},
		{"keys", hub.Config{Keys: keys}, true, bearer, 200},
		{"a proxy that leaves no mark", hub.Config{}, false, nil, 200}, // see sse serve -h
	} {
		h := hubtest.Start(t, test.config)
		target, err := url.Parse(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if test.leaveMark {
				r.SetXForwarded()
			}
		}})
		t.Cleanup(proxy.Close)
		for _, request := range [][2]string{{"POST", "/news"}, {"GET", "/news?follow=0"}} {
			r, err := http.NewRequest(request[0], proxy.URL+request[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(test.header) > 0 {
				r.Header.Set(test.header[0], test.header[1])
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.want {
				t.Errorf("%s: %s: %s, want %d", test.name, request, response.Status, test.want)
			}
		}
		reports := strings.Count(h.Logs(), `hint="--keys FILE or --insecure allows it"`)
		if want := map[int]int{403: 1}[test.want]; reports != want {
			t.Errorf("%s: the log reports it %d times, want %d:\n%s", test.name, reports, want, h.Logs())
		}
	}
}

func TestPreflight(t *testing.T) {
	h := hubtest.Start(t, hub.Config{Origins: []string{page}})
	header := []string{"Access-Control-Request-Method", "POST", "Sec-Fetch-Site", "cross-site"}
	got := h.Do("OPTIONS", "/news", "", append(header, "Origin", page)...)
	if got.StatusCode != 204 || got.Header.Get("Access-Control-Allow-Credentials") != "true" ||
		!strings.Contains(got.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Errorf("preflight of a listed page: %d %v", got.StatusCode, got.Header)
	}
	got = h.Do("OPTIONS", "/news", "", append(header, "Origin", evil)...)
	if got.StatusCode != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another page: %d %v", got.StatusCode, got.Header)
	}
}

func TestAnyOrigin(t *testing.T) {
	h := hubtest.Start(t, hub.Config{Origins: []string{"*"},
		Keys: hubtest.Keys(t, "k 0123456789abcdef publish ** subscribe **")})
	got := h.Do("POST", "/news", "x", "Origin", evil, "Sec-Fetch-Site", "cross-site",
		"Authorization", "Bearer 0123456789abcdef")
	if got.StatusCode != 200 || got.Header.Get("Access-Control-Allow-Origin") != "*" ||
		got.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
}

func TestKeys(t *testing.T) {
	const all, some = "Bearer aaaaaaaaaaaaaaaa", "Bearer ssssssssssssssss"
	h := hubtest.Start(t, hub.Config{Data: t.TempDir(), Keys: hubtest.Keys(t,
		"all aaaaaaaaaaaaaaaa publish ** subscribe ** delete **",
		"some ssssssssssssssss publish jobs/* subscribe public/**")})
	for _, test := range []struct {
		method, path, key string
		want              int
	}{
		{"GET", "/news?follow=0", "", 401}, {"POST", "/news", "", 401}, {"DELETE", "/news", "", 401},
		{"PUT", "/news", "", 401}, {"POST", "/-/batch?topic=a", "", 401}, {"POST", "/-/tickets?topic=a", "", 401},
		{"GET", "/-/events?pattern=**&follow=0", "", 401}, {"HEAD", "/news", "", 401},
		{"GET", "/news?follow=0", "Bearer wrong", 401}, {"GET", "/news?follow=0", "Basic YTpi", 401},
		{"GET", "/-/healthz", "", 200}, {"GET", "/-/readyz", "", 200},

		{"GET", "/news?follow=0", all, 200}, {"POST", "/news", all, 200}, {"DELETE", "/news", all, 204},
		{"GET", "/**?follow=0", all, 200},

		{"GET", "/news?follow=0", some, 403}, {"GET", "/public/a?follow=0", some, 200},
		{"GET", "/public/a,news?follow=0", some, 403}, {"GET", "/**?follow=0", some, 403},
		{"GET", "/public/*?follow=0", some, 200}, {"GET", "/-/events?topic=public%2Fa&pattern=*&follow=0", some, 403},
		{"GET", "/news?follow=0&since=earliest", some, 403}, {"GET", "/news?since=earliest", some, 403},
		{"POST", "/news", some, 403}, {"POST", "/jobs/1", some, 200}, {"POST", "/jobs/1,news", some, 403},
		{"PUT", "/news", some, 403}, {"PUT", "/jobs/1", some, 200}, {"POST", "/public/a", some, 403},
		{"DELETE", "/jobs/1", some, 403}, {"DELETE", "/-/events?topic=jobs%2F1", some, 403},
		{"POST", "/-/batch?topic=jobs%2F1", some, 200}, {"POST", "/-/batch?topic=news", some, 403},
		{"POST", "/-/tickets?topic=news", some, 403}, {"POST", "/-/tickets?topic=public%2Fa", some, 200},
	} {
		var header []string
		if test.key != "" {
			header = []string{"Authorization", test.key}
		}
		got := h.Do(test.method, test.path, "", header...)
		if got.StatusCode != test.want {
			t.Errorf("%s %s with %q: %d %s, want %d", test.method, test.path, test.key, got.StatusCode, got.Text, test.want)
		}
		if set := got.Header.Get("WWW-Authenticate") != ""; set != (test.want == 401) {
			t.Errorf("%s %s: %d, and WWW-Authenticate is set: %v", test.method, test.path, got.StatusCode, set)
		}
	}
	got := h.Do("POST", "/-/batch", `{"topics":["news"],"data":"x"}`, "Authorization", some)
	if got.StatusCode != 403 {
		t.Errorf("a batch with a topic that is not granted: %d %s", got.StatusCode, got.Text)
	}
}

func TestLogin(t *testing.T) {
	const secret = "0123456789abcdef"
	h := hubtest.Start(t, hub.Config{Keys: hubtest.Keys(t, "k "+secret+" publish ** subscribe **")})
	for _, test := range []struct {
		body, kind string
		want       int
	}{
		{"key=" + secret, "application/x-www-form-urlencoded", 200},
		{`{"key":"` + secret + `"}`, "application/json", 200},
		{"key=wrong", "application/x-www-form-urlencoded", 401},
		{"", "", 400}, {"{", "application/json", 400},
		{strings.Repeat("x", 5000), "", 413}, {"--x--", "multipart/form-data; boundary=x", 415},
	} {
		got := h.Do("POST", "/-/login", test.body, "Content-Type", test.kind)
		if got.StatusCode != test.want || (len(got.Cookies()) > 0) != (test.want == 200) {
			t.Errorf("login with %.20s: %d %s, want %d", test.body, got.StatusCode, got.Text, test.want)
		}
	}
	cookie := h.Do("POST", "/-/login", "key="+secret).Cookies()[0]
	header := []string{"Cookie", cookie.Name + "=" + cookie.Value}
	if got := h.Do("GET", "/news?follow=0", "", header...); got.StatusCode != 200 {
		t.Errorf("with the cookie: %d %s", got.StatusCode, got.Text)
	}
	// A page of another origin sends the same cookie, but is refused.
	foreign := []string{header[0], header[1], "Origin", evil, "Sec-Fetch-Site", "cross-site"}
	for _, method := range []string{"GET", "POST"} {
		if got := h.Do(method, "/news", "", foreign...); got.StatusCode != 403 {
			t.Errorf("%s by a page of another origin: %d %s", method, got.StatusCode, got.Text)
		}
	}
	out := h.Do("POST", "/-/logout", "", header...).Cookies()
	if len(out) != 1 || out[0].MaxAge >= 0 {
		t.Errorf("logging out sets %v", out)
	}
}

func TestTickets(t *testing.T) {
	const secret = "0123456789abcdef"
	h := hubtest.Start(t, hub.Config{
		Origins: []string{page}, Keys: hubtest.Keys(t, "k "+secret+" publish ** subscribe **"),
	})
	ticket := func(query string, header ...string) string {
		t.Helper()
		got := h.Do("POST", "/-/tickets?"+query, "", append(header, "Authorization", "Bearer "+secret)...)
		if got.StatusCode != 200 {
			t.Fatalf("a ticket for %s: %d %s", query, got.StatusCode, got.Text)
		}
		return strings.TrimSpace(got.Text)
	}
	use := func(path, ticket string, header ...string) int {
		return h.Do("GET", path+"?follow=0&ticket="+url.QueryEscape(ticket), "", header...).StatusCode
	}
	x := ticket("topic=news&pattern=room/*")
	if got := use("/news", x); got != 200 {
		t.Errorf("first use of a ticket: %d", got)
	}
	if got := use("/news", x); got != 401 {
		t.Errorf("second use of a ticket: %d", got)
	}
	for _, test := range []struct {
		name, path string
		origin     []string
		want       int
	}{
		{"its pattern", "/room/*", nil, 200},
		{"its topic and its pattern", "/news,room/*", nil, 200},
		{"another topic", "/sport", nil, 403},
		{"a wider pattern", "/**", nil, 403},
		{"another origin", "/news", []string{"Origin", page, "Sec-Fetch-Site", "cross-site"}, 403},
	} {
		if got := use(test.path, ticket("topic=news&pattern=room/*"), test.origin...); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	cross := []string{"Origin", page, "Sec-Fetch-Site", "cross-site"}
	if got := use("/news", ticket("topic=news&origin="+url.QueryEscape(page)), cross...); got != 200 {
		t.Errorf("a ticket with the origin in the query: %d", got)
	}
	if got := use("/news", ticket("topic=news", cross...), cross...); got != 200 {
		t.Errorf("a ticket for the page that requested it: %d", got)
	}
	if got := h.Do("POST", "/news?ticket="+ticket("topic=news"), ""); got.StatusCode != 400 {
		t.Errorf("publishing with a ticket: %d %s", got.StatusCode, got.Text)
	}
	if logs := h.Logs(); strings.Contains(logs, secret) || strings.Contains(logs, x) {
		t.Errorf("the log contains a secret:\n%s", logs)
	}
}

// A ticket opens one stream, and cannot be used again.
func TestTicketForAStream(t *testing.T) {
	const secret = "0123456789abcdef"
	h := hubtest.Start(t, hub.Config{Keys: hubtest.Keys(t, "k "+secret+" publish ** subscribe **")})
	auth := []string{"Authorization", "Bearer " + secret}
	ticket := strings.TrimSpace(h.Do("POST", "/-/tickets?topic=news", "", auth...).Text)
	mustPublish(t, h, "/news", "1", auth...)
	if got := readUntil(t, h, "/news?since=earliest&ticket="+ticket, "1"); !strings.Contains(got, "data: 1") {
		t.Errorf("the stream is %q", got)
	}
	if response, err := http.Get(h.URL + "/news?ticket=" + ticket); err != nil || response.StatusCode != 401 {
		t.Errorf("second use of a ticket: %v, %v", response, err)
	}
}

// TestPositionsRevealNothing plays a client that may read only the topic news. The
// client tries to find out which of 1,000 values an event of the topic secret has. It
// compares the Check of a position that the hub sends with the Check that it computes
// for each possible event. It knows the time at which the event was published, but not
// the log's key.
func TestPositionsRevealNothing(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		const trials, values = 100, 1000
		rng, found := testrand.New(t), 0
		for range trials {
			value := fmt.Sprint("value ", rng.IntN(values))
			mustPublish(t, h, "/secret", value)
			at, err := time.Parse(time.RFC3339, history(t, h, "/secret?since=-1&follow=0")[0].Time)
			if err != nil {
				t.Fatal(err)
			}
			page := h.Do("GET", "/news?since=latest&follow=0", "").Text
			id, _, _ := strings.Cut(strings.TrimPrefix(page, "id: "), "\n")
			seen, err := sse.ParsePosition(id)
			if err != nil {
				t.Fatalf("%q: %v", page, err)
			}
			for i := range values {
				guess := sse.Entry{
					Position: seen, Time: at, Topics: []string{"secret"},
					Event: sse.Event{Data: fmt.Sprint("value ", i)},
				}
				if guess.Check([16]byte{}) == seen.Check || checkWithoutKey(&guess) == seen.Check {
					if guess.Event.Data == value {
						found++
					}
					break
				}
			}
		}
		// A client that only guesses finds more than four of the values in one of 13
		// million runs of this test.
		if found > 4 {
			t.Errorf("the positions revealed %d of %d values", found, trials)
		}
	})
}

// checkWithoutKey returns the Check that the position of an event had in earlier
// versions, which used no key.
func checkWithoutKey(e *sse.Entry) uint32 {
	crc := uint32(1)
	number := func(n int64) {
		crc = bits.RotateLeft32(crc, 13) ^ (uint32(n)+uint32(n>>32)*31)*0x9E3779B1
	}
	for _, text := range append(e.Topics, e.Event.ID, e.Event.Type, e.Event.Data) {
		number(int64(len(text)))
		crc = crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), []byte(text))
	}
	number(int64(e.Event.Retry))
	number(e.Time.UnixNano())
	return crc
}
