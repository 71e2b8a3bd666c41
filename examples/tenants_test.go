package examples_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
)

func TestTenants(t *testing.T) {
	path := builder(t)("tenants")
	t.Run("isolation", func(t *testing.T) { testIsolation(t, startTenants(t, path)) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, startTenants(t, path)) })
	t.Run("cookie", func(t *testing.T) { testCookie(t, startTenants(t, path)) })
	t.Run("logout", func(t *testing.T) { testLogout(t, startTenants(t, path)) })
	t.Run("expiry", func(t *testing.T) { testExpiry(t, startTenants(t, path, "-session=3s")) })
}

// tenants is a running server.
type tenants struct {
	*program
	t       *testing.T
	address string
}

func startTenants(t *testing.T, path string, args ...string) *tenants {
	t.Helper()
	p, address := startListening(t, path, append(args, "-addr=localhost:0")...)
	return &tenants{p, t, address}
}

func (s *tenants) login(user string) (token string) {
	s.t.Helper()
	response, text := s.curl(http.MethodPost, "/login", "", "user="+user)
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("login: %s", response.Status)
	}
	return strings.TrimSpace(text)
}

func (s *tenants) publish(token, path, text string) {
	s.t.Helper()
	if response, text := s.curl(http.MethodPost, path, token, text); response.StatusCode != http.StatusOK {
		s.t.Fatalf("POST %s: %s, %s", path, response.Status, text)
	}
}

// curl sends the request of
// `curl -X method -H 'Authorization: Bearer token' -d body path`, and fails the test if the
// response is a stream.
func (s *tenants) curl(method, path, token, body string) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") == "text/event-stream" {
		s.t.Fatalf("%s: the server sent a stream, want a refusal", path)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response, string(text)
}

// reader reads a stream until the test ends or the server refuses the stream.
type reader struct {
	t    *testing.T
	done chan struct{} // closed when reading has ended and err is set
	err  error

	mu      sync.Mutex    // guards the following
	got     []string      // data of the events so far
	changed chan struct{} // closed, and replaced, when got grows
}

// read starts to read a stream, and returns once the stream is open.
func (s *tenants) read(token, path string, via *http.Client) *reader {
	s.t.Helper()
	r := &reader{t: s.t, done: make(chan struct{}), changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	opened := make(chan struct{})
	open := sync.OnceFunc(func() { close(opened) })
	client := &sse.Client{
		URL:        "http://" + s.address + path,
		HTTPClient: via,
		Prepare: func(r *http.Request) error {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		},
		OnState: func(change sse.StateChange) {
			if change.State == sse.StateOpen {
				open()
			}
		},
	}
	go func() {
		defer close(r.done)
		for event, err := range client.Events(ctx) {
			if r.err = err; err == nil {
				r.add(event.Data)
			}
		}
	}()
	s.t.Cleanup(func() { cancel(); <-r.done })
	select {
	case <-opened:
	case <-r.done:
		s.t.Fatalf("%s: %v", path, r.err)
	}
	return r
}

func (r *reader) add(data string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, data)
	close(r.changed)
	r.changed = make(chan struct{})
}

// want waits for len(want) events, and checks that there are no other events.
func (r *reader) want(want ...string) {
	r.t.Helper()
	for {
		r.mu.Lock()
		got, changed := slices.Clone(r.got), r.changed
		r.mu.Unlock()
		if len(got) >= len(want) {
			if !slices.Equal(got, want) {
				r.t.Errorf("got %q, want %q", got, want)
			}
			return
		}
		select {
		case <-changed:
		case <-r.done:
			r.t.Fatalf("the stream has ended (%v) after %q, want %q", r.err, got, want)
		}
	}
}

// wantRefused waits until the stream ends, and checks the status of the refusal.
func (r *reader) wantRefused(status int) {
	r.t.Helper()
	<-r.done
	var refused *sse.ResponseError
	if !errors.As(r.err, &refused) || refused.StatusCode != status {
		r.t.Errorf("the stream has ended with %v, want status %d", r.err, status)
	}
}

// testIsolation checks that a user receives no event of another tenant, and none that
// the user's role excludes.
func testIsolation(t *testing.T, s *tenants) {
	ann, bob, eve := s.login("ann"), s.login("bob"), s.login("eve")
	all := s.read(ann, "/events", nil)
	clerk := s.read(bob, "/events", nil)
	orders := s.read(bob, "/events?topic=orders/2&topic=news", nil)
	other := s.read(eve, "/events", nil)
	// Whatever name eve requests, the server takes it for a topic of her own tenant.
	sly := s.read(eve, "/events?topic=acme/orders/1&topic=../acme/orders/1&topic=**&topic=acme/**"+
		"&topic=orders/2&since=earliest", nil)

	s.publish(bob, "/orders/1", "paid")
	s.publish(ann, "/billing", "due")
	s.publish(eve, "/orders/2", "hers")
	s.publish(bob, "/orders/2", "his")
	s.publish(eve, "/acme/orders/1", "forged")
	s.publish(ann, "/news", "the end")
	s.publish(eve, "/news", "her end")

	const (
		paid, due, his = `{"topic":"orders/1","text":"paid"}`, `{"topic":"billing","text":"due"}`, `{"topic":"orders/2","text":"his"}`
		hers, forged   = `{"topic":"orders/2","text":"hers"}`, `{"topic":"acme/orders/1","text":"forged"}`
		end, herEnd    = `{"topic":"news","text":"the end"}`, `{"topic":"news","text":"her end"}`
	)
	all.want(paid, due, his, end)
	clerk.want(paid, his, end)
	orders.want(his, end)
	other.want(hers, forged, herEnd)
	sly.want(hers, forged)
}

// testRefusals checks the status and body of refused requests.
func testRefusals(t *testing.T, s *tenants) {
	bob := s.login("bob")
	wantStatus := func(status int, text, method, path, token string) *http.Response {
		t.Helper()
		response, got := s.curl(method, path, token, "x")
		if response.StatusCode != status || !strings.HasPrefix(got, text) {
			t.Errorf("%s %s: %s, %q, want %d, %q", method, path, response.Status, got, status, text)
		}
		return response
	}
	const get, post = http.MethodGet, http.MethodPost
	response := wantStatus(401, "log in: ", get, "/events", "")
	if got := response.Header.Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("401 without a token has WWW-Authenticate %q, want Bearer", got)
	}
	wantStatus(401, "log in: ", get, "/events", "stolen")
	wantStatus(401, "log in: ", post, "/news", "")
	wantStatus(401, "log in: ", post, "/logout", "")
	wantStatus(403, `bob may not use "billing"`, get, "/events?topic=news&topic=billing", bob)
	wantStatus(403, `bob may not use "orders/1/items"`, get, "/events?topic=orders/1/items", bob)
	wantStatus(403, `bob may not use "billing"`, post, "/billing", bob)
	wantStatus(400, `sse: `, get, "/events?topic=a%0Ab", s.login("ann"))
	wantStatus(400, "sse: ", get, "/events?since=yesterday", bob)

	for range 3 {
		s.read(bob, "/events", nil)
	}
	response = wantStatus(503, "sse: ", get, "/events", bob)
	if response.Header.Get("Retry-After") == "" {
		t.Error("503 has no Retry-After")
	}
	s.read(s.login("ann"), "/events", nil) // the limit is per user
}

// testCookie uses the cookie of the login, as a browser does.
func testCookie(t *testing.T, s *tenants) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := browser.Post("http://"+s.address+"/login", "application/x-www-form-urlencoded",
		strings.NewReader("user=eve"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	stream := s.read("", "/events", browser)
	s.publish(s.login("eve"), "/news", "hello")
	stream.want(`{"topic":"news","text":"hello"}`)

	// A request that a page of another origin sends has the cookie, but is refused.
	request, err := http.NewRequest(http.MethodPost, "http://"+s.address+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err = browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a logout by another origin: %s, want 403", response.Status)
	}
}

// testLogout ends one of a user's two sessions. The stream of the other session must
// reconnect and continue without loss.
func testLogout(t *testing.T, s *tenants) {
	phone, desk, eve := s.login("ann"), s.login("ann"), s.login("eve")
	onPhone, onDesk := s.read(phone, "/events", nil), s.read(desk, "/events", nil)
	other := s.read(eve, "/events", nil)
	// Wait for OnConnect: a client receives the beginning of its response before the
	// broker has added the stream, and logout ends only streams that the broker has added.
	s.waitLog("acme/ann connected", 2)
	s.publish(desk, "/news", "before")
	onDesk.want(`{"topic":"news","text":"before"}`)
	s.curl(http.MethodPost, "/logout", phone, "")
	s.publish(desk, "/news", "after")
	onPhone.wantRefused(http.StatusUnauthorized)
	onPhone.want(`{"topic":"news","text":"before"}`)
	onDesk.want(`{"topic":"news","text":"before"}`, `{"topic":"news","text":"after"}`)
	s.waitLog("acme/ann left: "+sse.ErrKicked.Error(), 2)
	s.publish(eve, "/news", "hers")
	other.want(`{"topic":"news","text":"hers"}`)
	if n := s.countLog("globex/eve left"); n != 0 {
		t.Errorf("another user's stream has ended")
	}
}

// testExpiry checks that a stream ends when its token expires.
func testExpiry(t *testing.T, s *tenants) {
	stream := s.read(s.login("bob"), "/events", nil)
	stream.wantRefused(http.StatusUnauthorized)
	s.waitLog("acme/bob left: "+sse.ErrExpired.Error(), 1)
}
